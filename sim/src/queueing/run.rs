//! One run: producers push, workers do as they like, the server is killed at any point.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::jobs::{
    Action, Asker, Backoff, BatchNumber, Change, Claim, Event, Fault, Found, Jobs, Mutation, NewJob, Now, Policy, Set,
    Stage, Verdict, Wall,
};

use super::account::State;
use super::disk::Disk;
use super::expect::{KEEP_DEAD, MOST_DEATHS, MOST_WORKERS, OWN_FIRST, OWN_KIND, OWN_MOST};
use super::oracle::Oracle;
use crate::random::Random;
use crate::simulation::{Failure, Summary};

/// The time of day at which a run begins.
const DAWN: u64 = 1_800_000_000_000_000_000;
/// How long anything bad happens, in milliseconds.
const BAD: u64 = 120_000;
/// Afterwards everything is done in this time: the longest retry, reservation and schedule, one after the other, and by
/// a clock that was an hour ahead.
const LONGEST: Duration = Duration::from_secs(4500);
pub(super) const QUEUES: [&str; 3] = ["high", "low", "other"];

/// What happens at a moment.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Push,
    Fetch(Arc<str>),
    Beat(Arc<str>),
    Hire,
    /// A worker dies, or is silent from now on.
    End(Arc<str>, bool),
    /// Another process goes by a worker's name, before the one that did so ends.
    Replace(Arc<str>),
    Event(Event),
    /// Jobs are taken away by the queue, or all of them, after a pause that nobody waited for.
    Sweep,
    /// The batch that is written is on disk, or refused.
    Written(BatchNumber, bool),
    SetClock,
    Kill,
}

pub(super) struct Run {
    pub(super) random: Random,
    pub(super) jobs: Jobs,
    oracle: Oracle,
    disk: Disk,
    open: Vec<Change>,
    in_flight: Option<(BatchNumber, Vec<Change>)>,
    fault: Option<Fault>,
    /// Nothing bad happens in this run at all.
    is_fair: bool,
    pub(super) now: Mono,
    /// The wall is at dawn, plus the time that passed, plus this.
    ahead: i64,
    stepped: Mono,
    /// When the shell wakes up by itself. Nobody tells it that the clock on the wall was set.
    wakes: Option<Mono>,
    queue: BTreeMap<(Mono, u64), Happening>,
    /// The process of each.
    pub(super) workers: BTreeMap<Arc<str>, i64>,
    pub(super) waiting: BTreeMap<Asker, Arc<str>>,
    pushed: u64,
    pub(super) next: u64,
    events: u64,
    trace: Option<Vec<String>>,
}

/// Runs one seed of a queue server, with a fault planted if one is given.
///
/// # Errors
/// The first property that does not hold.
pub fn queue(seed: u64, fault: Option<Fault>, trace: bool) -> Result<Summary, Box<Failure>> {
    let mut random = Random::new(seed);
    let is_fair = random.chance(15);
    let mut run = Run {
        jobs: Jobs::start(policy(seed), Now::default(), Found::default()),
        random,
        oracle: Oracle::default(),
        disk: Disk::default(),
        open: Vec::new(),
        in_flight: None,
        fault,
        is_fair,
        now: Mono::default().after(Duration::from_secs(1000)),
        ahead: 0,
        stepped: Mono::default(),
        wakes: None,
        queue: BTreeMap::new(),
        workers: BTreeMap::new(),
        waiting: BTreeMap::new(),
        pushed: 0,
        next: 0,
        events: 0,
        trace: trace.then(Vec::new),
    };
    let began = run.now;
    match run.play() {
        Ok(()) => Ok(Summary { events: run.events, lasted: run.now.since(began) }),
        Err(message) => {
            Err(Box::new(Failure { seed, at: run.now.since(began), message, trace: run.trace.unwrap_or_default() }))
        }
    }
}

fn policy(seed: u64) -> Policy {
    Policy { keep_dead: KEEP_DEAD, most_workers: MOST_WORKERS, most_deaths: MOST_DEATHS, seed }
}

