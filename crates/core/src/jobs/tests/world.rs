//! A shell without a disk and without sockets: clients that do anything, a store that may refuse, crashes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::fault::Fault;
use super::oracle::{Oracle, Violation};
use crate::Mono;
use crate::jobs::retry::Lots;
use crate::jobs::{
    Action, Asker, BatchNumber, Change, Claim, Event, Fetch, Found, Greeting, JobNumber, Jobs, LeaseNumber, Mutation,
    NewJob, Now, Place, Policy, Record, Stage, Verdict, Wall,
};

/// What is told to a client once a batch is kept.
#[derive(Clone, Debug)]
pub(super) enum Promise {
    Pushed(String),
    Done(String),
    Gone(String),
    Failed(String),
    Flushed,
}

#[derive(Default)]
pub(super) struct Batch {
    pub(super) changes: Vec<Change>,
    pub(super) promises: Vec<Promise>,
}

const WIDS: [&str; 3] = ["worker-a", "worker-b", "worker-c"];
const QUEUES: [&str; 3] = ["low", "mid", "high"];

pub(super) struct World {
    pub(super) core: Jobs,
    now: Now,
    /// The latest time that the clock on the wall has shown: what was due then stays due when it is set back.
    latest: Wall,
    lots: Lots,
    fault: Option<Fault>,
    pub(super) disk: BTreeMap<JobNumber, Record>,
    pub(super) paused: BTreeSet<Arc<str>>,
    highest: u64,
    pub(super) open: Batch,
    pub(super) sealed: VecDeque<(BatchNumber, Batch)>,
    oracle: Oracle,
    pub(super) names: u64,
    askers: u64,
    /// What workers once had, for claims of those that have it no more.
    old: Vec<(String, LeaseNumber, &'static str)>,
    /// What workers said was done, for those that say it again.
    pub(super) said: Vec<(String, LeaseNumber)>,
    /// Workers that fetch no more.
    pub(super) quiet: BTreeSet<&'static str>,
}

const POLICY: Policy =
    Policy { keep_dead: Duration::from_secs(100_000), most_workers: 100, most_deaths: 3, seed: 7 << 12 };

impl World {
    pub(super) fn new(seed: u64, fault: Option<Fault>) -> Self {
        let now = Now { mono: Mono::from_nanos(1), wall: Wall(1_000_000_000_000_000_000) };
        let mut world = Self {
            core: Jobs::start(POLICY, now, Found::default()),
            now,
            latest: now.wall,
            lots: Lots::new(seed),
            fault,
            disk: BTreeMap::new(),
            paused: BTreeSet::new(),
            highest: 0,
            open: Batch::default(),
            sealed: VecDeque::new(),
            oracle: Oracle::default(),
            names: 0,
            askers: 0,
            old: Vec::new(),
            said: Vec::new(),
            quiet: BTreeSet::new(),
        };
        world.greet();
        world
    }

    pub(super) fn draw(&mut self, below: u32) -> u32 {
        self.lots.draw() % below
    }

    fn greet(&mut self) {
        for wid in WIDS {
            let greeting = Greeting { wid: wid.into(), host: String::new(), pid: 0, labels: Vec::new() };
            self.core.handle(self.now, Event::Greeted(greeting), &mut Vec::new());
        }
    }

    pub(super) fn tell(&mut self, event: Event) -> Result<Verdict, Violation> {
        let mut actions = Vec::new();
        self.latest = self.latest.max(self.now.wall);
        let verdict = self.core.handle(self.now, event, &mut actions);
        for action in actions {
            match action {
                Action::Keep(change) => {
                    self.promise_removal(&change);
                    self.open.changes.push(change);
                }
                Action::Grant(asker, grants) => {
                    self.oracle.waiting.remove(&asker.0);
                    for grant in grants {
                        let record = self.core.record(grant.number).expect("it was granted").clone();
                        let Place::Reserved { wid, .. } = &record.place else { panic!("granted and not reserved") };
                        let wid = WIDS.into_iter().find(|known| **known == **wid).expect("known");
                        if self.quiet.contains(wid) {
                            return Err(Violation::Quiet(wid.to_owned()));
                        }
                        self.release_lost(&record.jid);
                        self.oracle.granted(&record.jid, grant.lease, self.latest)?;
                        self.old.push((record.jid.to_string(), grant.lease, wid));
                    }
                }
                Action::Nothing(asker) => {
                    if self.oracle.waiting.remove(&asker.0).is_none() {
                        return Err(Violation::Answered(asker.0));
                    }
                }
                Action::Ended(..) | Action::Finished(..) | Action::Forget(_) | Action::ForgetBelow(_) => {}
            }
        }
        self.drop_ended();
        Ok(verdict)
    }

