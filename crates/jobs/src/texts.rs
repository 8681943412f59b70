//! The texts of jobs that are kept in memory.

use std::collections::HashMap;
use std::sync::Arc;

use evercrew_core::jobs::JobNumber;

/// The texts of jobs, as far as there is room for them.
#[derive(Debug)]
pub(crate) struct Texts {
    by_number: HashMap<JobNumber, Arc<[u8]>>,
    bytes: u64,
    most: u64,
}

impl Texts {
    pub(crate) fn new(most: u64) -> Self {
        Self { by_number: HashMap::new(), bytes: 0, most }
    }

    /// Keeps the text of a job, whether there is room or not: it is not on disk yet.
    pub(crate) fn insert(&mut self, number: JobNumber, text: Arc<[u8]>) {
        self.bytes += text.len() as u64;
        self.by_number.insert(number, text);
    }

    /// The text of a job, if it is here.
    pub(crate) fn get(&self, number: JobNumber) -> Option<&Arc<[u8]>> {
        self.by_number.get(&number)
    }

    /// Gives up the text of a job.
    pub(crate) fn remove(&mut self, number: JobNumber) {
        if let Some(text) = self.by_number.remove(&number) {
            self.bytes -= text.len() as u64;
        }
    }

    /// Gives up the texts of all jobs below this number.
    pub(crate) fn remove_below(&mut self, number: JobNumber) {
        let stay = std::mem::take(&mut self.by_number).into_iter().filter(|(own, _)| *own >= number);
        self.by_number = stay.collect();
        self.bytes = self.by_number.values().map(|text| text.len() as u64).sum();
    }

    /// Whether more is here than there is room for.
    pub(crate) fn is_over(&self) -> bool {
        self.bytes > self.most
    }

    /// Whether that many bytes more have room.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.bytes + bytes as u64 <= self.most
    }

    /// Bytes that are here.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}
