//! From one fleet to the next: the memory is written down and read again.

use super::command::stranger;
use super::machine::Hold;
use super::prologue::PROLOGUE;
use super::service::{MAX_WORKERS, Service, slot_number};
use super::{Epoch, Fleet, Policy, ServiceId, ServiceMemory, Snapshot, Wish};

impl Fleet {
    /// Everything needed to go on in another process.
    ///
    /// A shell that writes it down before it performs the actions of an event can be killed at any moment. After a
    /// `Tick` or `Beat` that led to no action it need not: time repeats the one, and the restore makes up for the
    /// other.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            at: self.now,
            next_worker: self.tools.next_worker,
            shutdown: self.shutdown,
            services: self.services.values().map(|service| service.memory.clone()).collect(),
        }
    }

    /// A fleet that goes on from `snapshot`.
    ///
    /// `policies` are those of the configuration that the snapshot belongs to. A service which only they name is new
    /// and starts with the given epoch; one which only the snapshot names was being removed, and goes on to be.
    ///
    /// The shell then tells what the inventory says (`Adopt`, `Lost`, `Spawned`, `Exited`, `Unsignalled`) and
    /// [`Tick`](super::Event::Tick). Until then, at most 20 ms from the first event on, the fleet listens and starts
    /// nothing, so that a slot whose process is adopted by the next event is not started twice.
    pub fn restore(seed: u64, snapshot: &Snapshot, policies: &[(ServiceId, Policy, Epoch)]) -> Self {
        let mut fleet = Self::new(seed);
        fleet.now = snapshot.at;
        fleet.tools.now = snapshot.at;
        fleet.shutdown = snapshot.shutdown;
        fleet.hold = Hold::Restored;
        fleet.tools.next_worker = snapshot.next_worker.max(1);
        for memory in &snapshot.services {
            let policy = policies.iter().find(|(id, ..)| *id == memory.service).map(|(_, policy, _)| policy.clone());
            fleet.remember(memory.clone(), policy);
        }
        for (id, policy, epoch) in policies {
            if !fleet.services.contains_key(id) {
                let mut service = Service::new(*id, policy.clone(), *epoch, fleet.now);
                service.halted = fleet.shutdown;
                fleet.admit(*id, service);
            }
        }
        fleet
    }

    fn remember(&mut self, mut memory: ServiceMemory, policy: Option<Policy>) {
        let id = memory.service;
        if self.services.contains_key(&id) {
            return;
        }
        memory.slots.truncate(MAX_WORKERS as usize);
        for (index, slot) in memory.slots.iter_mut().enumerate() {
            slot.workers.retain(|worker| {
                let fresh = !self.tools.places.contains_key(&worker.worker);
                self.tools.places.entry(worker.worker).or_insert((id, slot_number(index)));
                self.tools.next_worker = self.tools.next_worker.max(worker.worker.0.saturating_add(1));
                fresh
            });
        }
        if let Some(process) = memory.prologue.as_ref().and_then(|prologue| prologue.process()) {
            self.tools.places.entry(process.worker).or_insert((id, PROLOGUE));
            self.tools.next_worker = self.tools.next_worker.max(process.worker.0.saturating_add(1));
        }
        if policy.is_none() {
            memory.wish = Wish::Remove;
        }
        let mut service = Service::remembered(policy.unwrap_or_else(stranger), memory);
        service.halted = self.shutdown;
        self.admit(id, service);
    }

    fn admit(&mut self, id: ServiceId, mut service: Service) {
        service.resize(self.now, &mut self.tools);
        service.state = service.standing();
        self.follow(id, &service.policy.after.clone());
        self.services.insert(id, service);
    }
}