    /// A lease that the core has ended (expiry, death) is no longer held: workers may be told late, the next holder is
    /// told by another number.
    fn release_lost(&mut self, jid: &str) {
        let is_current = self.oracle.held.get(jid).is_some_and(|lease| self.core.holds(*lease));
        if !is_current {
            self.oracle.held.remove(jid);
        }
    }

    fn drop_ended(&mut self) {
        let core = &self.core;
        self.oracle.held.retain(|_, lease| core.holds(*lease));
    }

    pub(super) fn step(&mut self) -> Result<(), Violation> {
        match self.draw(30) {
            0..=5 => self.push()?,
            6..=9 => self.fetch()?,
            10..=12 => self.finish()?,
            13 => self.stale()?,
            14..=17 => self.commit(true)?,
            18 => self.commit(false)?,
            19 => self.pass()?,
            20 => {
                let wid = WIDS[self.draw(3) as usize];
                self.tell(Event::Died(wid.into(), 0))?;
                self.quiet.remove(wid);
                self.greet();
            }
            21 => {
                let names = Some(vec![QUEUES[self.draw(3) as usize].into()]);
                let paused = self.draw(2) == 0;
                self.tell(Event::Paused(names, paused))?;
            }
            22 => self.mutate()?,
            23 => self.seal()?,
            24 | 25 => self.say_again()?,
            26 => self.cancel()?,
            27 => {
                let names = Some(vec![QUEUES[self.draw(3) as usize].into()]);
                self.tell(Event::QueuesRemoved(names))?;
            }
            28 if self.draw(3) == 0 => self.flush()?,
            28 if self.draw(3) == 0 => {
                let wid = WIDS[self.draw(3) as usize];
                self.quiet.insert(wid);
                self.tell(Event::Steered(Some(vec![wid.into()]), Stage::Quiet))?;
            }
            28 => {}
            _ => self.crash(),
        }
        self.compare()?;
        self.oracle.check(&self.core, self.pending())
    }

    /// A batch goes to the disk, and nothing is known of it yet.
    fn seal(&mut self) -> Result<(), Violation> {
        if self.sealed.len() < 2
            && let Verdict::Batch(Some(batch)) = self.tell(Event::Sealed)?
        {
            let open = std::mem::take(&mut self.open);
            self.sealed.push_back((batch, open));
        }
        Ok(())
    }

    /// Somebody is told once that batch is kept.
    pub(super) fn promise_once(&mut self, verdict: &Verdict, promise: Promise) {
        match verdict {
            Verdict::OnCommitOf(batch) if self.fault != Some(Fault::AnswerWithNext) => {
                let sealed = self.sealed.iter_mut().find(|(number, _)| number == batch);
                sealed.expect("it is on its way").1.promises.push(promise);
            }
            Verdict::OnCommit | Verdict::OnCommitOf(_) => self.open.promises.push(promise),
            _ => {}
        }
    }

    fn pending(&self) -> usize {
        self.core.pending()
    }

    fn push(&mut self) -> Result<(), Violation> {
        self.names += 1;
        let jid = format!("job-{}", self.names);
        let at =
            (self.draw(4) == 0).then(|| self.now.wall.after(Duration::from_secs(self.lots.draw().into()) / 1_000_000));
        let new = NewJob {
            jid: jid.as_str().into(),
            queue: QUEUES[self.draw(3) as usize].into(),
            kind: "kind".into(),
            reserve_for: 1 + self.draw(100),
            retry: i32::try_from(self.draw(4)).expect("small") - 1,
            backtrace: 0,
            at,
        };
        if let Verdict::Taken(number) = self.tell(Event::Pushed(new))? {
            self.highest = self.highest.max(number.0);
            self.oracle.not_before.extend(at.map(|at| (jid.clone(), at)));
            self.promise(Promise::Pushed(jid), Fault::AnswerEarly);
        }
        Ok(())
    }

    fn promise(&mut self, promise: Promise, early: Fault) {
        if self.fault == Some(early) {
            self.keep(promise);
        } else {
            self.open.promises.push(promise);
        }
    }

    /// A client is told.
    fn keep(&mut self, promise: Promise) {
        match promise {
            Promise::Pushed(jid) => {
                self.oracle.alive.insert(jid);
            }
            Promise::Done(jid) => {
                self.oracle.alive.remove(&jid);
                self.oracle.done.insert(jid);
            }
            Promise::Gone(jid) => {
                self.oracle.alive.remove(&jid);
                self.oracle.done.insert(jid);
            }
            Promise::Flushed => {
                let mut alive = std::mem::take(&mut self.oracle.alive);
                self.oracle.done.append(&mut alive);
            }
            Promise::Failed(jid) => *self.oracle.failed.entry(jid).or_default() += 1,
        }
    }

