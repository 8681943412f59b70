//! All jobs of one server: one event in, actions and a verdict out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::Mono;
use crate::fault::Faults;

use super::batches::{Batches, Step};
use super::change::Change;
use super::consumers::Consumers;
use super::event::{Action, Event, Found, NewJob, Verdict};
use super::fault::Fault;
use super::number::{JobNumber, LeaseNumber};
use super::queues::Queues;
use super::record::{Place, Record};
use super::retry::{Backoff, Lots};
use super::totals::Totals;
use super::waits::Waits;
use super::wall::{Now, Wall};
use super::watches::Watches;

/// Most jobs that are kept.
pub const MOST_JOBS: usize = 50_000_000;
/// Dead jobs that are taken away at once for their age.
const AT_ONCE: usize = 100;
/// How long a deadline on the wall's clock is believed: it may be set meanwhile.
const BELIEVED: Duration = Duration::from_secs(1);

/// What a server is told once.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// How long a dead job is kept.
    pub keep_dead: Duration,
    /// Workers that may be known at once, those aside that are found to hold a job at the start.
    pub most_workers: usize,
    /// Workers that may die with a job before it is parked with the dead ones.
    pub most_deaths: u32,
    /// Random, another one at each start: it draws the numbers of leases, and the spread of retries.
    pub seed: u64,
}

/// A job, and what happens to it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) record: Record,
    /// Changes whenever it enters or leaves its queue.
    pub(super) stamp: u32,
    /// A change of it is not committed yet: until then it is nowhere.
    pub(super) is_pending: bool,
    /// It was in its queue when the server started: a worker may have had it before.
    pub(super) is_recovered: bool,
}

/// A lease, and when it runs out.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) number: JobNumber,
    pub(super) until: Mono,
    /// The process that has it; none when it was found at the start.
    pub(super) pid: Option<i64>,
    /// It has ended while what its holder said of the job was on its way, which counts if that cannot be written.
    pub(super) ended: Option<Ended>,
}

/// How a lease can end without an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended {
    /// With its worker.
    Orphaned,
    /// It did not reach its worker.
    Undelivered,
}

/// All jobs of one server.
#[derive(Debug)]
pub struct Jobs {
    pub(super) policy: Policy,
    /// A table may be half empty: what is in it is small.
    pub(super) jobs: HashMap<JobNumber, Box<Job>>,
    pub(super) by_jid: HashMap<Arc<str>, JobNumber>,
    pub(super) kinds: HashMap<Arc<str>, ()>,
    pub(super) queues: Queues,
    pub(super) scheduled: BTreeSet<(Wall, JobNumber)>,
    pub(super) retries: BTreeSet<(Wall, JobNumber)>,
    pub(super) dead: BTreeSet<(Wall, JobNumber)>,
    pub(super) leases: BTreeMap<LeaseNumber, Held>,
    pub(super) expiries: BTreeSet<(Mono, LeaseNumber)>,
    pub(super) consumers: Consumers,
    pub(super) waits: Waits,
    pub(super) watches: Watches,
    pub(super) batches: Batches,
    pub(super) next_job: u64,
    pub(super) next_lease: u64,
    /// Of types that have one of their own.
    pub(super) backoffs: HashMap<Arc<str>, Backoff>,
    pub(super) lots: Lots,
    pub(super) totals: Totals,
    pub(super) faults: Faults<Fault>,
    /// A disk that was full is not asked before to take away what is old.
    tidy_from: Mono,
}

impl Jobs {
    /// A server with what its store has. Jobs that a worker had stay its own until it is silent for too long.
    pub fn start(policy: Policy, now: Now, found: Found) -> Self {
        let mut jobs = Self {
            policy,
            jobs: HashMap::with_capacity(found.records.len()),
            by_jid: HashMap::with_capacity(found.records.len()),
            kinds: HashMap::new(),
            queues: Queues::default(),
            scheduled: BTreeSet::new(),
            retries: BTreeSet::new(),
            dead: BTreeSet::new(),
            leases: BTreeMap::new(),
            expiries: BTreeSet::new(),
            consumers: Consumers::default(),
            waits: Waits::default(),
            watches: Watches::default(),
            batches: Batches::default(),
            next_job: found.highest + 1,
            // Some that were given before a crash are written nowhere. Each start draws where it begins, so none of them
            // is given again; in JSON they stay below what other languages' numbers hold.
            next_lease: (policy.seed >> 12) + 1,
            backoffs: HashMap::new(),
            lots: Lots::new(policy.seed),
            totals: Totals::default(),
            faults: Faults::default(),
            tidy_from: Mono::default(),
        };
        let mut records = found.records;
        records.sort_unstable_by_key(|record| record.number);
        for record in records {
            jobs.recover(now, record);
        }
        for name in &found.paused {
            if let Some(index) = jobs.queues.find_or_make(name) {
                let queue = jobs.queues.get_mut(index);
                (queue.paused, queue.paused_on_disk, queue.known) = (true, true, true);
            }
        }
        jobs
    }

