//! Which versions of a service's command are still needed: what belongs to another one can be given up.

use std::collections::BTreeSet;

use super::fault::Fault;
use super::service::Service;
use super::{Epoch, Fleet, ServiceId, Wish, WorkerMemory};

impl Fleet {
    /// The versions that a service's workers run, or will run without a further command: what new workers get, what a
    /// rollout or an undo returns to, and what every worker runs that nobody has asked to leave. One that is not among them never
    /// comes back by itself. None for a service that is not known.
    pub fn versions(&self, id: ServiceId) -> BTreeSet<Epoch> {
        let previous = self.services.get(&id).and_then(|service| service.memory.previous);
        self.served_versions(id).into_iter().chain(previous).collect()
    }

    /// The same without the one that only an `undo` would bring back.
    pub fn served_versions(&self, id: ServiceId) -> BTreeSet<Epoch> {
        self.services
            .get(&id)
            .map(|service| service.versions(self.tools.faults.has(Fault::VersionForgotten)))
            .unwrap_or_default()
    }
}

impl Service {
    fn versions(&self, forgets: bool) -> BTreeSet<Epoch> {
        let memory = &self.memory;
        let workers = memory.slots.iter().flat_map(|slot| &slot.workers);
        let mut versions: BTreeSet<Epoch> =
            workers.filter(|worker| WorkerMemory::is_untold(worker)).map(|worker| worker.epoch).collect();
        // What is being removed is started no more.
        if memory.wish != Wish::Remove {
            versions.insert(memory.epoch);
            if !forgets {
                versions.insert(memory.serving);
                versions.extend(memory.rollout.iter().flat_map(|rollout| rollout.fallback));
            }
        }
        versions
    }
}
