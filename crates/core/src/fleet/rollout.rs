//! Replacing workers: rollout, restart of one slot, recycling by age.
//!
//! There is one path. A replacement is started in the same slot beside the old worker (surge) or, where a slot may be
//! unavailable, after it; it is on trial until it was ready for `settle`; then the old one leaves. The first one of a
//! rollout is the canary: no other worker of the new version is started before it has proved itself, except when
//! nothing ran as the rollout began, for then nothing can be lost.
//!
//! A worker that fails on trial stops its rollout. What was replaced and is ready stays; what was not yet replaced
//! stays too; slots that have nothing are started with the version that serves, at once, without counting. New workers
//! that are not ready are asked to leave.
//!
//! An old worker that dies before the canary has proved itself is replaced by one of the version that serves: a new
//! version takes no slot that an old worker of the other could fill, before it has shown that it works.

use std::time::Duration;

use super::fault::Fault;
use super::phase::End;
use super::restart::ended_well;
use super::service::{Seat, Service, slot_number};
use super::step::Step;
use super::{
    Epoch, ExitReason, Notice, OnFailure, Pace, Phase, Role, Rollout, RolloutMemory, Slot, StopReason, Trial, WorkerId,
    WorkerMemory,
};

/// Which slots a rollout takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Every slot: what runs is older than the request.
    All,
    /// Slots whose worker does not run the new version.
    Outdated,
    /// One slot.
    One(Slot),
}

impl Service {
    /// Begins a rollout to `epoch`, or leads the one that runs there.
    pub(super) fn begin_rollout(&mut self, epoch: Epoch, reach: Reach, pace: Pace, step: &mut Step<'_>) {
        let joined = self.memory.rollout;
        self.memory.stamp = self.memory.stamp.saturating_add(1);
        let whole = !matches!(reach, Reach::One(_));
        let rollout = match joined {
            // Somebody waits for this slot, so a paused one goes on.
            Some(running) if !whole => RolloutMemory { paused: false, ..running },
            Some(_) | None => RolloutMemory {
                epoch,
                fallback: self.fallback(joined).filter(|_| pace != Pace::AtOnce),
                whole,
                canary: None,
                proved: false,
                done: 0,
                paused: false,
                pace,
            },
        };
        self.memory.serving = rollout.fallback.unwrap_or(self.memory.serving);
        self.memory.epoch = rollout.epoch;
        self.memory.rollout = Some(rollout);
        // One that joins a rollout to the same version joins what was prepared for it.
        if whole && !joined.is_some_and(|before| before.whole && before.epoch == rollout.epoch) {
            if reach == Reach::Outdated && self.has_proved(rollout.epoch) {
                self.excuse_prologue(StopReason::Rollout, step);
            } else {
                self.owe_prologue(step);
            }
        }
        self.mark(reach, step);
        if pace == Pace::AtOnce {
            self.drop_old(reach, step);
        }
        if step.planted(Fault::RolloutDropsAllOld) {
            for slot in self.wanted_slots() {
                if let Some(seat) = self.in_role(slot, Role::Incumbent) {
                    self.leave(seat, StopReason::Rollout, step);
                }
            }
        }
        let (service, total) = (self.id(), rollout.done.saturating_add(self.tally.pending));
        if joined.is_some_and(|before| before.epoch == rollout.epoch) {
            step.notice(Notice::RolloutProgress { service, done: rollout.done, total });
        } else {
            step.notice(Notice::RolloutStarted { service, epoch: rollout.epoch, total });
        }
    }

    /// Kills what the rollout replaces: its slots are started anew at once.
    fn drop_old(&mut self, reach: Reach, step: &mut Step<'_>) {
        for slot in self.wanted_slots() {
            if matches!(reach, Reach::One(one) if slot_number(slot) != one) {
                continue;
            }
            self.kill_slot(slot, StopReason::Rollout, step);
            let now = step.now;
            self.slot_mut(slot).spare(now);
            self.refresh(slot, step.tools);
        }
    }