impl Run {
    fn play(&mut self) -> Result<(), String> {
        self.start();
        let workers = if self.random.chance(20) { 0 } else { self.random.between(1, 5) };
        for _ in 0..workers {
            self.soon(1000, Happening::Hire);
        }
        for _ in 0..self.random.between(1, 60) {
            self.soon(BAD, Happening::Push);
        }
        for _ in 0..self.random.between(0, 3) {
            let names = Some(vec![self.queue_name()]);
            self.soon(BAD - 20_000, Happening::Event(Event::Paused(names.clone(), true)));
            self.soon(BAD, Happening::Event(Event::Paused(names, false)));
        }
        if !self.is_fair {
            for _ in 0..self.random.between(0, 6) {
                self.soon(BAD, Happening::Kill);
            }
            for _ in 0..self.random.between(0, 5) {
                self.soon(BAD, Happening::Sweep);
            }
            for _ in 0..self.random.between(0, 2) {
                self.soon(BAD, Happening::SetClock);
            }
        }
        let end = self.now.after(Duration::from_millis(BAD));
        self.at(end, Happening::Beat(Arc::from("nobody")));
        self.until(end)?;
        self.clear_up()?;
        let end = self.now.after(LONGEST);
        while !self.oracle.is_over() {
            if self.now >= end {
                return Err(format!("some jobs never came to an end: {:?}", self.oracle.account.jobs));
            }
            self.step()?;
        }
        if self.is_fair && self.oracle.grants != self.pushed {
            return Err(format!("{} jobs were handed out {} times", self.pushed, self.oracle.grants));
        }
        Ok(())
    }

    /// From now on the weather is good: the clock is right, no queue is paused, and there is somebody who works.
    fn clear_up(&mut self) -> Result<(), String> {
        self.is_fair = self.is_fair && self.oracle.grants > 0;
        self.ahead = 0;
        self.stepped = self.now;
        for name in QUEUES {
            self.tell(Event::Paused(Some(vec![Arc::from(name)]), false))?;
        }
        self.soon(0, Happening::Hire);
        Ok(())
    }

    pub(super) fn is_good(&self) -> bool {
        self.is_fair || self.now.since(Mono::default()) >= Duration::from_millis(1_000_000 + BAD)
    }

    fn until(&mut self, end: Mono) -> Result<(), String> {
        while self.now < end {
            self.step()?;
        }
        Ok(())
    }

    pub(super) fn clocks(&self) -> Now {
        let passed = self.now.since(Mono::default().after(Duration::from_secs(1000)));
        let passed = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        Now { mono: self.now, wall: Wall((DAWN + passed).saturating_add_signed(self.ahead)) }
    }

