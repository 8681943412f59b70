//! What an event asks for: each variant of [`Event`] leads to one place here.

use super::fault::Fault;
use super::phase::Input;
use super::prologue::PROLOGUE;
use super::rollout::Reach;
use super::schedule::Timer;
use super::service::{MAX_WORKERS, Seat, Service, slot_number};
use super::step::Step;
use super::worker::Birth;
use super::{
    Action, Epoch, Event, Fleet, Generation, Haste, Pace, Phase, Policy, PrologueMemory, Role, ServiceId, Slot,
    Standing, StopLadder, StopReason, StopStep, Wish, WorkerId, WorkerMemory,
};
use crate::Signal;

impl Fleet {
    /// Takes in one event. A fleet that is being stopped takes no command that would have anything run.
    pub(super) fn observe(&mut self, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Tick => {}
            Event::Define { service, policy, epoch } => self.define(service, policy, epoch, out),
            Event::Remove { service } => self.command(service, out, Service::remove),
            // What is being removed comes back by a `Define` alone, which says what it is by then.
            Event::Start { service } => self.command(service, out, |service, step| {
                if service.memory.wish != Wish::Remove {
                    service.start(step);
                }
            }),
            Event::Stop { service, now } => {
                let haste = if now { Haste::Now } else { Haste::Graceful };
                self.command(service, out, |service, step| service.stop(haste, step));
            }
            Event::Scale { service, workers } => {
                self.command(service, out, |service, step| service.scale(workers, step));
            }
            Event::Restart { service, slot, epoch, pace } => {
                self.command(service, out, |service, step| service.restart(slot, epoch, pace, step));
            }
            Event::Pause { service } => self.command(service, out, Service::pause),
            Event::Resume { service } => self.command(service, out, Service::resume_rollout),
            Event::Undo { service } => self.command(service, out, Service::undo),
            Event::Shutdown { now } => self.shut_down(if now { Haste::Now } else { Haste::Graceful }, out),
            Event::Spawned { worker } => self.tell(worker, Input::Spawned, out),
            Event::SpawnFailed { worker, transient } => self.tell(worker, Input::SpawnFailed { transient }, out),
            Event::Ready { worker } => self.tell(worker, Input::Ready, out),
            Event::Beat { worker } => self.tell(worker, Input::Beat, out),
            Event::Extend { worker, by } => self.tell(worker, Input::Extend(by), out),
            Event::Stopping { worker } => self.tell(worker, Input::Stopping, out),
            Event::Outgrown { worker } => self.tell(worker, Input::Outgrown, out),
            Event::Exited { worker, status } => self.tell(worker, Input::Exited(status), out),
            Event::Lost { worker } => self.tell(worker, Input::Lost, out),
            Event::Unsignalled { worker } => self.tell(worker, Input::Unsignalled, out),
            Event::Adopt { worker, service, slot, generation, epoch } => {
                self.adopt(worker, (service, slot), generation, epoch, out);
            }
        }
    }

    fn command(&mut self, id: ServiceId, out: &mut Vec<Action>, f: impl FnOnce(&mut Service, &mut Step<'_>)) {
        if self.with(id, out, f).is_some() {
            self.dirty.insert(id);
        }
    }

    fn define(&mut self, id: ServiceId, policy: Policy, epoch: Epoch, out: &mut Vec<Action>) {
        if self.shutdown.is_some() {
            return;
        }
        let before = self.services.get(&id).map(|service| service.policy.after.clone());
        if before.as_ref() != Some(&policy.after) {
            self.unfollow(id, &before.clone().unwrap_or_default());
            self.follow(id, &policy.after);
        }
        if before.is_none() {
            let mut service = Service::new(id, policy, epoch, self.now);
            service.resize(self.now, &mut self.tools);
            self.services.insert(id, service);
            self.dirty.insert(id);
        } else {
            self.command(id, out, |service, step| service.redefine(policy, epoch, step));
        }
    }

    fn shut_down(&mut self, haste: Haste, out: &mut Vec<Action>) {
        let haste = self.shutdown.map_or(haste, |before| before.max(haste));
        self.shutdown = Some(haste);
        let ids: Vec<ServiceId> = self.services.keys().copied().collect();
        for id in ids {
            self.command(id, out, |service, step| service.halt(haste, step));
        }
    }

    fn adopt(
        &mut self,
        worker: WorkerId,
        (id, slot): (ServiceId, Slot),
        generation: Generation,
        epoch: Epoch,
        out: &mut Vec<Action>,
    ) {
        self.tools.next_worker = self.tools.next_worker.max(worker.0.saturating_add(1));
        if self.tools.places.contains_key(&worker) || slot.0 > MAX_WORKERS {
            return;
        }
        let (halted, now) = (self.shutdown, self.now);
        self.services.entry(id).or_insert_with(|| {
            let mut stranger = Service::new(id, stranger(), epoch, now);
            stranger.memory.wish = Wish::Remove;
            stranger.halted = halted;
            stranger
        });
        self.command(id, out, |service, step| match slot {
            PROLOGUE => service.adopt_prologue(worker, generation, epoch, step),
            slot => service.adopt(worker, slot, generation, epoch, step),
        });
    }
}

