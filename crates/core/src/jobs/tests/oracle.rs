//! What must hold, from outside.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::{Jobs, LeaseNumber, Wall};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// An answered push is nowhere.
    Lost(String),
    /// A job whose ACK was answered is handed out again.
    Again(String),
    /// Two workers have a job at once.
    Shared(String),
    /// A lease's number was given before.
    OldLease(LeaseNumber),
    /// Somebody whose lease had ended changed something.
    Stale(String),
    /// Somebody waits though there is a job.
    Idle(String),
    /// A job came before its time.
    Early(String),
    /// A deadline that is past was left behind.
    Late,
    /// Somebody who asked got two answers, or one that nobody asked for.
    Answered(u64),
    /// A failure that was answered is no longer counted.
    Forgotten(String),
    /// The counts of the sets do not add up.
    Counts(usize, usize),
    /// A worker that was asked to fetch no more got a job.
    Quiet(String),
    /// With nothing on its way, memory has other jobs or pauses than the disk.
    Differs(Vec<u64>, Vec<u64>),
    /// As that, for queues that are paused.
    Paused(Vec<String>),
}

/// Everything that clients were told.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    /// Pushes that were answered and whose job has not ended.
    pub(super) alive: BTreeSet<String>,
    /// Jobs whose ACK was answered.
    pub(super) done: BTreeSet<String>,
    /// Who has which job, as far as workers know.
    pub(super) held: BTreeMap<String, LeaseNumber>,
    leases: BTreeSet<LeaseNumber>,
    /// Not before which time.
    pub(super) not_before: BTreeMap<String, Wall>,
    /// How often workers were told that a failure is noted.
    pub(super) failed: BTreeMap<String, u32>,
    /// Who waits, at which queues.
    pub(super) waiting: BTreeMap<u64, Vec<String>>,
}

impl Oracle {
    /// A job is handed out.
    pub(super) fn granted(&mut self, jid: &str, lease: LeaseNumber, wall: Wall) -> Result<(), Violation> {
        if self.done.contains(jid) {
            return Err(Violation::Again(jid.to_owned()));
        }
        if !self.leases.insert(lease) {
            return Err(Violation::OldLease(lease));
        }
        if self.not_before.get(jid).is_some_and(|at| *at > wall) {
            return Err(Violation::Early(jid.to_owned()));
        }
        match self.held.insert(jid.to_owned(), lease) {
            Some(_) => Err(Violation::Shared(jid.to_owned())),
            None => Ok(()),
        }
    }

    /// What holds after each step.
    pub(super) fn check(&self, core: &Jobs, pending: usize) -> Result<(), Violation> {
        for jid in &self.alive {
            let Some(record) = core.find(jid).and_then(|number| core.record(number)) else {
                return Err(Violation::Lost(jid.clone()));
            };
            let count = record.failure.as_ref().map_or(0, |failure| failure.count);
            if self.failed.get(jid).is_some_and(|told| *told > count) {
                return Err(Violation::Forgotten(jid.clone()));
            }
        }
        let queues = core.queues();
        let is_flushing = core.batches.flush().is_some();
        for names in self.waiting.values().filter(|_| !is_flushing) {
            let open = queues
                .iter()
                .find(|queue| !queue.paused && queue.size > 0 && names.iter().any(|name| **name == *queue.name));
            if let Some(queue) = open {
                return Err(Violation::Idle(queue.name.to_string()));
            }
        }
        let sets = core.places();
        if sets + pending != core.len() {
            return Err(Violation::Counts(sets + pending, core.len()));
        }
        Ok(())
    }
}
