//! The plainest account of jobs, workers and waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::jobs::{Asker, JobNumber, LeaseNumber, Now, Place, Record, Wall};

/// Who holds a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) lease: LeaseNumber,
    pub(super) wid: Arc<str>,
    /// Its process; none when that is not known.
    pub(super) pid: Option<i64>,
}

/// Where a job must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its push is not committed.
    Fresh,
    Ready,
    Later(Wall),
    Held(Holder, Mono),
    Dead(Wall),
    Gone,
}

/// What is to become of a job and is not committed.
#[derive(Clone, Debug)]
pub(super) enum Move {
    Appear,
    Become(Record),
    Vanish,
}

/// How a lease ended whose job could not be reached.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended {
    Orphaned,
    Undelivered,
}

/// One job.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// As it was before its first move.
    pub(super) state: State,
    /// One after the other. While there is one, it is out of reach.
    pub(super) moves: VecDeque<Move>,
    pub(super) ended: Option<Ended>,
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

impl Entry {
    /// Nothing of it is on its way.
    pub(super) fn is_free(&self) -> bool {
        self.moves.is_empty()
    }

    /// It is in its queue, or will be by its last move.
    pub(super) fn is_bound_for_its_queue(&self) -> bool {
        match self.moves.back() {
            None => self.state == State::Ready,
            Some(Move::Appear) => self.record.place == Place::Enqueued,
            Some(Move::Become(record)) => record.place == Place::Enqueued,
            Some(Move::Vanish) => false,
        }
    }
}

/// Who waits, where, until when.
#[derive(Clone, Debug)]
pub(super) struct Wait {
    pub(super) wid: Arc<str>,
    pub(super) pid: i64,
    pub(super) queues: Vec<Arc<str>>,
    pub(super) until: Mono,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) jobs: BTreeMap<JobNumber, Entry>,
    pub(super) by_jid: BTreeMap<Arc<str>, JobNumber>,
    pub(super) waits: BTreeMap<Asker, Wait>,
    /// Workers, and when each was heard.
    pub(super) heard: BTreeMap<Arc<str>, Mono>,
    /// Their processes that have said a word, the latest last.
    pub(super) processes: BTreeMap<Arc<str>, Vec<i64>>,
    /// Those of them that are asked to fetch no more.
    pub(super) quiet: BTreeSet<Arc<str>>,
    /// A flush is not committed: every job before it is out of reach.
    pub(super) flushing: bool,
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
                let holder = Holder { lease: *lease, wid: Arc::clone(wid), pid: None };
                State::Held(holder, now.mono.after(Duration::from_secs(record.reserve_for.into())))
            }
        }
    }

    /// The jobs that can be reached and whose state is so.
    pub(super) fn those(&self, is_so: impl Fn(&State) -> bool) -> Vec<JobNumber> {
        let is_so = |entry: &Entry| !self.flushing && entry.is_free() && is_so(&entry.state);
        self.jobs.iter().filter(|(_, entry)| is_so(entry)).map(|(number, _)| *number).collect()
    }

    /// A lease that is so ends without an answer; the jobs that can be reached, and the others in time.
    pub(super) fn end(&mut self, is_so: impl Fn(&Holder) -> bool, how: Ended) -> Vec<JobNumber> {
        let is_so = |state: &State| matches!(state, State::Held(holder, _) if is_so(holder));
        let reached = self.those(is_so);
        let others = self.jobs.iter_mut().filter(|(number, entry)| is_so(&entry.state) && !reached.contains(number));
        others.for_each(|(_, entry)| _ = entry.ended.get_or_insert(how));
        reached
    }

    /// Ready jobs of a queue that hands out.
    pub(super) fn ready<'a>(&'a self, queue: &'a str) -> impl Iterator<Item = &'a Entry> {
        let open = !self.flushing && !self.paused.contains(queue);
        let is_ready = |entry: &&Entry| entry.is_free() && entry.state == State::Ready;
        self.jobs.values().filter(is_ready).filter(move |entry| open && &*entry.record.queue == queue)
    }
}
