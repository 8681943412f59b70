//! One event in, actions out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bench::Bench;
use super::child::{Child, Held, Phase};
use super::event::{Action, Event};
use super::fault::Fault;
use super::job::{Entry, Job, JobId, Kind, Place};
use super::lines::Lines;
use super::outcome::{Outcome, Refusal};
use super::policy::Policy;
use super::timers::{Timer, Timers};
use super::view::Counts;
use crate::Mono;
use crate::fault::Faults;
use crate::fleet::{Action as Deed, Epoch, Event as Order, Fleet, WorkerId};
use crate::lots::Lots;

/// So many jobs are remembered by key that have ended a child; beyond that any one is forgotten for a new one.
const SUSPECTS: usize = 1024;
/// A deadline that is served this late is not served by a process that ran all the time.
const LATE: Duration = Duration::from_millis(200);
/// So long a job has still, when its time passed while the pool itself did not run: its answer may be there already.
const SPARED: Duration = Duration::from_secs(1);

/// A pool of warm children.
///
/// # Examples
///
/// ```
/// use evercrew_core::Mono;
/// use evercrew_core::fleet::{Epoch, WorkerId};
/// use evercrew_core::pool::{Action, Event, Introduction, Job, JobId, Kind, Policy, Pool, Said};
///
/// let (mut pool, mut out, now) = (Pool::new(1), Vec::new(), Mono::from_nanos(0));
/// pool.handle(now, Event::Defined { policy: Policy::basic(1), epoch: Epoch(1) }, &mut out);
/// let job = Job { id: JobId(1), kind: Kind(0), key: 1, timeout: None, expires: None };
/// pool.handle(now, Event::Submitted(job), &mut out);
/// pool.handle(now, Event::Spawned(WorkerId(1)), &mut out);
/// let hand = Action::Hand { child: WorkerId(1), job: JobId(1) };
/// assert!(!out.contains(&hand), "the child is not ready");
/// let said = Said::Ready(Introduction { protocol: 1, concurrency: 1, starts: false, cancels: false });
/// pool.handle(now, Event::Said { child: WorkerId(1), said }, &mut out);
/// assert!(out.contains(&hand));
/// ```
#[derive(Debug)]
pub struct Pool {
    pub(super) fleet: Fleet,
    pub(super) policy: Policy,
    pub(super) now: Mono,
    pub(super) jobs: BTreeMap<JobId, Entry>,
    pub(super) children: BTreeMap<WorkerId, Child>,
    pub(super) lines: Lines,
    pub(super) bench: Bench,
    /// How many more jobs those on the bench can take.
    pub(super) free: u64,
    pub(super) timers: Timers,
    /// Versions of which a child has introduced itself: others of them are expected to.
    pub(super) speaking: Vec<Epoch>,
    /// How many children a job has ended, by its key.
    pub(super) suspects: BTreeMap<u64, u32>,
    pub(super) uses: u64,
    pub(super) lots: Lots,
    pub(super) counts: Counts,
    pub(super) stopping: bool,
    /// Every child has left that was to leave.
    pub(super) crew_is_gone: bool,
    pub(super) over: bool,
    pub(super) deeds: Vec<Deed>,
    pub(super) faults: Faults<Fault>,
}

impl Pool {
    /// A pool without children. `seed` makes the spread of its times.
    pub fn new(seed: u64) -> Self {
        Self {
            fleet: Fleet::new(seed),
            policy: Policy::basic(0),
            now: Mono::default(),
            jobs: BTreeMap::new(),
            children: BTreeMap::new(),
            lines: Lines::default(),
            bench: Bench::default(),
            free: 0,
            timers: Timers::default(),
            speaking: Vec::new(),
            suspects: BTreeMap::new(),
            uses: 0,
            lots: Lots::new(seed),
            counts: Counts::default(),
            stopping: false,
            crew_is_gone: false,
            over: false,
            deeds: Vec::new(),
            faults: Faults::default(),
        }
    }

    /// Takes in what happened at `now` and adds to `out` what has to be done, in order.
    ///
    /// What is due by then is done first, so an answer that comes with its deadline is late. A moment before the last one
    /// counts as the last one. News of children and jobs that are gone changes nothing.
    pub fn handle(&mut self, now: Mono, event: Event, out: &mut Vec<Action>) {
        if self.over {
            return;
        }
        self.now = self.now.max(now);
        self.pass(out);
        match event {
            Event::Tick => {}
            Event::Defined { policy, epoch } => self.define(policy, epoch, out),
            Event::Submitted(job) => self.submit(job, out),
            Event::Cancelled(job) => self.cancel(job, out),
            Event::Recalled => self.recall(out),
            Event::Scaled(children) => self.scale(children, out),
            Event::Restarted { slot, epoch, pace } => self.restart(slot, epoch, pace, out),
            Event::Stopped { now } => self.stop(now, out),
            Event::Spawned(child) => self.spawned(child, out),
            Event::SpawnFailed { child, transient } => self.spawn_failed(child, transient, out),
            Event::Said { child, said } => self.hear(child, said, out),
            Event::Outgrown(child) => self.outgrow(child, out),
            Event::Exited { child, status, unread } => self.exited(child, status, &unread, out),
        }
        self.dispatch(out);
        if self.crew_is_gone && self.children.is_empty() {
            self.over = true;
            out.push(Action::Over);
        }
    }

