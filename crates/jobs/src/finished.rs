//! The last jobs that were done, for whoever asks after them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::jobs::{Record, Wall};

use crate::info;

/// How many are remembered.
const MOST: usize = 10_000;
/// Bytes of results and failures that are remembered.
const MOST_BYTES: usize = 16 << 20;

/// A job that is done.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    pub(crate) jid: Arc<str>,
    pub(crate) kind: Arc<str>,
    pub(crate) queue: Arc<str>,
    pub(crate) at: Wall,
    pub(crate) tries: u32,
    /// How it failed before that, if it did, in JSON.
    pub(crate) attempts: Option<Box<str>>,
    pub(crate) result: Option<Arc<str>>,
}

impl Finished {
    /// This job, done now.
    pub(crate) fn new(record: &Record, at: Wall, result: Option<Arc<str>>) -> Self {
        Self {
            jid: Arc::clone(&record.jid),
            kind: Arc::clone(&record.kind),
            queue: Arc::clone(&record.queue),
            at,
            tries: info::tries(record),
            attempts: record.failure.as_ref().map(|_| serde_json::json!(info::attempts(record)).to_string().into()),
            result,
        }
    }

    fn bytes(&self) -> usize {
        self.result.as_ref().map_or(0, |result| result.len()) + self.attempts.as_ref().map_or(0, |text| text.len())
    }
}

/// The last of them, in memory: they are no part of what is kept.
#[derive(Debug)]
pub(crate) struct FinishedJobs {
    jobs: VecDeque<Finished>,
    by_jid: HashMap<Arc<str>, u64>,
    /// The number of the first that is here.
    first: u64,
    bytes: usize,
    keep: Duration,
}

impl FinishedJobs {
    pub(crate) fn new(keep: Duration) -> Self {
        Self { jobs: VecDeque::new(), by_jid: HashMap::new(), first: 0, bytes: 0, keep }
    }

    /// Remembers one, and forgets the oldest ones where there is no room.
    pub(crate) fn add(&mut self, job: Finished) {
        self.bytes += job.bytes();
        self.by_jid.insert(Arc::clone(&job.jid), self.first + self.jobs.len() as u64);
        self.jobs.push_back(job);
        while self.jobs.len() > MOST || self.bytes > MOST_BYTES {
            self.forget_first();
        }
    }

    /// Forgets all, as after a flush.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.keep);
    }

    fn forget_first(&mut self) {
        let Some(job) = self.jobs.pop_front() else { return };
        self.bytes -= job.bytes();
        // A job of the same name may have been done since.
        if self.by_jid.get(&job.jid) == Some(&self.first) {
            self.by_jid.remove(&job.jid);
        }
        self.first += 1;
    }

    /// The one that is called so, if it was done not too long ago.
    pub(crate) fn find(&mut self, now: Wall, jid: &str) -> Option<&Finished> {
        while self.jobs.front().is_some_and(|job| now.since(job.at) > self.keep) {
            self.forget_first();
        }
        let index = self.by_jid.get(jid)?.checked_sub(self.first)?;
        self.jobs.get(usize::try_from(index).ok()?)
    }

    /// The last ones, the latest first.
    pub(crate) fn latest(&self) -> impl ExactSizeIterator<Item = &Finished> {
        self.jobs.iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(jid: &str, at: u64) -> Finished {
        let name: Arc<str> = jid.into();
        let result = Some(name.clone());
        Finished { jid: name, kind: "K".into(), queue: "q".into(), at: Wall(at), tries: 1, attempts: None, result }
    }

    #[test]
    fn the_last_ones_are_remembered_for_a_while() {
        let mut jobs = FinishedJobs::new(Duration::from_nanos(100));
        for number in 0..MOST + 2 {
            jobs.add(job(&format!("job-{number}"), 5));
        }
        assert!(jobs.find(Wall(5), "job-1").is_none());
        assert_eq!(jobs.find(Wall(5), "job-2").map(|job| job.at), Some(Wall(5)));
        jobs.add(job("job-2", 7));
        assert_eq!(jobs.find(Wall(106), "job-2").map(|job| job.at), Some(Wall(7)));
        assert_eq!(jobs.latest().len(), 1);
        assert!(jobs.find(Wall(108), "job-2").is_none());
        assert_eq!(jobs.bytes, 0);
    }
}
