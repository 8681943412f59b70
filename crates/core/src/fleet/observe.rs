//! What an observer may see of a fleet.

use super::prologue::PROLOGUE;
use super::service::{Service, slot_number};
use super::{
    Epoch, Fleet, Generation, PrologueMemory, RolloutView, ServiceId, ServiceView, Slot, SlotMemory, Standing,
    WorkerId, WorkerMemory, WorkerState, WorkerView,
};

impl Fleet {
    /// One service as it stands.
    pub fn service(&self, id: ServiceId) -> Option<ServiceView> {
        self.services.get(&id).map(Service::view)
    }

    /// Every service, in the order of their ids.
    pub fn services(&self) -> Vec<ServiceView> {
        self.services.values().map(Service::view).collect()
    }

    /// Where a living worker is, what it runs, and its state.
    pub fn worker(&self, id: WorkerId) -> Option<(ServiceId, Slot, Generation, Epoch, WorkerState)> {
        let (service, slot) = self.place(id)?;
        let crew = self.services.get(&service)?;
        let worker = match slot {
            PROLOGUE => crew.prologue_process()?,
            slot => crew.worker(crew.find(slot, id)?),
        };
        Some((service, slot, Generation(worker.generation), worker.epoch, worker.state()))
    }

    /// Workers that run what their service is to run and that nobody has asked to leave: who is not about to be
    /// replaced.
    pub fn staying(&self) -> Vec<WorkerId> {
        let stays = |service: &Service, worker: &WorkerMemory| {
            let epoch = service.memory.rollout.map_or(service.memory.epoch, |rollout| rollout.epoch);
            worker.epoch == epoch && worker.holds_slot() && worker.is_untold()
        };
        let of = |service: &Service| -> Vec<WorkerId> {
            let workers = service.memory.slots.iter().flat_map(|slot| &slot.workers);
            workers.filter(|worker| stays(service, worker)).map(|worker| worker.worker).collect()
        };
        self.services.values().flat_map(of).collect()
    }

    /// Whether everything that is kept for speed agrees with what it was made from.
    ///
    /// # Errors
    ///
    /// Says what does not agree.
    #[cfg(any(test, feature = "planted-faults"))]
    pub fn audit(&self) -> Result<(), String> {
        let mut timers = 0;
        let mut living = 0;
        for (id, service) in &self.services {
            if !service.counts_are_true() {
                return Err(format!("{id:?}: counts differ from a new count: {:?}", service.tally));
            }
            for (index, slot) in service.memory.slots.iter().enumerate() {
                for worker in &slot.workers {
                    let armed = self.tools.schedule.of(super::schedule::Timer::Worker(worker.worker));
                    if self.hold == super::machine::Hold::None && armed != worker.deadline(self.now) {
                        return Err(format!(
                            "{:?}: armed {armed:?}, due {:?}",
                            worker.worker,
                            worker.deadline(self.now)
                        ));
                    }
                    if self.place(worker.worker) != Some((*id, slot_number(index))) {
                        return Err(format!("{:?}: not found by its number", worker.worker));
                    }
                    timers += usize::from(armed.is_some());
                    living += 1;
                }
                timers += usize::from(
                    self.tools.schedule.of(super::schedule::Timer::Slot(*id, slot_number(index))).is_some(),
                );
            }
            timers += usize::from(self.tools.schedule.of(super::schedule::Timer::Service(*id)).is_some());
            let armed = self.tools.schedule.of(super::schedule::Timer::Slot(*id, PROLOGUE));
            if armed != service.prologue_deadline() {
                return Err(format!("{id:?}: the prologue is armed {armed:?}"));
            }
            timers += usize::from(armed.is_some());
            if let Some(process) = service.prologue_process() {
                let armed = self.tools.schedule.of(super::schedule::Timer::Worker(process.worker));
                if armed != process.deadline(self.now) || self.place(process.worker) != Some((*id, PROLOGUE)) {
                    return Err(format!("{:?} of the prologue: armed {armed:?}", process.worker));
                }
                timers += usize::from(armed.is_some());
                living += 1;
            }
        }
        if timers != self.tools.schedule.len() || living != self.tools.places.len() {
            return Err(format!("{} deadlines, {timers} owned; {} places", self.tools.schedule.len(), living));
        }
        Ok(())
    }
}

impl Service {
    fn view(&self) -> ServiceView {
        ServiceView {
            service: self.id(),
            state: self.standing(),
            wanted: self.wanted(),
            ready: self.tally.ready,
            epoch: self.memory.epoch,
            rolling: self.memory.rollout.is_some(),
            previous: self.undoes_to(),
            rollout: self.memory.rollout.map(|rollout| RolloutView {
                done: rollout.done,
                total: rollout.done.saturating_add(self.tally.pending),
                paused: rollout.paused,
                pace: rollout.pace,
                proved: rollout.proved || rollout.fallback.is_none(),
                fallback: rollout.fallback,
            }),
            workers: self.rows(),
        }
    }

    fn rows(&self) -> Vec<WorkerView> {
        let mut rows = Vec::with_capacity(self.memory.slots.len());
        if let Some(PrologueMemory { slot, .. }) = &self.memory.prologue {
            rows.extend(slot.workers.iter().map(|process| living_row(PROLOGUE, slot, process)));
            if slot.workers.is_empty() && self.is_up() && self.owes_prologue() && self.wanted() > 0 {
                rows.push(self.empty_row(PROLOGUE, slot));
            }
        }
        for (index, slot) in self.memory.slots.iter().enumerate() {
            let number = slot_number(index);
            let living = slot.workers.iter().map(|worker| living_row(number, slot, worker));
            rows.extend(living);
            if slot.workers.is_empty() && index < self.wanted() as usize {
                rows.push(self.empty_row(number, slot));
            }
        }
        rows
    }

    fn empty_row(&self, number: Slot, slot: &SlotMemory) -> WorkerView {
        let state = match slot.standing {
            _ if !self.is_up() => WorkerState::Stopped,
            Standing::Open => WorkerState::Starting,
            Standing::Backoff { .. } => WorkerState::Backoff,
            Standing::Failed { .. } => WorkerState::Failed,
            Standing::Finished => WorkerState::Stopped,
        };
        WorkerView {
            slot: number,
            worker: None,
            generation: Generation(slot.generation),
            epoch: self.memory.epoch,
            state,
            since: slot.since,
            started: None,
            restarts: slot.restarts,
            last_exit: slot.last_exit,
        }
    }
}

fn living_row(number: Slot, slot: &SlotMemory, worker: &WorkerMemory) -> WorkerView {
    WorkerView {
        slot: number,
        worker: Some(worker.worker),
        generation: Generation(worker.generation),
        epoch: worker.epoch,
        state: worker.state(),
        since: worker.since,
        started: worker.started,
        restarts: slot.restarts,
        last_exit: slot.last_exit,
    }
}
