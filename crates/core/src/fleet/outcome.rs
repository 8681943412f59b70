//! When an engine that ends by itself has come to its end, and with which exit code.

use std::collections::BTreeSet;

use super::prologue::PROLOGUE;
use super::service::{Service, slot_number};
use super::{ExitStatus, Fleet, ServiceId, ServiceState, Slot, SlotMemory, Standing};

/// When the engine ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndWhen {
    /// Only when it is told to.
    Never,
    /// When every service has finished or failed for good.
    AllDone,
    /// When a service has failed, or one worker for good.
    AnyFailed,
}

/// The end that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The engine's own exit code: 0 when everything did what it was there for, else the unrecoverable code that a
    /// worker ended with, else 1.
    pub code: u8,
    /// Who failed, where somebody did.
    pub failed: Option<(ServiceId, Slot)>,
}

impl Fleet {
    /// Whether the end was reached, judged by `services` alone; never during a stop.
    pub fn outcome(&self, when: EndWhen, services: &[ServiceId]) -> Option<Outcome> {
        if self.stopping() {
            return None;
        }
        match when {
            EndWhen::Never => None,
            EndWhen::AllDone => {
                let over = self.over();
                let done = services.iter().all(|id| over.contains(id));
                let failures = services.iter().filter_map(|id| self.services.get(id)?.failure());
                done.then(|| worst(failures).unwrap_or(Outcome { code: 0, failed: None }))
            }
            EndWhen::AnyFailed => worst(services.iter().filter_map(|id| self.services.get(id)?.failure())),
        }
    }

    /// The services that will do nothing more: stopped, done, or waiting for one of these that never lets them start.
    fn over(&self) -> BTreeSet<ServiceId> {
        let mut over: BTreeSet<ServiceId> =
            self.services.iter().filter(|(_, service)| service.is_over()).map(|(id, _)| *id).collect();
        loop {
            let blocks =
                |id: &ServiceId| over.contains(id) && !self.services.get(id).is_some_and(Service::lets_others_start);
            let blocked = |service: &Service| {
                !service.memory.released && service.living() == 0 && service.policy.after.iter().any(blocks)
            };
            let more: Vec<ServiceId> = self
                .services
                .iter()
                .filter(|(id, service)| !over.contains(id) && blocked(service))
                .map(|(id, _)| *id)
                .collect();
            if more.is_empty() {
                return over;
            }
            over.extend(more);
        }
    }
}

/// The first failure with an unrecoverable code, else the first one.
fn worst(failures: impl Iterator<Item = Outcome>) -> Option<Outcome> {
    failures.reduce(|first, next| if first.code == 1 && next.code != 1 { next } else { first })
}

impl Service {
    /// Whether nothing lives here and nothing will be started unless somebody asks for it.
    fn is_over(&self) -> bool {
        let ended = self.tally.finished.saturating_add(self.tally.given_up);
        let barred = self.prologue_standing() == Some(Standing::Failed { retry: None }) && self.tally.serving == 0;
        self.living() == 0 && (!self.is_up() || ended >= self.wanted() || barred)
    }

    /// Whether it failed, or a worker of it for good.
    fn failure(&self) -> Option<Outcome> {
        if self.state != ServiceState::Failed && self.tally.given_up == 0 {
            return None;
        }
        let failed = |slot: &&SlotMemory| matches!(slot.standing, Standing::Failed { .. });
        let slots = self.wanted_slots().map(|index| (slot_number(index), &self.memory.slots[index]));
        let prologue = self.memory.prologue.iter().map(|prologue| (PROLOGUE, &prologue.slot));
        let outcomes = prologue.chain(slots).filter(|(_, slot)| failed(slot)).map(|(number, slot)| {
            let code = match slot.last_exit.and_then(|exit| exit.status) {
                Some(ExitStatus::Code(code)) if self.policy.unrecoverable_exit_codes.contains(&code) => code,
                Some(ExitStatus::Code(_) | ExitStatus::Signal(_) | ExitStatus::OutOfMemory) | None => 1,
            };
            Outcome { code, failed: Some((self.id(), number)) }
        });
        worst(outcomes).or(Some(Outcome { code: 1, failed: Some((self.id(), Slot(1))) }))
    }
}