    fn step(&mut self) -> Result<(), String> {
        let first = self.queue.first_key_value().map(|((at, _), _)| *at);
        match (self.wakes, first) {
            (Some(at), first) if first.is_none_or(|first| at <= first) => {
                // A shell that is told of a moment in the past wakes up at once, and must not do so for ever.
                self.now = self.now.max(at).after(Duration::from_micros(1));
                self.tell(Event::Ticked)?;
            }
            (_, Some(_)) => {
                let Some(((at, _), happening)) = self.queue.pop_first() else { return Ok(()) };
                self.now = self.now.max(at);
                if matches!(happening, Happening::SetClock) {
                    return self.happen(happening);
                }
                self.happen(happening)?;
            }
            (..) => return Err("nothing will ever happen".to_owned()),
        }
        self.commit()?;
        self.wakes = self.jobs.deadline(self.clocks());
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Push => self.push(),
            Happening::Fetch(wid) => self.fetch(&wid),
            Happening::Beat(wid) => {
                if self.workers.contains_key(&wid) {
                    self.soon_between(10_000, 20_000, Happening::Beat(Arc::clone(&wid)));
                    self.tell(Event::Beat(wid, Stage::Running, 0))?;
                }
                Ok(())
            }
            Happening::Hire => self.hire(),
            Happening::End(wid, is_seen) => {
                let pid = self.workers.remove(&wid);
                self.soon(5000, Happening::Hire);
                if let Some(pid) = pid.filter(|_| is_seen) { self.tell(Event::Died(wid, pid)) } else { Ok(()) }
            }
            Happening::Replace(wid) => self.replace(&wid),
            Happening::Event(event) => self.tell(event),
            Happening::Sweep => self.sweep(),
            Happening::Written(batch, is_refused) => self.written(batch, is_refused),
            Happening::SetClock if self.is_good() => Ok(()),
            Happening::SetClock => {
                let by = i64::try_from(self.random.between(1, 3600)).unwrap_or(0) * 1_000_000_000;
                self.ahead = if self.random.chance(50) { by } else { -by };
                self.stepped = self.now;
                Ok(())
            }
            Happening::Kill if self.is_good() => Ok(()),
            Happening::Kill => self.kill(),
        }
    }

    pub(super) fn at(&mut self, at: Mono, happening: Happening) {
        self.next += 1;
        self.queue.insert((at, self.next), happening);
    }

    pub(super) fn soon(&mut self, most: u64, happening: Happening) {
        self.soon_between(0, most, happening);
    }

    fn soon_between(&mut self, least: u64, most: u64, happening: Happening) {
        let at = self.now.after(self.random.millis(least, most));
        self.at(at, happening);
    }

    fn queue_name(&mut self) -> Arc<str> {
        Arc::from(*self.random.pick(&QUEUES))
    }

    fn push(&mut self) -> Result<(), String> {
        for _ in 0..self.random.between(1, 4) {
            self.pushed += 1;
            let jid = Arc::from(format!("job-{}", self.pushed));
            let wall = self.clocks().wall;
            let at = self.random.chance(30).then(|| wall.after(self.random.millis(0, 100_000)));
            let retry = i32::try_from(self.random.below(5)).unwrap_or(0) - 1;
            let reserve_for = u32::try_from(self.random.between(2, 60)).unwrap_or(60);
            let (queue, kind, backtrace) = (self.queue_name(), Arc::from(*self.random.pick(&["kind", OWN_KIND])), 0);
            if !self.is_good() && self.random.chance(3) {
                self.soon(40, Happening::Event(Event::Cancelled(Arc::clone(&jid))));
            }
            self.tell(Event::Pushed(NewJob { jid, queue, kind, reserve_for, retry, backtrace, at }))?;
        }
        Ok(())
    }

    /// Jobs are pushed, a queue is paused, and jobs are taken away, close together.
    fn sweep(&mut self) -> Result<(), String> {
        if self.is_good() {
            return Ok(());
        }
        if self.random.chance(50) {
            self.push()?;
        }
        if self.random.chance(50) {
            let names = Some(vec![self.queue_name()]);
            self.tell(Event::Paused(names, true))?;
        }
        let names = vec![self.queue_name()];
        match self.random.below(4) {
            0 => self.tell(Event::QueuesRemoved(Some(names)))?,
            1 => self.tell(Event::QueuesRemoved(None))?,
            _ => self.tell(Event::Flushed)?,
        }
        if self.random.chance(30) {
            self.soon(20, Happening::Sweep);
        }
        if self.random.chance(20) {
            let wids: Vec<_> = self.workers.keys().take(1).cloned().collect();
            self.tell(Event::Steered(Some(wids), Stage::Quiet))?;
        }
        if self.random.chance(50) { self.push() } else { Ok(()) }
    }

    pub(super) fn tell(&mut self, event: Event) -> Result<(), String> {
        let mut actions = Vec::new();
        let now = self.clocks();
        let verdict = self.jobs.handle(now, event.clone(), &mut actions);
        self.events += 1;
        if let Some(trace) = &mut self.trace {
            let at = self.now.since(Mono::default());
            trace.push(format!("{at:?} {:?} {event:?} → {verdict:?} {actions:?}", now.wall.0));
        }
        self.oracle.judge((now, self.stepped), &event, &verdict, &actions)?;
        for action in actions {
            match action {
                Action::Keep(change) => self.open.push(change),
                Action::Grant(asker, grants) => {
                    let Some(wid) = self.waiting.remove(&asker) else { continue };
                    for grant in grants {
                        self.work(&wid, &grant);
                    }
                    self.soon(1000, Happening::Fetch(wid));
                }
                Action::Nothing(asker) => {
                    if let Some(wid) = self.waiting.remove(&asker) {
                        self.soon_between(1, 1000, Happening::Fetch(wid));
                    }
                }
                Action::Ended(..) | Action::Finished(..) | Action::Forget(_) | Action::ForgetBelow(_) => {}
            }
        }
        Ok(())
    }

    /// Hands over what is open when nothing is being written.
    fn commit(&mut self) -> Result<(), String> {
        if !self.is_good() && self.random.rarely(5) {
            let mutation = *self.random.pick(&[Mutation::Requeue, Mutation::Kill, Mutation::Discard]);
            let set = *self.random.pick(&[Set::Scheduled, Set::Retries, Set::Dead]);
            let numbers = self.jobs.members(set);
            self.tell(Event::Mutated(mutation, numbers))?;
        }
        if self.in_flight.is_some() {
            return Ok(());
        }
        let mut actions = Vec::new();
        let verdict = self.jobs.handle(self.clocks(), Event::Sealed, &mut actions);
        self.oracle.judge((self.clocks(), self.stepped), &Event::Sealed, &verdict, &actions)?;
        match verdict {
            Verdict::Batch(Some(batch)) => {
                let is_refused = !self.is_good() && self.random.chance(12);
                self.in_flight = Some((batch, std::mem::take(&mut self.open)));
                self.soon_between(1, 30, Happening::Written(batch, is_refused));
            }
            _ if !self.open.is_empty() => return Err(format!("{:?} is never written", self.open)),
            _ => {}
        }
        Ok(())
    }

    fn written(&mut self, batch: BatchNumber, is_refused: bool) -> Result<(), String> {
        let Some((in_flight, changes)) = self.in_flight.take_if(|(in_flight, _)| *in_flight == batch) else {
            return Ok(());
        };
        if is_refused {
            self.tell(Event::Refused(in_flight))?;
        } else {
            self.disk.write(&changes)?;
            self.tell(Event::Committed(in_flight))?;
        }
        self.oracle.compare(&self.disk)
    }

    /// The server is killed: what was on its way may have come to the disk, what was open has not.
    fn kill(&mut self) -> Result<(), String> {
        if let Some((_, changes)) = self.in_flight.take()
            && self.random.chance(50)
        {
            self.disk.write(&changes)?;
        }
        self.queue.retain(|_, happening| !matches!(happening, Happening::Written(..)));
        self.open.clear();
        self.now = self.now.after(self.random.millis(1, 3000));
        // What became due meanwhile is looked at soon.
        self.stepped = self.now;
        self.start();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:?} killed", self.now.since(Mono::default())));
        }
        self.oracle.restarted(self.clocks(), &self.disk)?;
        self.waiting.clear();
        for wid in self.workers.keys().cloned().collect::<Vec<_>>() {
            let next = if self.greet(&wid)? { Happening::Fetch(wid) } else { Happening::Hire };
            self.soon(1000, next);
        }
        // Somebody speaks of a job that is not due.
        let later = self.oracle.account.those(|state| matches!(state, State::Later(_)));
        if let Some(number) = later.first().filter(|_| self.random.chance(30)) {
            let jid = Arc::clone(&self.oracle.account.jobs[number].record.jid);
            self.tell(Event::Done(Claim { jid, lease: None, wid: None }, None))?;
        }
        Ok(())
    }

    fn start(&mut self) {
        let seed = self.random.draw();
        self.jobs = Jobs::start(policy(seed), self.clocks(), self.disk.found());
        self.jobs.back_off(Arc::from(OWN_KIND), Backoff::Doubling(OWN_FIRST, OWN_MOST));
        if let Some(fault) = self.fault {
            self.jobs.plant(fault);
        }
    }
}
