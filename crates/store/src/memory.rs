//! The store that is only memory: for tests, and for jobs that may be lost.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind};
use crate::row::{Payload, Row};
use crate::store::{Payloads, Recovered, Recovery, Store};

/// A store without files. It ends with its process.
#[derive(Debug, Default)]
pub struct Memory {
    records: BTreeMap<u64, Vec<u8>>,
    facts: BTreeMap<Vec<u8>, Vec<u8>>,
    highest: u64,
    payloads: Shared,
}

/// What its readers see.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<HashMap<u64, Payload>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Payload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for Memory {
    fn recover(&mut self, reader: &mut dyn Recovery) -> Result<Recovered, Error> {
        self.records.iter().try_for_each(|(number, body)| reader.record(*number, body))?;
        self.facts.iter().try_for_each(|(name, body)| reader.fact(name, body))?;
        Ok(Recovered { records: self.records.len() as u64, highest: self.highest, cut: 0 })
    }

    fn commit(&mut self, batches: &[Vec<Row>]) -> Result<(), Error> {
        let mut payloads = self.payloads.lock();
        for row in batches.iter().flatten() {
            match row {
                Row::Insert { number, record, payload } => {
                    self.highest = self.highest.max(*number);
                    self.records.insert(*number, record.clone());
                    payloads.insert(*number, Arc::clone(payload));
                }
                Row::Replace { number, record } => {
                    if let Some(kept) = self.records.get_mut(number) {
                        kept.clone_from(record);
                    }
                }
                Row::Remove { number } => {
                    self.records.remove(number);
                    payloads.remove(number);
                }
                Row::Fact { name, body: Some(body) } => drop(self.facts.insert(name.clone(), body.clone())),
                Row::Fact { name, body: None } => drop(self.facts.remove(name)),
                Row::Clear => {
                    self.records.clear();
                    payloads.clear();
                }
            }
        }
        Ok(())
    }

    fn syncs(&self) -> u64 {
        0
    }

    fn payloads(&self) -> Result<Box<dyn Payloads>, Error> {
        Ok(Box::new(self.payloads.clone()))
    }

    fn close(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

impl Payloads for Shared {
    fn load(&mut self, number: u64) -> Result<Option<Payload>, Error> {
        Ok(self.lock().get(&number).cloned())
    }

    fn backup(&mut self, to: &Path) -> Result<u64, Error> {
        Err(Error::new(to, ErrorKind::Unusable, "a store in memory has nothing to copy: give the queue a file"))
    }
}
