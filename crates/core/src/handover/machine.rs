//! The machine.

use std::time::Duration;

use super::event::{Action, Event, Failure};
use super::fault::Fault;
use crate::Mono;
use crate::fault::Faults;

/// How long a successor may take to get ready, unless whoever asks says otherwise.
pub const PROVING: Duration = Duration::from_secs(60);
/// How long a manager may take to leave everything.
const LEAVING: Duration = Duration::from_secs(5);
/// How long the one before can be had again.
pub const WINDOW: Duration = Duration::from_secs(10);

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is no successor.
    Alone,
    /// The successor shows what it can; the manager works.
    Proving,
    /// The manager was told to leave.
    Leaving,
    /// The manager is frozen; the successor takes over.
    Taking,
    /// The successor has become the manager; the one before is kept.
    Window,
}

/// Who has the duty, and until when the next step is waited for.
#[derive(Debug)]
pub struct Handover {
    phase: Phase,
    until: Option<Mono>,
    pub(super) faults: Faults<Fault>,
}

impl Default for Handover {
    fn default() -> Self {
        Self { phase: Phase::Alone, until: None, faults: Faults::default() }
    }
}

impl Handover {
    /// When the next step is late.
    pub fn deadline(&self) -> Option<Mono> {
        self.until
    }

    /// A successor is there, or about to be.
    pub fn is_under_way(&self) -> bool {
        matches!(self.phase, Phase::Proving | Phase::Leaving | Phase::Taking)
    }

    /// The manager was told to leave: what happens is for whoever goes on.
    pub fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Leaving | Phase::Taking)
    }

    /// The manager has left: it owes nothing.
    pub fn is_frozen(&self) -> bool {
        self.phase == Phase::Taking
    }

    /// The one before can be had again.
    pub fn is_in_window(&self) -> bool {
        self.phase == Phase::Window
    }

    /// Takes in what was observed; what follows goes to `out`.
    pub fn handle(&mut self, now: Mono, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Asked { patience } => self.asked(now, patience, out),
            Event::NotStarted => self.fail(Failure::NotStarted, out),
            Event::Ready => self.ready(now, out),
            Event::Left { patience } => self.left(now, patience, out),
            Event::Kept => self.fail(Failure::Kept, out),
            Event::Applied => self.applied(now, out),
            Event::ManagerEnded { by_itself } => self.manager_ended(by_itself, out),
            Event::SuccessorEnded => match self.phase {
                Phase::Proving | Phase::Leaving => self.fail(Failure::EndedUnready, out),
                Phase::Taking => self.fail(Failure::EndedTaking, out),
                Phase::Alone | Phase::Window => {}
            },
            Event::StopAsked if self.faults.has(Fault::StopIgnored) => {}
            Event::StopAsked => self.fail(Failure::Stopped, out),
            Event::Tick => self.late(now, out),
        }
    }

    fn asked(&mut self, now: Mono, patience: Duration, out: &mut Vec<Action>) {
        if self.is_under_way() && !self.faults.has(Fault::TwoAtOnce) {
            return out.push(Action::GoOn(Failure::Busy));
        }
        // One that is asked for a successor works.
        self.settle(out);
        self.enter(Phase::Proving, now.after(patience));
        out.push(Action::Start);
    }

    fn ready(&mut self, now: Mono, out: &mut Vec<Action>) {
        if self.phase != Phase::Proving {
            if self.faults.has(Fault::ReadyAgain) && self.phase == Phase::Taking {
                self.applied(now, out);
            }
            return;
        }
        self.enter(Phase::Leaving, now.after(LEAVING));
        if self.faults.has(Fault::NoLeavingTime) {
            self.until = None;
        }
        out.push(Action::Freeze);
        if self.faults.has(Fault::HandOnUnfrozen) {
            self.left(now, LEAVING, out);
        }
    }

    fn left(&mut self, now: Mono, patience: Duration, out: &mut Vec<Action>) {
        if self.phase != Phase::Leaving {
            return;
        }
        self.enter(Phase::Taking, now.after(patience));
        if self.faults.has(Fault::NoPatience) {
            self.until = None;
        }
        out.push(Action::HandOn);
        if self.faults.has(Fault::CommitUnapplied) {
            self.applied(now, out);
        }
    }

    fn applied(&mut self, now: Mono, out: &mut Vec<Action>) {
        if self.phase != Phase::Taking {
            return;
        }
        self.enter(Phase::Window, now.after(WINDOW));
        if self.faults.has(Fault::NeverSettles) {
            self.until = None;
        }
        out.push(Action::Commit);
    }

    fn manager_ended(&mut self, by_itself: bool, out: &mut Vec<Action>) {
        match self.phase {
            Phase::Alone => {}
            // Nobody is left who asked, and the state may have changed: the next manager starts as after any crash.
            Phase::Proving | Phase::Leaving | Phase::Taking => {
                self.enter_alone();
                if !self.faults.has(Fault::SuccessorOutlives) {
                    out.push(Action::End);
                }
            }
            Phase::Window if self.faults.has(Fault::ReturnForgotten) => {}
            // A kill says nothing about the one that was killed.
            Phase::Window if by_itself || self.faults.has(Fault::KilledIsGuilty) => {
                self.enter_alone();
                out.push(Action::Return);
            }
            Phase::Window => {}
        }
    }

    fn late(&mut self, now: Mono, out: &mut Vec<Action>) {
        if self.until.is_none_or(|until| now < until) {
            return;
        }
        match self.phase {
            Phase::Alone => {}
            Phase::Proving => self.fail(Failure::LateUnready, out),
            Phase::Leaving => self.fail(Failure::LateLeaving, out),
            Phase::Taking => self.fail(Failure::LateTaking, out),
            Phase::Window => self.settle(out),
        }
    }

    /// The successor is ended, and the manager goes on.
    fn fail(&mut self, failure: Failure, out: &mut Vec<Action>) {
        if !self.is_under_way() {
            return;
        }
        let frozen = self.is_held();
        self.enter_alone();
        let forgets = self.faults.has(Fault::SuccessorForgotten)
            && matches!(failure, Failure::LateUnready | Failure::LateTaking | Failure::LateLeaving);
        if !forgets {
            out.push(Action::End);
        }
        if !(frozen && self.faults.has(Fault::FrozenForgotten)) {
            out.push(Action::GoOn(failure));
        }
    }

    fn settle(&mut self, out: &mut Vec<Action>) {
        if self.phase == Phase::Window {
            self.enter_alone();
            out.push(Action::Settle);
        }
    }

    fn enter(&mut self, phase: Phase, until: Mono) {
        (self.phase, self.until) = (phase, Some(until));
    }

    fn enter_alone(&mut self) {
        (self.phase, self.until) = (Phase::Alone, None);
    }
}