    /// What a rollout returns to: nothing when nothing runs.
    fn fallback(&self, joined: Option<RolloutMemory>) -> Option<Epoch> {
        match joined {
            Some(RolloutMemory { fallback: Some(epoch), .. }) => Some(epoch),
            // It began with nothing, so what runs by now is its own.
            Some(RolloutMemory { fallback: None, epoch, .. }) => self.runs().then_some(epoch),
            None => self.runs().then_some(self.memory.serving),
        }
    }

    /// Whether there is a worker that a new rollout finds in its slot.
    fn runs(&self) -> bool {
        let mut incumbents = self.wanted_slots().filter_map(|slot| self.in_role(slot, Role::Incumbent));
        incumbents.any(|seat| !self.is_unborn(seat))
    }

    /// Whether a worker of this version serves that nothing has to be shown of.
    fn has_proved(&self, epoch: Epoch) -> bool {
        let incumbents = self.wanted_slots().filter_map(|slot| self.in_role(slot, Role::Incumbent));
        incumbents.map(|seat| self.worker(seat)).any(|worker| worker.epoch == epoch && worker.trial.is_none())
    }

    /// On trial for a rollout and not ready: it has nothing to show that another rollout would have to keep.
    fn is_unborn(&self, seat: Seat) -> bool {
        let worker = self.worker(seat);
        worker.trial == Some(Trial::Rollout) && !worker.is_ready()
    }

    /// Marks the slots that take part. What is on trial there is on trial no longer: it is older than the request.
    fn mark(&mut self, reach: Reach, step: &mut Step<'_>) {
        let Some(rollout) = self.memory.rollout else { return };
        let stamp = self.memory.stamp;
        for slot in self.wanted_slots() {
            if reach == Reach::Outdated {
                // First, since one that alone is ready takes the slot: what holds it then is what counts.
                self.retire_successor(slot, StopReason::Rollout, step);
            }
            let taken = match reach {
                Reach::All => true,
                Reach::Outdated => {
                    let incumbent = self.in_role(slot, Role::Incumbent);
                    incumbent.is_none_or(|seat| self.worker(seat).epoch != rollout.epoch)
                }
                Reach::One(one) => slot_number(slot) == one,
            };
            self.slot_mut(slot).renew = match (taken, reach) {
                (true, _) => Some(stamp),
                (false, Reach::One(_)) => self.memory.slots[slot].renew,
                (false, Reach::All | Reach::Outdated) => None,
            };
            if taken || reach == Reach::Outdated {
                self.dismiss(slot, taken, step);
            }
            if taken && (rollout.fallback.is_none() || matches!(reach, Reach::One(_))) {
                self.reopen(slot, step);
            }
            self.refresh(slot, step.tools);
        }
    }

    /// Sends away what an earlier rollout or a recycling has begun in the slot, but never the only one that is ready.
    fn dismiss(&mut self, slot: usize, also_unborn: bool, step: &mut Step<'_>) {
        let unborn = self.in_role(slot, Role::Incumbent).filter(|seat| also_unborn && self.is_unborn(*seat));
        self.retire_successor(slot, StopReason::Rollout, step);
        if let Some(seat) = unborn {
            self.leave(seat, StopReason::Rollout, step);
            let now = step.now;
            self.slot_mut(slot).spare(now);
        }
        for worker in &mut self.slot_mut(slot).workers {
            worker.trial = None;
        }
    }

    /// Of the two workers of a slot the successor leaves, unless it alone is ready: then it takes the slot.
    fn retire_successor(&mut self, slot: usize, reason: StopReason, step: &mut Step<'_>) {
        let Some(successor) = self.in_role(slot, Role::Successor) else { return };
        match self.in_role(slot, Role::Incumbent) {
            Some(incumbent) if self.worker(successor).is_ready() && !self.worker(incumbent).is_ready() => {
                self.leave(incumbent, reason, step);
                self.worker_mut(successor).role = Role::Incumbent;
            }
            Some(_) | None => self.leave(successor, reason, step),
        }
    }

