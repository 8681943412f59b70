//! The stop ladder: which signal a worker gets when, until KILL.

use std::time::Duration;

use super::{Ladder, StopStep, Why, WorkerId};
use crate::Mono;

/// Between two repetitions of a signal at least this time passes, whatever the configuration says.
const LEAST_GAP: Duration = Duration::from_millis(10);

/// What a ladder does when its deadline came.
pub(super) enum Rung<'a> {
    /// Nothing yet.
    Wait,
    /// The present step's signal again.
    Repeat(&'a StopStep),
    /// This step begins.
    Next(u32, &'a StopStep),
    /// KILL.
    End,
}

impl Ladder {
    /// The step begins and its signal is sent.
    pub(super) fn enter(index: u32, step: &StopStep, now: Mono) -> Self {
        let gap = step.repeat.map_or(Duration::ZERO, |gap| gap.max(LEAST_GAP));
        Self {
            step: Some(index),
            told: true,
            ends: step.lasting.map(|lasting| now.after(lasting)),
            repeats: step.repeat.map(|_| now.after(gap)),
            gap,
        }
    }

    /// The worker ends by itself: it has the first step's time, and hears of it at the second.
    pub(super) fn unasked(first: Option<&StopStep>, now: Mono) -> Self {
        let ends = match first {
            Some(step) => step.lasting.map(|lasting| now.after(lasting)),
            None => Some(now),
        };
        Self { step: Some(0), told: false, ends, repeats: None, gap: Duration::ZERO }
    }

    /// Nothing but KILL is left, at `ends`.
    pub(super) fn last(ends: Mono) -> Self {
        Self { step: None, told: true, ends: Some(ends), repeats: None, gap: Duration::ZERO }
    }

    /// What is due. A step that no longer exists (the policy changed meanwhile) is followed by KILL.
    pub(super) fn due<'a>(&mut self, steps: &'a [StopStep], now: Mono) -> Rung<'a> {
        if self.ends.is_some_and(|ends| ends <= now) {
            let next = self.step.and_then(|index| index.checked_add(1));
            return match next.and_then(|index| Some((index, steps.get(index as usize)?))) {
                Some((index, step)) => Rung::Next(index, step),
                None => Rung::End,
            };
        }
        if self.repeats.is_none_or(|at| at > now) {
            return Rung::Wait;
        }
        match self.step.and_then(|index| steps.get(index as usize)) {
            Some(step) => {
                self.gap = self.gap.saturating_add(step.increment).max(LEAST_GAP);
                self.repeats = Some(now.after(self.gap));
                Rung::Repeat(step)
            }
            None => {
                self.repeats = None;
                Rung::Wait
            }
        }
    }

    pub(super) fn deadline(&self, worker: WorkerId) -> Option<(Mono, Why)> {
        let why = Why::Stop(worker);
        Mono::earliest(self.ends.map(|at| (at, why)), self.repeats.map(|at| (at, why)))
    }

    /// The step lasts at least until `until`.
    pub(super) fn extend(&mut self, until: Mono) {
        self.ends = self.ends.map(|ends| ends.max(until));
    }

    /// The step ends at `until` at the latest.
    pub(super) fn cut(&mut self, until: Mono) {
        self.ends = Some(self.ends.map_or(until, |ends| ends.min(until)));
    }

    /// Everything comes later by `by`.
    pub(super) fn shift(&mut self, by: Duration) {
        self.ends = self.ends.map(|at| at.after(by));
        self.repeats = self.repeats.map(|at| at.after(by));
    }
}
