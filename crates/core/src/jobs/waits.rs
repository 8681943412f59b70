//! Who waits for jobs, for how long.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::Mono;

use super::number::Asker;
use super::queues::Index;

/// One that waits.
#[derive(Debug)]
pub(super) struct Wait {
    /// Ascending: who waits longer has the lower one.
    pub(super) number: u64,
    pub(super) wid: Arc<str>,
    pub(super) pid: i64,
    pub(super) queues: Vec<Index>,
    pub(super) until: Mono,
}

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct Waits {
    by_asker: HashMap<Asker, Wait>,
    by_number: HashMap<u64, Asker>,
    ends: BTreeSet<(Mono, u64)>,
    last: u64,
}

impl Waits {
    pub(super) fn add(&mut self, asker: Asker, (wid, pid): (Arc<str>, i64), queues: Vec<Index>, until: Mono) -> u64 {
        self.last += 1;
        let number = self.last;
        self.by_asker.insert(asker, Wait { number, wid, pid, queues, until });
        self.by_number.insert(number, asker);
        self.ends.insert((until, number));
        number
    }

    pub(super) fn remove(&mut self, asker: Asker) -> Option<Wait> {
        let wait = self.by_asker.remove(&asker)?;
        self.by_number.remove(&wait.number);
        self.ends.remove(&(wait.until, wait.number));
        Some(wait)
    }

    pub(super) fn asker(&self, number: u64) -> Option<Asker> {
        self.by_number.get(&number).copied()
    }

    /// Those of a worker, or of one process of it.
    pub(super) fn of_worker(&self, wid: &str, pid: Option<i64>) -> Vec<Asker> {
        let is_of = |wait: &Wait| &*wait.wid == wid && pid.is_none_or(|pid| wait.pid == pid);
        let mut askers: Vec<Asker> =
            self.by_number.values().filter(|asker| self.by_asker.get(asker).is_some_and(is_of)).copied().collect();
        askers.sort_unstable();
        askers
    }

    /// Those whose time is up.
    pub(super) fn over(&self, now: Mono) -> Vec<Asker> {
        let over = self.ends.iter().take_while(|(until, _)| *until <= now);
        over.filter_map(|(_, number)| self.asker(*number)).collect()
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.ends.first().map(|(until, _)| *until)
    }

    pub(super) fn len(&self) -> usize {
        self.by_asker.len()
    }
}