    /// Whether the next worker of the slot is one that the rollout wants there.
    pub(super) fn is_renewed_next(&self, slot: usize) -> bool {
        self.memory.slots[slot].renew.is_some() && self.recipe(slot).2 == Some(Trial::Rollout)
    }

    /// An empty slot is started anew: a command wants it.
    pub(super) fn reopen(&mut self, slot: usize, step: &mut Step<'_>) {
        if self.in_role(slot, Role::Incumbent).is_none() {
            let now = step.now;
            self.slot_mut(slot).clear(now);
            self.refresh(slot, step.tools);
        }
    }

    /// Which version, with which stamp, on which trial a worker gets that is started in the slot.
    pub(super) fn recipe(&self, slot: usize) -> (Epoch, u64, Option<Trial>) {
        let memory = &self.memory;
        let Some(rollout) = memory.rollout else { return (memory.epoch, memory.stamp, None) };
        let takes_part = rollout.whole || memory.slots[slot].renew.is_some();
        if !takes_part {
            return (memory.epoch, memory.stamp, None);
        }
        let waits = if rollout.paused {
            memory.slots[slot].renew.is_some() || !rollout.proved
        } else {
            !rollout.proved && rollout.canary != Some(slot_number(slot).0)
        };
        match rollout.fallback {
            Some(serving) if waits => (serving, 0, None),
            // What is done is done: its worker is restarted like any other.
            Some(_) if rollout.paused => (rollout.epoch, memory.stamp, None),
            Some(_) | None => (rollout.epoch, memory.stamp, Some(Trial::Rollout)),
        }
    }

    /// How long a worker that becomes ready in the slot is on trial.
    pub(super) fn trial_time(&self, slot: usize, step: &Step<'_>) -> Duration {
        let Rollout { settle, prove, .. } = self.policy.rollout;
        let is_first = |rollout: RolloutMemory| {
            rollout.fallback.is_some() && !rollout.proved && rollout.canary == Some(slot_number(slot).0)
        };
        let proves = self.memory.rollout.is_some_and(is_first) && !step.planted(Fault::ProveIgnored);
        if proves { settle.max(prove) } else { settle }
    }

    /// Chooses the slot of the canary: one that has a worker of the new version already, so that no second one shows
    /// up; else an empty one, where it costs nothing; else one that does not serve; else the first.
    pub(super) fn choose_canary(&mut self, step: &mut Step<'_>) {
        let Some(rollout) = self.memory.rollout else { return };
        if rollout.proved || rollout.paused || rollout.fallback.is_none() {
            return;
        }
        let valid = |slot: u32| {
            let index = (slot as usize).wrapping_sub(1);
            self.wanted_slots().contains(&index) && self.memory.slots[index].renew.is_some()
        };
        if rollout.canary.is_some_and(valid) {
            return;
        }
        let pending = self.wanted_slots().filter(|slot| self.memory.slots[*slot].renew.is_some());
        let chosen = pending.min_by_key(|slot| {
            let incumbent = self.in_role(*slot, Role::Incumbent).map(|seat| self.worker(seat));
            let new = incumbent
                .is_some_and(|worker| worker.epoch == rollout.epoch && rollout.fallback != Some(rollout.epoch));
            (!new, incumbent.is_some(), incumbent.is_some_and(WorkerMemory::is_ready), *slot)
        });
        if let Some(rollout) = &mut self.memory.rollout {
            rollout.canary = chosen.map(|slot| slot_number(slot).0);
        }
        if let Some(slot) = chosen {
            self.reopen(slot, step);
        }
    }