/// For a service that no configuration knows any more, but whose process lives: it is asked to leave.
pub(super) fn stranger() -> Policy {
    let grace = std::time::Duration::from_secs(10);
    let step =
        StopStep { signal: Signal::Term, repeat: None, increment: std::time::Duration::ZERO, lasting: Some(grace) };
    Policy { stop: StopLadder { steps: vec![step] }, ..Policy::basic(0) }
}

impl Service {
    /// The policy or the version changed. Unchanged ones change nothing, so a shell may send all it has.
    fn redefine(&mut self, policy: Policy, epoch: Epoch, step: &mut Step<'_>) {
        let revived = self.memory.wish == Wish::Remove;
        let changed = self.policy != policy;
        // What comes back after its removal begins anew.
        if self.policy.workers != policy.workers || revived || step.planted(Fault::DefineForgetsScale) {
            self.memory.scale = None;
        }
        self.policy = policy;
        if revived {
            self.start(step);
        }
        if changed {
            let now = step.now;
            for slot in &mut self.memory.slots {
                match slot.standing {
                    Standing::Backoff { .. } | Standing::Failed { .. } | Standing::Open => slot.clear(now),
                    Standing::Finished => {}
                }
                for worker in &mut slot.workers {
                    worker.retime(&self.policy, now);
                }
            }
            if let Some(PrologueMemory { slot, .. }) = &mut self.memory.prologue {
                slot.clear(now);
                slot.workers.iter_mut().for_each(|process| process.retime(&self.policy, now));
            }
            self.resize(now, step.tools);
        }
        if epoch == self.memory.epoch {
            if changed && self.is_up() && step.planted(Fault::LiveChangeRolls) {
                self.begin_rollout(epoch, Reach::All, Pace::Gradual, step);
            }
            return;
        }
        if self.is_up() {
            self.begin_rollout(epoch, Reach::Outdated, Pace::Gradual, step);
        } else {
            self.memory.epoch = epoch;
            self.settle_on(epoch);
        }
    }

    fn remove(&mut self, step: &mut Step<'_>) {
        if self.halted.is_some() {
            return;
        }
        self.memory.wish = Wish::Remove;
        self.go_down(step);
    }

    fn start(&mut self, step: &mut Step<'_>) {
        if self.halted.is_some() {
            return;
        }
        let now = step.now;
        let was_up = self.memory.wish == Wish::Run;
        self.memory.wish = Wish::Run;
        if !was_up {
            self.memory.released = false;
        }
        for slot in &mut self.memory.slots {
            if was_up { slot.clear(now) } else { slot.renew_life(now) }
        }
        if !was_up {
            self.owe_prologue(step);
        } else if let Some(PrologueMemory { slot, .. }) = &mut self.memory.prologue {
            slot.clear(now);
        }
        self.resize(now, step.tools);
    }

    fn stop(&mut self, haste: Haste, step: &mut Step<'_>) {
        self.memory.wish = match self.memory.wish {
            Wish::Run => Wish::Stop(haste),
            Wish::Stop(before) => Wish::Stop(before.max(haste)),
            Wish::Remove => Wish::Remove,
        };
        self.go_down(step);
        if haste == Haste::Now {
            self.kill_all(step);
        }
    }

    /// The engine stops. Who leaves when is decided where the order of services is known.
    fn halt(&mut self, haste: Haste, step: &mut Step<'_>) {
        self.halted = Some(haste);
        self.go_down(step);
        if haste == Haste::Now {
            self.kill_all(step);
        }
    }

