//! What a store would have kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evercrew_core::jobs::{Change, Found, JobNumber, Record};

/// The committed state.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) records: BTreeMap<JobNumber, Record>,
    paused: BTreeSet<Arc<str>>,
    highest: u64,
}

impl Disk {
    /// Writes a batch.
    ///
    /// # Errors
    /// A change that makes no sense to a store.
    pub(super) fn write(&mut self, changes: &[Change]) -> Result<(), String> {
        for change in changes {
            match change {
                Change::Insert(record) => {
                    self.highest = self.highest.max(record.number.0);
                    if self.records.insert(record.number, record.clone()).is_some() {
                        return Err(format!("{:?} was given twice", record.number));
                    }
                }
                Change::Move(record) => {
                    if self.records.insert(record.number, record.clone()).is_none() {
                        return Err(format!("{:?} is moved and not there", record.number));
                    }
                }
                Change::Remove(number) => {
                    self.records.remove(number);
                }
                Change::Pause(name, true) => {
                    self.paused.insert(Arc::clone(name));
                }
                Change::Pause(name, false) => {
                    self.paused.remove(name);
                }
                // Pauses are kept elsewhere.
                Change::Flush => self.records.clear(),
            }
        }
        Ok(())
    }

    /// As a server finds it at its start.
    pub(super) fn found(&self) -> Found {
        Found {
            records: self.records.values().cloned().collect(),
            paused: self.paused.iter().cloned().collect(),
            highest: self.highest,
        }
    }

    pub(super) fn paused(&self) -> BTreeSet<Arc<str>> {
        self.paused.clone()
    }
}
