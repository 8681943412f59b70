//! What operators want of a service, and when its slots may start: the bounds of P11 in the plainest form.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::{Epoch, ExitStatus, GiveUp, Haste, Pace, Policy, Restart, ServiceState, Slot, Wish};

use super::Seen;
use super::prologue::Prologue;

/// One service.
#[derive(Clone, Debug)]
pub(super) struct Crew {
    pub(super) policy: Policy,
    pub(super) scale: Option<u32>,
    pub(super) wish: Wish,
    pub(super) released: bool,
    pub(super) rolling: bool,
    /// When the rollout that runs began, or was last joined.
    pub(super) rolls_since: Mono,
    pub(super) state: ServiceState,
    /// When its policy changed last.
    pub(super) changed: Mono,
    /// The versions that have served, or for which nothing could be lost.
    pub(super) established: BTreeSet<Epoch>,
    /// Raised with every rollout, and with every request that joins one.
    pub(super) rollouts: u64,
    /// The whole new set may be beside the old one.
    pub(super) detached: bool,
    /// Nothing may be replaced.
    pub(super) paused: bool,
    /// A rollout was undone: this is what everybody has to run again.
    pub(super) undone: Option<Epoch>,
    pub(super) prologue: Prologue,
    tracks: BTreeMap<Slot, Track>,
}

/// When a slot may start.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    pub(super) generation: u32,
    pub(super) starts: Vec<Mono>,
    failures: u32,
    tripped: bool,
    fell: bool,
    /// Not before this moment; `None` for never.
    not_before: Option<Option<Mono>>,
    /// It waits no longer than until then.
    latest: Option<Mono>,
    /// The rollout that runs has renewed it, which it does at once and once.
    renewed: bool,
}

impl Track {
    pub(super) fn free(&mut self) {
        *self = Self { generation: self.generation, ..Self::default() };
    }

    /// The start at `asked` never was one. True when it had been counted.
    pub(super) fn forget(&mut self, asked: Mono) -> bool {
        let before = self.starts.len();
        self.starts.retain(|at| *at != asked);
        self.renewed = false;
        self.fell = self.starts.len() < before;
        self.fell
    }

    /// Why the slot may not be started now.
    pub(super) fn forbids(&mut self, now: Mono, rolling: bool) -> Option<String> {
        let waits = self.not_before.is_some_and(|at| at.is_none_or(|at| at > now));
        if waits && rolling && !std::mem::replace(&mut self.renewed, true) {
            return None;
        }
        match self.not_before {
            None => None,
            Some(None) => Some("its slot was to stay as it is".into()),
            Some(Some(at)) if at > now => {
                Some(format!("its slot had to wait {:?} longer after {} deaths", at.since(now), self.failures))
            }
            Some(Some(_)) => None,
        }
    }
}

impl Crew {
    pub(super) fn new(policy: Policy, epoch: Epoch) -> Self {
        let mut prologue = Prologue::default();
        prologue.owe(policy.terms(epoch).before_start);
        Self {
            policy,
            prologue,
            scale: None,
            wish: Wish::Run,
            released: false,
            rolling: false,
            rolls_since: Mono::default(),
            state: ServiceState::Stopped,
            changed: Mono::default(),
            established: BTreeSet::new(),
            rollouts: 0,
            detached: false,
            paused: false,
            undone: None,
            tracks: BTreeMap::new(),
        }
    }

    pub(super) fn wanted(&self) -> u32 {
        self.scale.unwrap_or(self.policy.workers)
    }

    pub(super) fn most(&self) -> u32 {
        let surge = self.policy.rollout.surge;
        self.wanted() + if self.detached { surge.max(self.wanted()) } else { surge }
    }

    /// How many generations may drain beside those that count.
    pub(super) fn most_draining(&self) -> usize {
        self.policy.rollout.draining.max(u32::from(self.detached)) as usize
    }

    /// A rollout began.
    pub(super) fn rolls(&mut self, now: Mono) {
        self.rolling = true;
        self.paused = false;
        self.rollouts += 1;
        self.rolls_since = now;
        self.free_all();
    }

    pub(super) fn track(&mut self, slot: Slot) -> &mut Track {
        self.tracks.entry(slot).or_default()
    }

    pub(super) fn free_all(&mut self) {
        self.tracks.values_mut().for_each(Track::free);
    }

    /// Nothing is remembered of its slots, not even how many processes they had.
    pub(super) fn forget(&mut self) {
        self.tracks.clear();
    }

    pub(super) fn forget_unwanted(&mut self) {
        let wanted = self.wanted();
        self.tracks.iter_mut().filter(|(slot, _)| slot.0 > wanted).for_each(|(_, track)| track.free());
    }

