//! The plainest account of jobs, workers and waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::jobs::{Asker, JobNumber, LeaseNumber, Now, Place, Record, Wall};

/// Who holds a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) lease: LeaseNumber,
    pub(super) wid: Arc<str>,
}

/// Where a job must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its push is not committed.
    Fresh,
    Ready,
    Later(Wall),
    Held(Holder, Mono),
    /// What becomes of it is not committed; where it comes to, or nowhere for good.
    Moving(Box<State>, Option<Record>),
    Dead(Wall),
    Gone,
}

/// One job.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) state: State,
    /// As it was last told to the store, or found there.
    pub(super) record: Record,
    /// Who held it when the server was killed, if the store does not know.
    pub(super) forgotten: Option<Holder>,
    /// It was found at a start and nobody has had it since: an answer about it may count.
    pub(super) found: bool,
    /// The order in its queue; none when it has come back.
    pub(super) order: Option<u64>,
    /// Its push was answered.
    pub(super) answered: bool,
}

/// Of which worker, at which queues, until when.
type Wait = (Arc<str>, Vec<Arc<str>>, Mono);

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) jobs: BTreeMap<JobNumber, Entry>,
    pub(super) by_jid: BTreeMap<Arc<str>, JobNumber>,
    pub(super) waits: BTreeMap<Asker, Wait>,
    /// Workers, and when each was heard.
    pub(super) heard: BTreeMap<Arc<str>, Mono>,
    pub(super) paused: BTreeSet<Arc<str>>,
    /// So it is on disk.
    pub(super) kept_paused: BTreeSet<Arc<str>>,
    orders: u64,
}

impl Account {
    pub(super) fn order(&mut self) -> u64 {
        self.orders += 1;
        self.orders
    }

    /// Where a record says that its job is.
    pub(super) fn state(now: Now, record: &Record) -> State {
        match &record.place {
            Place::Enqueued => State::Ready,
            Place::Scheduled(at) | Place::Retry(at) => State::Later(*at),
            Place::Dead(since) => State::Dead(*since),
            Place::Reserved { lease, wid, .. } => {
                let holder = Holder { lease: *lease, wid: Arc::clone(wid) };
                State::Held(holder, now.mono.after(Duration::from_secs(record.reserve_for.into())))
            }
        }
    }

    /// The jobs whose state is so.
    pub(super) fn those(&self, is_so: impl Fn(&State) -> bool) -> Vec<JobNumber> {
        self.jobs.iter().filter(|(_, entry)| is_so(&entry.state)).map(|(number, _)| *number).collect()
    }

    /// Ready jobs of a queue that hands out.
    pub(super) fn ready<'a>(&'a self, queue: &'a str) -> impl Iterator<Item = &'a Entry> {
        let open = !self.paused.contains(queue);
        self.jobs.values().filter(move |entry| open && entry.state == State::Ready && &*entry.record.queue == queue)
    }
}
