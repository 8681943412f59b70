//! The deadlines of a fleet, earliest first.

use std::collections::{BTreeMap, BTreeSet};

use super::{ServiceId, Slot, Why, WorkerId};
use crate::Mono;

/// Whose deadline it is. Each owner has one: the earliest of what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A worker's phase.
    Worker(WorkerId),
    /// A slot's backoff or retry.
    Slot(ServiceId, Slot),
    /// A service's start delay.
    Service(ServiceId),
}

/// One deadline an owner, found by owner and by time.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    by_time: BTreeSet<(Mono, Timer)>,
    by_owner: BTreeMap<Timer, (Mono, Why)>,
}

impl Schedule {
    /// Replaces the owner's deadline.
    pub(super) fn set(&mut self, owner: Timer, due: Option<(Mono, Why)>) {
        let before = match due {
            Some(due) => self.by_owner.insert(owner, due),
            None => self.by_owner.remove(&owner),
        };
        if before.map(|(at, _)| at) == due.map(|(at, _)| at) {
            return;
        }
        if let Some((at, _)) = before {
            self.by_time.remove(&(at, owner));
        }
        if let Some((at, _)) = due {
            self.by_time.insert((at, owner));
        }
    }

    /// The owner's deadline.
    pub(super) fn of(&self, owner: Timer) -> Option<(Mono, Why)> {
        self.by_owner.get(&owner).copied()
    }

    /// The earliest deadline.
    pub(super) fn first(&self) -> Option<(Mono, Why)> {
        self.by_time.first().and_then(|(_, owner)| self.of(*owner))
    }

    /// All of them, earliest first.
    pub(super) fn all(&self) -> impl Iterator<Item = (Mono, Why)> + '_ {
        self.by_time.iter().filter_map(|(_, owner)| self.of(*owner))
    }

    /// The latest deadline: what a fleet with a planted fault sleeps to.
    pub(super) fn last(&self) -> Option<(Mono, Why)> {
        self.by_time.last().and_then(|(_, owner)| self.of(*owner))
    }

    /// Takes out one deadline that is due.
    pub(super) fn pop_due(&mut self, now: Mono) -> Option<Timer> {
        let (at, owner) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.set(owner, None);
        Some(owner)
    }

    /// How many owners wait.
    #[cfg(any(test, feature = "planted-faults"))]
    pub(super) fn len(&self) -> usize {
        self.by_owner.len()
    }
}
