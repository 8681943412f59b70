//! What operators do to a rollout that runs: pause, resume, undo.
//!
//! A paused rollout starts no replacement. What was begun goes on: a new worker that proves itself takes its slot. A
//! slot that falls empty meanwhile is started with what it had, so that pausing never leaves a slot without a worker.
//!
//! A rollout that a failure has paused has its first worker prove itself anew after it is resumed.

use super::fault::Fault;
use super::rollout::Reach;
use super::service::Service;
use super::step::Step;
use super::{Epoch, ExitReason, Notice, Pace, Role, RolloutMemory, WorkerId};

impl Service {
    /// Nothing more is replaced.
    pub(super) fn pause(&mut self, step: &mut Step<'_>) {
        self.hold_rollout(None, step);
    }

    /// A new worker failed, and somebody is to look at it.
    pub(super) fn pause_for(&mut self, cause: Option<(WorkerId, ExitReason)>, step: &mut Step<'_>) {
        self.hold_rollout(cause, step);
        if let Some(rollout) = &mut self.memory.rollout {
            rollout.proved = false;
            rollout.canary = None;
        }
    }

    fn hold_rollout(&mut self, cause: Option<(WorkerId, ExitReason)>, step: &mut Step<'_>) {
        let service = self.id();
        let Some(rollout) = self.memory.rollout.as_mut().filter(|rollout| !rollout.paused) else { return };
        rollout.paused = true;
        let (worker, reason) = cause.unzip();
        step.notice(Notice::RolloutPaused { service, worker, reason });
    }

    /// It goes on.
    pub(super) fn resume_rollout(&mut self, step: &mut Step<'_>) {
        let service = self.id();
        let Some(rollout) = self.memory.rollout.as_mut().filter(|rollout| rollout.paused) else { return };
        rollout.paused = false;
        step.notice(Notice::RolloutResumed { service });
    }

    /// Back to what served before the rollout that runs; without one, away with what a stopped one has left, or back
    /// to what served before.
    pub(super) fn undo(&mut self, step: &mut Step<'_>) {
        if !self.is_up() {
            return;
        }
        match self.memory.rollout {
            Some(RolloutMemory { fallback: Some(back), epoch, .. })
                if back != epoch && !step.planted(Fault::UndoForgotten) =>
            {
                self.begin_rollout(back, Reach::Outdated, Pace::Gradual, step);
            }
            Some(_) => {
                self.stop_rollout(None, step);
            }
            None => {
                if let Some(back) = self.undoes_to() {
                    self.begin_rollout(back, Reach::Outdated, Pace::Gradual, step);
                }
            }
        }
    }

    /// The version that an undo leads to while no rollout runs, if there is one.
    pub(super) fn undoes_to(&self) -> Option<Epoch> {
        if self.is_mixed() { Some(self.memory.epoch) } else { self.memory.previous }
    }

    /// Whether a worker of another version than the one that serves holds a slot.
    fn is_mixed(&self) -> bool {
        let mut incumbents = self.wanted_slots().filter_map(|slot| self.in_role(slot, Role::Incumbent));
        incumbents.any(|seat| self.worker(seat).epoch != self.memory.epoch)
    }
}