    /// Replaces what the rollout still has to, as far as surge and unavailable allow.
    pub(super) fn roll(&mut self, step: &mut Step<'_>) {
        let Some(rollout) = self.memory.rollout else { return };
        if rollout.paused && !step.planted(Fault::PausedGoesOn) {
            return;
        }
        let alone = !rollout.proved && rollout.fallback.is_some() && !step.planted(Fault::CanaryNotAwaited);
        for slot in self.wanted_slots() {
            if alone && rollout.canary != Some(slot_number(slot).0) {
                continue;
            }
            let Some(renew) = self.memory.slots[slot].renew else { continue };
            let outdated = self.in_role(slot, Role::Incumbent).filter(|seat| self.worker(*seat).stamp < renew);
            let Some(seat) = outdated else { continue };
            self.replace(seat, Trial::Rollout, step);
        }
    }

    /// Replaces what is old enough. A rollout goes first; it replaces the old ones anyway.
    pub(super) fn recycle(&mut self, step: &mut Step<'_>) {
        if self.tally.aged == 0 || self.memory.rollout.is_some() {
            return;
        }
        for slot in self.wanted_slots() {
            let old = self.in_role(slot, Role::Incumbent).filter(|seat| self.worker(*seat).is_outlived());
            let waits = self.memory.slots[slot].replace_after.is_some_and(|at| at > step.now);
            let Some(seat) = old.filter(|_| !waits) else { continue };
            self.replace(seat, Trial::Recycle, step);
        }
    }

    /// Starts a successor beside the worker, or stops it first where a slot may be unavailable.
    fn replace(&mut self, seat: Seat, trial: Trial, step: &mut Step<'_>) {
        if self.in_role(seat.slot, Role::Successor).is_some() {
            return;
        }
        // Empty slots come first: what they will need is not given away to a replacement.
        if self.room() > self.tally.vacant {
            let recipe = (self.memory.epoch, self.memory.stamp, Some(trial));
            self.spawn(seat.slot, Role::Successor, recipe, step);
            return;
        }
        let unavailable = self.policy.rollout.unavailable;
        let serves = u32::from(self.worker(seat).is_ready());
        let left = self.tally.serving.saturating_sub(serves);
        if unavailable == 0 || left < self.wanted().saturating_sub(unavailable) {
            return;
        }
        let now = step.now;
        self.leave(seat, trial.reason(), step);
        self.slot_mut(seat.slot).spare(now);
        self.refresh(seat.slot, step.tools);
    }

    /// The worker was ready for the settling time: it takes the slot.
    pub(super) fn prove(&mut self, seat: Seat, step: &mut Step<'_>) {
        let worker = self.worker_mut(seat);
        let Some(trial) = worker.trial.take() else { return };
        let stamp = worker.stamp;
        if worker.role == Role::Successor {
            if let Some(old) = self.in_role(seat.slot, Role::Incumbent) {
                self.set_apart(old, trial, step);
                self.leave(old, trial.reason(), step);
            }
            self.worker_mut(seat).role = Role::Incumbent;
            self.slot_mut(seat.slot).replace_after = None;
        }
        self.refresh(seat.slot, step.tools);
        match trial {
            Trial::Rollout => self.advance(seat.slot, stamp, step),
            Trial::Recycle => {}
        }
    }

    /// The slot has a proved worker of this stamp: one more is done.
    fn advance(&mut self, slot: usize, stamp: u64, step: &mut Step<'_>) {
        let Some(mut rollout) = self.memory.rollout else { return };
        if self.memory.slots[slot].renew.is_some_and(|renew| stamp >= renew) {
            self.slot_mut(slot).renew = None;
            self.refresh(slot, step.tools);
            rollout.done = rollout.done.saturating_add(1);
            let total = rollout.done.saturating_add(self.tally.pending);
            step.notice(Notice::RolloutProgress { service: self.id(), done: rollout.done, total });
        }
        let first = !rollout.proved;
        rollout.proved = true;
        rollout.canary = None;
        self.memory.rollout = Some(rollout);
        if first {
            for slot in self.wanted_slots() {
                if self.memory.slots[slot].renew.is_some() {
                    self.reopen(slot, step);
                }
            }
        }
    }