    /// Has jobs of a type wait like this for their next try.
    pub fn back_off(&mut self, kind: Arc<str>, backoff: Backoff) {
        self.backoffs.insert(kind, backoff);
    }

    /// Takes in what happened. All actions are to be carried out before the next event.
    pub fn handle(&mut self, now: Now, event: Event, out: &mut Vec<Action>) -> Verdict {
        match event {
            Event::Pushed(new) => self.push(now, new, out),
            Event::Fetched(fetch) => self.fetch(now, fetch, out),
            Event::Left(asker) => self.leave(asker),
            Event::Done(claim, result) => self.done(now, &claim, result, out),
            Event::Failed(claim, failure) => self.fail(now, &claim, *failure, out),
            Event::Refunded(claim) => self.refund(now, &claim, out),
            Event::Undelivered(lease) => self.undelivered(now, lease, out),
            Event::Damaged(lease) => self.damaged(now, lease, out),
            Event::Cancelled(jid) => self.cancel(&jid, out),
            Event::Greeted(greeting) => self.greet(now, greeting),
            Event::Beat(wid, stage, rss) => self.beat(now, &wid, stage, rss),
            Event::Watched(watch) => self.watch(now, watch, out),
            Event::Died(wid, pid) => self.died(now, &wid, Some(pid), out),
            Event::Steered(wids, stage) => self.steer(wids, stage, out),
            Event::Paused(names, paused) => self.pause(now, names, paused, out),
            Event::QueuesRemoved(names) => self.remove_queues(names, out),
            Event::Mutated(mutation, numbers) => self.mutate(now, mutation, &numbers, out),
            Event::Flushed => self.flush(out),
            Event::Sealed => Verdict::Batch(self.batches.seal()),
            Event::Committed(batch) => {
                self.committed(now, batch, out);
                Verdict::Done
            }
            Event::Refused(batch) if self.faults.has(Fault::RefusedCounts) => {
                self.handle(now, Event::Committed(batch), out)
            }
            Event::Refused(batch) => {
                self.tidy_from = now.mono.after(BELIEVED);
                self.refused(now, batch, out);
                Verdict::Done
            }
            Event::Ticked => {
                self.tick(now, out);
                Verdict::Done
            }
        }
    }

    /// When [`Event::Ticked`] is due next.
    pub fn deadline(&self, now: Now) -> Option<Mono> {
        let on_the_wall = [self.scheduled.first(), self.retries.first()]
            .into_iter()
            .flatten()
            .map(|(at, _)| *at)
            .min()
            .map(|at| self.believed(now, at));
        let old = self.dead.first().map(|(since, _)| self.believed(now, since.after(self.policy.keep_dead)));
        let old = old.map(|at| at.max(self.tidy_from));
        let expiry = self.expiries.first().map(|(at, _)| *at);
        // Jobs that are being flushed are due when they are back.
        let of_jobs = [on_the_wall, old, expiry].into_iter().filter(|_| self.batches.flush().is_none());
        let all = of_jobs.chain([self.consumers.deadline(), self.waits.deadline()]).flatten();
        if self.faults.has(Fault::LatestDeadline) { all.max() } else { all.min() }
    }

    /// When to look whether it is that late on the wall.
    fn believed(&self, now: Now, at: Wall) -> Mono {
        let most = if self.faults.has(Fault::ClockBelieved) { Duration::MAX } else { BELIEVED };
        now.mono.after(at.since(now.wall).min(most))
    }