    /// When time has to be told next. After [`handle`](Self::handle) it is later than the moment handled.
    pub fn deadline(&self) -> Option<Mono> {
        let crew = self.fleet.deadline().map(|(at, _)| at);
        if self.faults.has(Fault::LatestDeadline) {
            return self.timers.last().max(crew);
        }
        match (self.timers.first(), crew) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// How many jobs children would take at once, beyond those that wait: so many may be fetched.
    pub fn room(&self) -> u64 {
        if self.stopping { 0 } else { self.free.saturating_sub(self.lines.len() as u64) }
    }

    /// Serves what is due.
    fn pass(&mut self, out: &mut Vec<Action>) {
        while let Some((at, timer)) = self.timers.pop(self.now) {
            match timer {
                Timer::Plain(child) => self.take_for_plain(child, out),
                Timer::Doubt(child) => self.trust_again(child),
                Timer::Idle(child) => self.idled(child, out),
                Timer::Leave(child) => self.overstayed(child, out),
                Timer::Job(job) => self.late(job, at, out),
                Timer::Expiry(job) => self.expire(job, out),
            }
        }
        if self.fleet.deadline().is_some_and(|(at, _)| at <= self.now) {
            self.order(Order::Tick, out);
        }
    }

    fn submit(&mut self, job: Job, out: &mut Vec<Action>) {
        let full = self.lines.len() >= self.policy.waiting && !self.faults.has(Fault::QueueUnbounded);
        let why = match () {
            () if self.stopping => Some(Refusal::Stopping),
            () if self.jobs.contains_key(&job.id) => Some(Refusal::Twice),
            // What a free child takes at once does not wait.
            () if full && self.room() == 0 => Some(Refusal::Full),
            () => None,
        };
        if let Some(why) = why {
            self.counts.refused += 1;
            return out.push(Action::Refused { job: job.id, why });
        }
        self.counts.taken += 1;
        if job.expires.is_some_and(|at| at <= self.now) && !self.faults.has(Fault::ExpiryForgotten) {
            self.counts.expired += 1;
            return out.push(Action::Settled { job: job.id, outcome: Outcome::Expired, child: None });
        }
        let at = self.lines.push(self.line_of(job.kind), job.id);
        if let Some(expires) = job.expires {
            self.timers.set(expires, Timer::Expiry(job.id));
        }
        self.jobs.insert(job.id, Entry { job, place: Place::Waiting(at), returns: 0 });
    }

    /// Hands out what waits as long as somebody is free.
    pub(super) fn dispatch(&mut self, out: &mut Vec<Action>) {
        while self.lines.len() > 0 {
            let Some(child) = self.choose() else { return };
            let (policy, faults) = (&self.policy, &self.faults);
            let weight = |kind| {
                let weight = policy.weights.get(&kind).copied().unwrap_or(1);
                if faults.has(Fault::WeightsIgnored) { 1 } else { weight }
            };
            let Some(job) = self.lines.pop(weight) else { return };
            self.hand(child, job, out);
        }
    }

    fn choose(&self) -> Option<WorkerId> {
        if self.faults.has(Fault::RoundRobin) || self.faults.has(Fault::BoundEarly) {
            let early = self.faults.has(Fault::BoundEarly);
            let usable = |child: &Child| child.phase == Phase::Serving || (early && child.phase == Phase::Booting);
            let count = self.children.values().filter(|child| usable(child)).count().max(1);
            let turn = usize::try_from(self.uses).unwrap_or(0) % count;
            let in_turn = self.children.iter().filter(|(_, child)| usable(child)).nth(turn);
            return in_turn.filter(|(_, child)| !early || child.hands.is_empty()).map(|(id, _)| *id);
        }
        let planted = [Fault::OneTooMany, Fault::DoomedIsUsed, Fault::LeavingIsUsed];
        if planted.iter().any(|fault| self.faults.has(*fault)) {
            let usable = |child: &Child| match child.phase {
                Phase::Serving => child.in_hand() < child.takes + u32::from(self.faults.has(Fault::OneTooMany)),
                Phase::Doomed(_) => self.faults.has(Fault::DoomedIsUsed) && child.hands.is_empty(),
                Phase::Leaving => self.faults.has(Fault::LeavingIsUsed) && child.in_hand() < child.takes,
                Phase::Booting | Phase::Closed => false,
            };
            return self.children.iter().find(|(_, child)| usable(child)).map(|(id, _)| *id);
        }
        if self.faults.has(Fault::LeastRecent) { self.bench.last() } else { self.bench.first() }
    }

    fn hand(&mut self, id: WorkerId, job: JobId, out: &mut Vec<Action>) {
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        entry.place = Place::With(id);
        let (timeout, expires) = (entry.job.timeout.unwrap_or(self.policy.timeout), entry.job.expires);
        let due = self.now.after(timeout);
        self.timers.unset(expires, Timer::Expiry(job));
        self.timers.set(due, Timer::Job(job));
        self.uses += 1;
        let uses = self.uses;
        let now = self.now;
        let Some(child) = self.children.get_mut(&id) else { return };
        if child.hands.is_empty() {
            child.changed = now;
            self.timers.unset(child.idle_at.take(), Timer::Idle(id));
        }
        child.used = uses;
        child.hands.push(Held { job, since: now, due, timeout, started: false, cancelled: false, spared: false });
        self.sit(id);
        out.push(Action::Hand { child: id, job });
    }

    /// Puts a child where it belongs: on the bench while it can take a job.
    pub(super) fn sit(&mut self, id: WorkerId) {
        let Some(child) = self.children.get_mut(&id) else { return };
        if let Some(seat) = child.seat.take() {
            self.bench.remove(&seat);
            self.free -= u64::from(child.takes.saturating_sub(seat.0));
        }
        let free = child.free();
        if free > 0 {
            let seat = child.seat(id);
            child.seat = Some(seat);
            self.bench.add(seat);
            self.free += u64::from(free);
        }
    }

    /// A child may take another number of jobs from here on, or none.
    pub(super) fn change(&mut self, id: WorkerId, change: impl FnOnce(&mut Child)) {
        let Some(child) = self.children.get_mut(&id) else { return };
        if let Some(seat) = child.seat.take() {
            self.bench.remove(&seat);
            self.free -= u64::from(child.takes.saturating_sub(seat.0));
        }
        change(child);
        self.sit(id);
    }

    fn cancel(&mut self, job: JobId, out: &mut Vec<Action>) {
        let Some(entry) = self.jobs.get(&job).copied() else { return };
        match entry.place {
            Place::Waiting(at) => {
                self.lines.remove(self.line_of(entry.job.kind), at);
                self.settle(job, Outcome::Cancelled, None, out);
            }
            Place::With(child) => self.let_go(child, job, out),
        }
    }

    fn expire(&mut self, job: JobId, out: &mut Vec<Action>) {
        let Some(Entry { job: Job { kind, .. }, place: Place::Waiting(at), .. }) = self.jobs.get(&job).copied() else {
            return;
        };
        if !self.faults.has(Fault::ExpiryForgotten) {
            self.lines.remove(self.line_of(kind), at);
            self.settle(job, Outcome::Expired, None, out);
        }
    }

    /// A job's time in hand is over. Where the pool itself stood still its answer may be there, unread: it has some more.
    fn late(&mut self, job: JobId, at: Mono, out: &mut Vec<Action>) {
        let Some(Place::With(id)) = self.jobs.get(&job).map(|entry| entry.place) else { return };
        let (now, away) = (self.now, self.now.since(at) > LATE);
        let Some(held) = self.children.get_mut(&id).and_then(|child| child.held(job)) else { return };
        if away && !held.spared {
            held.spared = true;
            held.due = now.after(SPARED);
            return self.timers.set(held.due, Timer::Job(job));
        }
        if !self.faults.has(Fault::TimeoutForgotten) {
            self.time_out(id, job, out);
        }
    }

    /// Hands back everything that waits.
    pub(super) fn recall(&mut self, out: &mut Vec<Action>) {
        for job in self.lines.drain() {
            self.settle(job, Outcome::Returned { begun: false }, None, out);
        }
    }

    pub(super) fn line_of(&self, kind: Kind) -> Kind {
        if self.faults.has(Fault::OneLine) { Kind(0) } else { kind }
    }

    /// One more child was ended by the job of this key; gives how many that makes.
    pub(super) fn suspect(&mut self, key: u64) -> u32 {
        if self.suspects.len() >= SUSPECTS && !self.suspects.contains_key(&key) {
            self.suspects.pop_first();
        }
        let count = self.suspects.entry(key).or_insert(0);
        *count += 1;
        *count
    }
}