    pub(super) fn start(&mut self) {
        if self.wish != Wish::Run {
            self.released = false;
            self.prologue.owe(self.policy.before_start);
            if !self.policy.others.is_empty() {
                // Which version it starts with shows when it does.
                self.prologue.lose_sight();
            }
        }
        self.wish = Wish::Run;
        self.free_all();
    }

    /// Workers are to be replaced: all of them, or one.
    pub(super) fn restart(&mut self, slot: Option<Slot>, pace: Pace) {
        self.paused = false;
        self.rollouts += 1;
        // One slot joins what runs, as it runs.
        if slot.is_none() || !self.rolling {
            self.detached = pace == Pace::Detached;
        }
        if slot.is_none() {
            self.undone = None;
        }
    }

    pub(super) fn stop(&mut self, haste: Haste) {
        self.wish = match self.wish {
            Wish::Run => Wish::Stop(haste),
            Wish::Stop(before) => Wish::Stop(before.max(haste)),
            Wish::Remove => Wish::Remove,
        };
        self.undone = None;
        self.free_all();
    }

    pub(super) fn redefine(&mut self, policy: &Policy, now: Mono) {
        if self.policy.workers != policy.workers || self.wish == Wish::Remove {
            self.scale = None;
        }
        if self.wish == Wish::Remove {
            self.start();
        }
        if self.policy != *policy {
            self.policy = policy.clone();
            self.changed = now;
            self.free_all();
        }
    }

    /// A slot's only worker ended unasked. `status` is `None` while it is not known yet.
    pub(super) fn fall(&mut self, seen: &Seen, now: Mono, status: Option<Option<ExitStatus>>, transient: bool) {
        let policy = self.policy.clone();
        let track = self.track(seen.slot);
        if ends_for_good(&policy, status, transient) {
            track.not_before = Some(None);
            return;
        }
        if seen.ready.is_some_and(|ready| now.since(ready) >= policy.backoff.stable) {
            track.free();
        }
        let counted = !transient || track.forget(seen.asked);
        if let Some(limit) = policy.start_limit {
            let within = track.starts.iter().filter(|at| now.since(**at) < limit.within).count();
            track.tripped |= !transient && within >= limit.count as usize;
        }
        let wait = if track.tripped { policy.backoff.max } else { least_wait(&policy, track.failures) };
        // Where no process came of it nothing outside slows the next start down, so the fleet does.
        let least = if status == Some(None) { Duration::from_millis(100) } else { Duration::ZERO };
        track.failures += 1;
        track.fell = counted;
        track.not_before = Some(Some(now.after(wait)));
        let retries = policy.start_limit.is_none_or(|limit| limit.then == GiveUp::Retry);
        let longest = (policy.backoff.max.max(policy.backoff.min) * 11 / 10).max(least);
        track.latest = retries.then(|| now.after(longest));
    }

    /// Whether the slot waits longer than any wait lasts.
    pub(super) fn is_overdue(&self, slot: Slot, now: Mono) -> bool {
        let track = self.tracks.get(&slot);
        track.is_some_and(|track| track.latest.is_some_and(|at| at <= now))
    }

    /// Writes down a start into an empty slot, if a death was its reason; says what bound it breaks.
    pub(super) fn note_start(&mut self, slot: Slot, now: Mono) -> Option<String> {
        let limit = self.policy.start_limit;
        let track = self.track(slot);
        track.latest = None;
        if !std::mem::take(&mut track.fell) {
            return None;
        }
        track.starts.push(now);
        let limit = limit?;
        let starts = track.starts.iter().filter(|at| now.since(**at) < limit.within).count();
        let over = starts > limit.count as usize && !track.tripped;
        over.then(|| format!("{starts} starts within {:?}, {} allowed", limit.within, limit.count))
    }
}

fn ends_for_good(policy: &Policy, status: Option<Option<ExitStatus>>, transient: bool) -> bool {
    match (policy.restart, status) {
        (_, Some(Some(ExitStatus::Code(code)))) if policy.unrecoverable_exit_codes.contains(&code) => true,
        (Restart::Always, _) => false,
        (Restart::OnFailure, status) => status == Some(Some(ExitStatus::Code(0))),
        (Restart::Never, _) => !transient,
    }
}

/// The shortest wait that the policy allows after so many deaths in a row.
fn least_wait(policy: &Policy, failures: u32) -> Duration {
    let backoff = policy.backoff;
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let wait = backoff.min.saturating_mul(1 << doublings.min(30)).min(backoff.max);
    backoff.min.max(wait.saturating_mul(3) / 4).min(backoff.max)
}