    fn push(&mut self, now: Now, new: NewJob, out: &mut Vec<Action>) -> Verdict {
        if self.by_jid.contains_key(&new.jid) {
            return Verdict::Duplicate;
        }
        if self.jobs.len() >= MOST_JOBS {
            return Verdict::Full("there are as many jobs as can be kept");
        }
        let Some(index) = self.queues.find_or_make(&new.queue) else {
            return Verdict::Full("there are as many queues as there may be");
        };
        let queue = self.queues.get_mut(index);
        queue.known = true;
        let number = JobNumber(self.next_job);
        self.next_job += 1;
        let place = match new.at {
            Some(at) if at > now.wall => Place::Scheduled(at),
            Some(_) | None => Place::Enqueued,
        };
        let record = Record {
            number,
            jid: new.jid,
            queue: Arc::clone(&queue.name),
            kind: self.kind(new.kind),
            place: place.clone(),
            reserve_for: new.reserve_for,
            retry: new.retry,
            backtrace: new.backtrace,
            deaths: 0,
            enqueued_at: now.wall,
            failure: None,
        };
        out.push(Action::Keep(Change::Insert(record.clone())));
        self.by_jid.insert(Arc::clone(&record.jid), number);
        let job = Job { record, stamp: 0, is_pending: true, is_recovered: false };
        self.jobs.insert(number, Box::new(job));
        self.batches.add(Step::Appear(number));
        if self.faults.has(Fault::ReadyBeforeCommit) {
            self.appear(now, number, out);
        }
        self.totals.pushed += 1;
        Verdict::Taken(number)
    }

    /// One name for all jobs of a type.
    pub(super) fn kind(&mut self, kind: Arc<str>) -> Arc<str> {
        if let Some((known, ())) = self.kinds.get_key_value(&kind) {
            return Arc::clone(known);
        }
        // Types that somebody makes up for each job are not worth remembering.
        if self.kinds.len() < 10_000 {
            self.kinds.insert(Arc::clone(&kind), ());
        }
        kind
    }

    fn recover(&mut self, now: Now, mut record: Record) {
        let number = record.number;
        self.next_job = self.next_job.max(number.0 + 1);
        record.kind = self.kind(record.kind);
        if let Some(index) = self.queues.find_or_make(&record.queue) {
            let queue = self.queues.get_mut(index);
            queue.known = true;
            record.queue = Arc::clone(&queue.name);
        }
        // A worker may have had it: a lease counts before it is on disk, and so does that its time has come.
        let is_recovered = match record.place {
            Place::Enqueued => true,
            Place::Scheduled(at) | Place::Retry(at) => at <= now.wall,
            Place::Reserved { .. } | Place::Dead(_) => false,
        };
        if let Place::Reserved { wid, .. } = &record.place {
            let greeting =
                super::event::Greeting { wid: Arc::clone(wid), host: String::new(), pid: 0, labels: Vec::new() };
            self.consumers.greet(now.mono, now.wall, greeting);
            // None of its processes has said a word yet.
            if let Some(consumer) = self.consumers.get_mut(wid) {
                consumer.processes.clear();
            }
        }
        self.by_jid.insert(Arc::clone(&record.jid), number);
        let job = Job { record, stamp: 0, is_pending: false, is_recovered };
        self.jobs.insert(number, Box::new(job));
        self.index(now, number, false, &mut Vec::new());
    }

    /// What is due by now.
    fn tick(&mut self, now: Now, out: &mut Vec<Action>) {
        // Whoever is gone, or waits no more, gets nothing of what comes back or becomes due in the same moment.
        let endless = self.faults.has(Fault::WaitWithoutEnd);
        for asker in self.waits.over(now.mono).into_iter().filter(|_| !endless) {
            self.leave(asker);
            out.push(Action::Nothing(asker));
        }
        for wid in self.consumers.silent(now.mono) {
            self.died(now, &wid, None, out);
        }
        if self.batches.flush().is_some() {
            return;
        }
        while let Some((at, lease)) = self.expiries.first().copied().filter(|(at, _)| *at <= now.mono) {
            self.expiries.remove(&(at, lease));
            self.expire(now, lease, out);
        }
        self.promote(now, out);
        if now.mono < self.tidy_from {
            return;
        }
        let old: Vec<JobNumber> = self
            .dead
            .iter()
            .take_while(|(since, _)| since.after(self.policy.keep_dead) <= now.wall)
            .take(AT_ONCE)
            .map(|(_, number)| *number)
            .collect();
        for number in old {
            self.begin(number, None, out);
        }
    }

    /// Scheduled jobs and retries whose time has come go into their queues; after a crash they do so again.
    fn promote(&mut self, now: Now, out: &mut Vec<Action>) {
        loop {
            let scheduled = self.scheduled.first().copied();
            let due = [scheduled, self.retries.first().copied()].into_iter().flatten().min();
            let early = Duration::from_secs(if self.faults.has(Fault::PromotedEarly) { 60 } else { 0 });
            let Some((_, number)) = due.filter(|(at, _)| *at <= now.wall.after(early)) else { return };
            self.unindex(number);
            if let Some(job) = self.jobs.get_mut(&number) {
                job.record.place = Place::Enqueued;
                job.record.enqueued_at = now.wall;
                self.index(now, number, false, out);
            }
        }
    }
}