    /// Nothing is started from here on.
    fn go_down(&mut self, step: &mut Step<'_>) {
        self.stop_rollout(None, step);
        self.hurry_drains(step);
        let now = step.now;
        for slot in &mut self.memory.slots {
            slot.clear(now);
        }
        if self.halted == Some(Haste::Now) || self.memory.wish == Wish::Stop(Haste::Now) {
            self.forgive_prologue();
        } else if !step.planted(Fault::PrologueOutlivesStop) {
            self.excuse_prologue(StopReason::Stop, step);
        }
        step.tools.schedule.set(Timer::Service(self.id()), None);
        self.recount(step.tools);
    }

    fn scale(&mut self, workers: u32, step: &mut Step<'_>) {
        if self.halted.is_none() && self.memory.wish != Wish::Remove {
            self.memory.scale = Some(workers);
            self.resize(step.now, step.tools);
        }
    }

    /// With a slot, the version is the service's present one: one slot alone cannot have another.
    fn restart(&mut self, slot: Option<Slot>, epoch: Epoch, pace: Pace, step: &mut Step<'_>) {
        if self.halted.is_some() || self.memory.wish == Wish::Remove {
            return;
        }
        if self.memory.wish != Wish::Run {
            self.start(step);
        }
        match slot {
            Some(slot) => self.begin_rollout(self.memory.epoch, Reach::One(slot), pace, step),
            None => self.begin_rollout(epoch, Reach::All, pace, step),
        }
    }

    /// A process that the memory does not know takes its slot as ready. Where the slot has a worker already, the
    /// newcomer leaves: of two, the one that was known serves.
    fn adopt(&mut self, worker: WorkerId, slot: Slot, generation: Generation, epoch: Epoch, step: &mut Step<'_>) {
        let now = step.now;
        let index = slot.0 as usize - 1;
        while self.memory.slots.len() <= index {
            self.memory.slots.push(super::SlotMemory::new(now));
        }
        let held = self.in_role(index, Role::Incumbent).is_some();
        let stamp = if epoch == self.memory.epoch { self.memory.stamp } else { 0 };
        let role = if held { Role::Successor } else { Role::Incumbent };
        let lot = step.tools.jitter.draw();
        let birth = Birth { worker, generation: generation.0, epoch, stamp, role, trial: None, lot };
        let mut adopted = WorkerMemory::asked_for(&birth, now);
        adopted.serve(&self.policy, std::time::Duration::ZERO, now);
        let state = self.slot_mut(index);
        state.generation = state.generation.max(generation.0);
        state.untried = false;
        state.served = true;
        let at = state.workers.partition_point(|known| known.generation <= generation.0);
        state.workers.insert(at, adopted);
        state.stand(Standing::Open, now);
        step.tools.places.insert(worker, (self.id(), slot));
        self.adopted |= epoch != self.memory.epoch && !held;
        self.memory.released |= self.is_up();
        if self.memory.rollout.is_none() {
            self.forgive_prologue();
        }
        self.resize(now, step.tools);
        if held {
            self.leave(Seat { slot: index, index: at }, StopReason::RolledBack, step);
        }
    }

    /// The whole inventory is known after a restore. What was decided last may not have been done: KILL is repeated,
    /// which does no harm; other signals only where the inventory shows that they never went out
    /// ([`Event::Unsignalled`]), since many programs take a second TERM for "at once".
    pub(super) fn resume(&mut self, step: &mut Step<'_>) {
        self.grant(step.now, std::time::Duration::ZERO, step.tools);
        if let Some(process) = self.prologue_process().copied().filter(|process| process.phase == Phase::Killed) {
            self.tell_prologue(process.worker, Input::Unsignalled, step);
        }
        for slot in 0..self.memory.slots.len() {
            for index in 0..self.memory.slots[slot].workers.len() {
                let worker = *self.worker(Seat { slot, index });
                if worker.phase == Phase::Killed {
                    self.tell(slot_number(slot), worker.worker, Input::Unsignalled, step);
                }
            }
        }
        if std::mem::take(&mut self.adopted) && self.is_up() && self.memory.rollout.is_none() {
            let epochs = self.wanted_slots().filter_map(|slot| self.in_role(slot, Role::Incumbent));
            let other = epochs.map(|seat| self.worker(seat).epoch).find(|epoch| *epoch != self.memory.epoch);
            if let Some(serving) = other {
                let wanted = self.memory.epoch;
                self.memory.serving = serving;
                self.begin_rollout(wanted, Reach::Outdated, Pace::Gradual, step);
            }
        }
    }
}