    fn fetch(&mut self) -> Result<(), Violation> {
        self.askers += 1;
        let wid = WIDS[self.draw(3) as usize];
        let first = self.draw(3) as usize;
        let queues = vec![QUEUES[first].to_owned(), QUEUES[(first + 1) % 3].to_owned()];
        let fetch = Fetch {
            asker: Asker(self.askers),
            wid: wid.into(),
            pid: 0,
            queues: queues.iter().map(|name| name.as_str().into()).collect(),
            most: 1 + self.draw(2),
            wait: Duration::from_secs(2),
        };
        self.oracle.waiting.insert(self.askers, if self.quiet.contains(wid) { Vec::new() } else { queues });
        match self.tell(Event::Fetched(fetch))? {
            Verdict::Waits if self.draw(3) == 0 => {
                self.oracle.waiting.remove(&self.askers);
                self.tell(Event::Left(Asker(self.askers)))?;
            }
            Verdict::Unknown => {
                self.oracle.waiting.remove(&self.askers);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn claim(&self, jid: &str, lease: LeaseNumber) -> Claim {
        let lease = (self.fault != Some(Fault::NoFence)).then_some(lease);
        Claim { jid: jid.into(), lease, wid: None }
    }

    /// Somebody who has a job says what became of it.
    fn finish(&mut self) -> Result<(), Violation> {
        let held: Vec<(String, LeaseNumber)> =
            self.oracle.held.iter().map(|(jid, lease)| (jid.clone(), *lease)).collect();
        if held.is_empty() {
            return Ok(());
        }
        let (jid, lease) = held[self.draw(u32::try_from(held.len()).expect("few")) as usize].clone();
        let claim = self.claim(&jid, lease);
        match self.draw(4) {
            0 | 1 => {
                self.said.push((jid.clone(), lease));
                match self.tell(Event::Done(claim, None))? {
                    Verdict::OnCommit => self.promise(Promise::Done(jid), Fault::AcknowledgeEarly),
                    verdict => self.promise_once(&verdict, Promise::Done(jid)),
                }
            }
            2 => {
                let retry = self.core.find(&jid).and_then(|number| self.core.record(number)).map(|record| record.retry);
                let verdict = self.tell(Event::Failed(claim, Box::default()))?;
                let is_thrown_away = retry == Some(0);
                self.promise_once(&verdict, if is_thrown_away { Promise::Gone(jid) } else { Promise::Failed(jid) });
            }
            _ => {
                self.tell(Event::Refunded(claim))?;
            }
        }
        Ok(())
    }

    /// Somebody who has a job no more speaks of it all the same.
    fn stale(&mut self) -> Result<(), Violation> {
        let held: BTreeSet<LeaseNumber> = self.oracle.held.values().copied().collect();
        // A crash before the end of a lease was written makes it hold again.
        let has_ended = |lease| !held.contains(lease) && !self.core.holds(*lease);
        let old: Vec<_> = self.old.iter().filter(|(_, lease, _)| has_ended(lease)).cloned().collect();
        let Some((jid, lease, _)) = old.last().cloned() else { return Ok(()) };
        let look =
            |core: &Jobs| core.find(&jid).and_then(|number| core.record(number)).map(|record| record.place.clone());
        // After a start anew a job that nobody has may have been this one's.
        let before = look(&self.core);
        let number = self.core.find(&jid);
        let is_found = number.and_then(|number| self.core.jobs.get(&number)).is_some_and(|job| job.is_recovered);
        if is_found || before == Some(Place::Enqueued) || before.is_none() || self.core.is_pending(&jid).1 {
            return Ok(());
        }
        let claim = self.claim(&jid, lease);
        self.tell(Event::Done(claim, None))?;
        let is_as_before = look(&self.core) == before && !self.core.is_pending(&jid).1;
        if is_as_before { Ok(()) } else { Err(Violation::Stale(jid)) }
    }

    fn mutate(&mut self) -> Result<(), Violation> {
        let sets = [crate::jobs::Set::Scheduled, crate::jobs::Set::Retries, crate::jobs::Set::Dead];
        let set = sets[self.draw(3) as usize];
        let members = self.core.members(set);
        let mutation = [Mutation::Requeue, Mutation::Kill][self.draw(2) as usize];
        if mutation == Mutation::Requeue {
            for number in &members {
                if let Some(record) = self.core.record(*number) {
                    self.oracle.not_before.remove(&*record.jid);
                }
            }
        }
        self.tell(Event::Mutated(mutation, members))?;
        Ok(())
    }

    /// A batch goes to the disk, which keeps it or not.
    fn commit(&mut self, kept: bool) -> Result<(), Violation> {
        self.seal()?;
        let Some((number, batch)) = self.sealed.pop_front() else { return Ok(()) };
        if kept {
            self.write(batch.changes);
        }
        if kept || self.fault == Some(Fault::BelieveRefused) {
            self.tell(Event::Committed(number))?;
            batch.promises.into_iter().for_each(|promise| self.keep(promise));
        } else {
            self.tell(Event::Refused(number))?;
        }
        Ok(())
    }

    fn write(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Insert(record) => {
                    self.disk.insert(record.number, record);
                }
                Change::Move(_) if self.fault == Some(Fault::ForgetMoves) => {}
                Change::Move(record) => {
                    if let Some(kept) = self.disk.get_mut(&record.number) {
                        *kept = record;
                    }
                }
                Change::Remove(number) => {
                    self.disk.remove(&number);
                }
                Change::Pause(name, true) => {
                    self.paused.insert(name);
                }
                Change::Pause(name, false) => {
                    self.paused.remove(&name);
                }
                Change::Flush if self.fault == Some(Fault::ForgetFlush) => {}
                Change::Flush => self.disk.clear(),
            }
        }
    }

    /// Time passes on both clocks, or the wall's is set.
    fn pass(&mut self) -> Result<(), Violation> {
        let by = Duration::from_millis(u64::from(self.draw(200_000)));
        self.now.mono = self.now.mono.after(by);
        self.now.wall = match self.draw(8) {
            0 => Wall(self.now.wall.0.saturating_sub(3_600_000_000_000)),
            1 => self.now.wall.after(Duration::from_secs(3600)),
            _ => self.now.wall.after(by),
        };
        if self.fault != Some(Fault::SleepOn) {
            self.tell(Event::Ticked)?;
        }
        // Whoever was silent for too long comes back as a new one.
        self.quiet.retain(|wid| self.core.consumer(wid).is_some());
        self.greet();
        match self.core.deadline(self.now) {
            Some(at) if at <= self.now.mono => Err(Violation::Late),
            _ => Ok(()),
        }
    }

    /// Everything that is not on disk is gone.
    fn crash(&mut self) {
        self.open = Batch::default();
        self.sealed.clear();
        self.oracle.waiting.clear();
        self.quiet.clear();
        let found = Found {
            records: self.disk.values().cloned().collect(),
            paused: self.paused.iter().cloned().collect(),
            highest: self.highest,
        };
        // Time goes on while nothing runs.
        self.now.wall = self.now.wall.after(Duration::from_secs(2));
        let seed = u64::from(self.lots.draw()) << 32;
        let policy = if self.fault == Some(Fault::ForgetLeases) { POLICY } else { Policy { seed, ..POLICY } };
        self.core = Jobs::start(policy, self.now, found);
        self.greet();
        self.drop_ended();
    }

    /// In good weather everything that was answered comes to its end.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        self.tell(Event::Paused(None, false))?;
        for wid in std::mem::take(&mut self.quiet) {
            self.tell(Event::Died(wid.into(), 0))?;
        }
        self.greet();
        for _ in 0..200 {
            self.commit(true)?;
            self.mutate_all()?;
            self.now.mono = self.now.mono.after(Duration::from_secs(200));
            self.now.wall = self.now.wall.after(Duration::from_secs(1_000_000_000));
            self.greet();
            if self.fault != Some(Fault::SleepOn) {
                self.tell(Event::Ticked)?;
            }
            self.fetch()?;
            let held: Vec<(String, LeaseNumber)> =
                self.oracle.held.iter().map(|(jid, lease)| (jid.clone(), *lease)).collect();
            for (jid, lease) in held {
                let claim = self.claim(&jid, lease);
                if self.tell(Event::Done(claim, None))? == Verdict::OnCommit {
                    self.open.promises.push(Promise::Done(jid));
                }
            }
            self.oracle.check(&self.core, self.pending())?;
        }
        Ok(())
    }

    fn mutate_all(&mut self) -> Result<(), Violation> {
        let dead = self.core.members(crate::jobs::Set::Dead);
        self.tell(Event::Mutated(Mutation::Requeue, dead))?;
        Ok(())
    }
}
