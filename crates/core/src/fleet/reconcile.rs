//! Wanted against observed: the one path by which workers are started and asked to leave.
//!
//! It runs after every event that changed the service, and does what is possible now; what is not (no room, a wait,
//! a service it comes after) is found again at the next event or deadline.
//!
//! Slots are numbered `1..=wanted`: scaling down takes the highest numbers, so a worker that still drains from the
//! last time is in a slot that is not wanted any more and cannot be taken twice. Raising the number starts new
//! processes in those slots; a draining one may still be there.

use std::time::Duration;

use super::fault::Fault;
use super::schedule::Timer;
use super::service::{Seat, Service, slot_number};
use super::step::Step;
use super::worker::Birth;
use super::{
    Action, Epoch, ExitReason, Generation, Haste, Role, Standing, StopReason, Trial, Why, Wish, WorkerMemory,
    phase::Input,
};

/// What a service has to know of the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    /// The services that it comes after are ready.
    pub(super) may_start: bool,
    /// The services that come after it are gone.
    pub(super) may_stop: bool,
}

impl Service {
    /// Does what can be done now.
    pub(super) fn reconcile(&mut self, around: Around, step: &mut Step<'_>) {
        if !self.is_up() {
            if around.may_stop {
                self.wind_down(step);
            }
            let removed = step.planted(Fault::RemovedIsRestarted) && self.memory.wish == Wish::Remove;
            let revived = step.planted(Fault::SpawnAfterShutdown) && self.halted == Some(Haste::Graceful) || removed;
            if revived && self.memory.slots.iter().any(|slot| !slot.workers.is_empty()) {
                self.fill(step);
            }
            return;
        }
        self.shrink(step);
        if self.memory.released || around.may_start || step.planted(Fault::StartBeforeDependency) {
            self.run_prologue(step);
            let prepared = !self.owes_prologue() || step.planted(Fault::WorkerBeforePrologue);
            // What a rollout returns to is kept up meanwhile.
            let serves = self.memory.rollout.is_some_and(|rollout| rollout.fallback.is_some());
            if prepared {
                self.choose_canary(step);
            }
            if prepared || serves {
                self.fill(step);
            }
            if prepared {
                self.roll(step);
                self.recycle(step);
            }
        }
        self.finish_rollout(step);
    }

    /// Asks every worker to leave that was not asked yet.
    fn wind_down(&mut self, step: &mut Step<'_>) {
        if self.surplus() == 0 {
            return;
        }
        let now = self.halted == Some(Haste::Now) || self.memory.wish == Wish::Stop(Haste::Now);
        for slot in 0..self.memory.slots.len() {
            if now {
                self.kill_slot(slot, StopReason::Stop, step);
            } else {
                self.clear_slot(slot, StopReason::Stop, step);
            }
        }
        if now {
            self.kill_prologue(ExitReason::Asked(StopReason::Stop), step);
        } else if !step.planted(Fault::PrologueOutlivesStop) {
            self.leave_prologue(StopReason::Stop, step);
        }
    }

    /// KILL to every worker of the service, also those that drain.
    pub(super) fn kill_all(&mut self, step: &mut Step<'_>) {
        for slot in 0..self.memory.slots.len() {
            self.kill_slot(slot, StopReason::Stop, step);
        }
        self.kill_prologue(ExitReason::Asked(StopReason::Stop), step);
    }

    /// KILL to every worker of the slot.
    pub(super) fn kill_slot(&mut self, slot: usize, reason: StopReason, step: &mut Step<'_>) {
        for index in 0..self.memory.slots[slot].workers.len() {
            let worker = self.worker(Seat { slot, index });
            if step.planted(Fault::ImmediateStopWaits) && !worker.is_untold() {
                continue;
            }
            let worker = worker.worker;
            self.tell(slot_number(slot), worker, Input::Kill(reason), step);
        }
    }

    fn clear_slot(&mut self, slot: usize, reason: StopReason, step: &mut Step<'_>) {
        for index in 0..self.memory.slots[slot].workers.len() {
            let seat = Seat { slot, index };
            if self.worker(seat).is_untold() {
                self.leave(seat, reason, step);
            }
        }
    }

    /// Asks the workers of slots above the wanted number to leave, the highest first.
    fn shrink(&mut self, step: &mut Step<'_>) {
        if self.tally.surplus == 0 {
            return;
        }
        let mut spared = 0;
        if step.planted(Fault::ScaleDownPicksDraining) {
            spared = self.memory.slots.iter().flat_map(|slot| &slot.workers).filter(|w| !w.is_untold()).count();
        }
        for slot in ((self.wanted() as usize)..self.memory.slots.len()).rev() {
            if self.memory.slots[slot].workers.iter().any(WorkerMemory::is_untold) {
                if spared > 0 {
                    spared -= 1;
                    continue;
                }
                self.clear_slot(slot, StopReason::Scale, step);
            }
        }
    }

    /// Starts workers in empty slots, the lowest first, as far as there is room.
    fn fill(&mut self, step: &mut Step<'_>) {
        let mut waits = false;
        if self.tally.vacant > 0 || step.planted(Fault::SpawnAfterShutdown) || step.planted(Fault::RemovedIsRestarted) {
            for slot in self.wanted_slots() {
                if self.room() == 0 && !step.planted(Fault::LeaversNotCounted) {
                    break;
                }
                if !self.is_startable(slot) {
                    continue;
                }
                if self.memory.slots[slot].untried && self.delays_start(step) {
                    waits = true;
                    continue;
                }
                let recipe = self.recipe(slot);
                self.spawn(slot, Role::Incumbent, recipe, step);
            }
        }
        let due = waits.then_some((self.memory.next_start, Why::Start(self.id())));
        step.tools.schedule.set(Timer::Service(self.id()), due);
    }

    fn is_startable(&self, slot: usize) -> bool {
        let slot = &self.memory.slots[slot];
        slot.standing == Standing::Open && !slot.workers.iter().any(WorkerMemory::holds_slot)
    }

    /// Whether a first start has to wait for the last one; when not, the next one will.
    fn delays_start(&mut self, step: &mut Step<'_>) -> bool {
        let delay = self.policy.start_delay;
        if delay == Duration::ZERO {
            return false;
        }
        if step.now < self.memory.next_start {
            return true;
        }
        self.memory.next_start = step.now.after(delay.saturating_add(step.tools.jitter.up_to(delay, 20)));
        false
    }

    /// Asks for a process.
    pub(super) fn spawn(
        &mut self,
        slot: usize,
        role: Role,
        (epoch, stamp, trial): (Epoch, u64, Option<Trial>),
        step: &mut Step<'_>,
    ) {
        let worker = step.new_worker();
        let lot = step.tools.jitter.draw();
        let (id, number, newest) = (self.id(), slot_number(slot), self.memory.stamp);
        let Self { policy, memory, .. } = self;
        let state = &mut memory.slots[slot];
        memory.released = true;
        state.generation = state.generation.saturating_add(1);
        let generation = state.generation;
        if role == Role::Incumbent {
            state.started(trial.is_some(), policy, step.now);
        }
        if stamp == 0 {
            state.renew.get_or_insert(newest);
        }
        let birth = Birth { worker, generation, epoch, stamp, role, trial, lot };
        state.workers.push(WorkerMemory::asked_for(&birth, step.now));
        step.tools.places.insert(worker, (id, number));
        let generation = Generation(generation);
        step.out.push(Action::Spawn { worker, service: id, slot: number, generation, epoch });
        self.refresh(slot, step.tools);
    }
}