    /// A worker on trial ended. True when nothing more has to be decided for its slot.
    pub(super) fn trial_failed(&mut self, slot: usize, had: &WorkerMemory, how: End, step: &mut Step<'_>) -> bool {
        let Some(rollout) = self.memory.rollout else { return false };
        let now = step.now;
        // A program that only has something to do once did it. Beside workers that serve, the same end shows nothing
        // that should displace them.
        if rollout.fallback.is_none() && ended_well(&self.policy, how) {
            self.advance(slot, had.stamp, step);
            return false;
        }
        let cause = Some((had.worker, had.reason(how)));
        let pauses = self.policy.rollout.on_failure == OnFailure::Pause && rollout.fallback.is_some();
        if pauses {
            self.pause_for(cause, step);
        } else if !self.stop_rollout(cause, step) {
            return false;
        }
        if had.role == Role::Incumbent && self.in_role(slot, Role::Incumbent).is_none() {
            self.slot_mut(slot).spare(now);
            self.refresh(slot, step.tools);
        }
        true
    }

    /// Ends the rollout without its goal. True when there was a version to return to.
    pub(super) fn stop_rollout(&mut self, cause: Option<(WorkerId, ExitReason)>, step: &mut Step<'_>) -> bool {
        let Some(rollout) = self.memory.rollout.take() else { return false };
        step.notice(Notice::RolloutStopped {
            service: self.id(),
            worker: cause.map(|(worker, _)| worker),
            reason: cause.map(|(_, reason)| reason),
        });
        match rollout.fallback {
            Some(epoch) => {
                if !step.planted(Fault::FailedRolloutKeepsEpoch) {
                    self.memory.epoch = epoch;
                }
                self.memory.serving = epoch;
            }
            None => self.settle_on(rollout.epoch),
        }
        for slot in 0..self.memory.slots.len() {
            self.slot_mut(slot).renew = None;
            self.withdraw(slot, rollout.fallback.is_some() && self.is_up(), step);
            self.refresh(slot, step.tools);
        }
        if rollout.fallback.is_some() {
            self.excuse_prologue(StopReason::RolledBack, step);
        }
        rollout.fallback.is_some()
    }

    /// Takes the workers of the slot off their trial; with `back`, those that have nothing to show leave.
    fn withdraw(&mut self, slot: usize, back: bool, step: &mut Step<'_>) {
        let on_trial = |service: &Self, seat: &Seat| service.worker(*seat).trial == Some(Trial::Rollout);
        if back {
            if self.in_role(slot, Role::Successor).is_some_and(|seat| on_trial(self, &seat)) {
                self.retire_successor(slot, StopReason::RolledBack, step);
            }
            let unborn = self.in_role(slot, Role::Incumbent).filter(|seat| self.is_unborn(*seat));
            if let Some(seat) = unborn {
                self.leave(seat, StopReason::RolledBack, step);
                let now = step.now;
                self.slot_mut(slot).spare(now);
            }
        }
        for worker in &mut self.slot_mut(slot).workers {
            if worker.trial == Some(Trial::Rollout) {
                worker.trial = None;
                if let Phase::Ready { settle_by, .. } = &mut worker.phase {
                    *settle_by = None;
                }
            }
        }
    }

    /// This version serves from here on.
    pub(super) fn settle_on(&mut self, epoch: Epoch) {
        if self.memory.serving != epoch {
            self.memory.previous = Some(self.memory.serving);
            self.memory.serving = epoch;
        }
    }

    /// Ends the rollout when no slot is left to do.
    pub(super) fn finish_rollout(&mut self, step: &mut Step<'_>) {
        let Some(rollout) = self.memory.rollout.filter(|_| self.tally.pending == 0) else { return };
        self.memory.rollout = None;
        self.settle_on(rollout.epoch);
        if rollout.fallback.is_some() {
            // Every worker was of that version already.
            self.excuse_prologue(StopReason::Rollout, step);
        }
        step.notice(Notice::RolloutFinished { service: self.id() });
    }
}
