//! One run: jobs come, children do with them what they like, the pool decides.

use std::collections::BTreeMap;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::{Epoch, ExitStatus, Pace, Slot, WorkerId};
use evercrew_core::pool::{Action, Echo, Event, Fault, Introduction, Job, JobId, Pool, Reply, Said};

use super::oracle::Oracle;
use super::temper::{Deed, Temper, kind, policy};
use crate::random::Random;
use crate::simulation::{Failure, Summary};

/// How long things go wrong, and how long they go well after that.
const BAD: u64 = 30_000;
const GOOD: u64 = 200_000;

/// What happens at a moment.
#[derive(Clone, Debug)]
enum Happening {
    Submit,
    Event(Box<Event>),
    /// A child says something; for which job that really is.
    Line(WorkerId, Said, Option<JobId>),
    Read(WorkerId, JobId),
    Exit(WorkerId, ExitStatus),
    Operate,
    StandStill(Duration),
    TurnGood,
    End,
}

/// A process.
#[derive(Clone, Debug)]
struct Process {
    temper: Temper,
    unread: Vec<JobId>,
    /// Killed: says nothing more that counts, and ends soon.
    dying: bool,
}

struct Run {
    random: Random,
    pool: Pool,
    oracle: Oracle,
    now: Mono,
    queue: BTreeMap<(Mono, u64), Happening>,
    processes: BTreeMap<WorkerId, Process>,
    next: u64,
    epoch: u64,
    good: bool,
    /// Children die when they are handed a job, mostly.
    fragile: bool,
    trace: Option<Vec<String>>,
    events: u64,
}

/// Runs one seed of a pool, with a fault planted if one is given.
///
/// # Errors
/// The first property that does not hold.
pub fn stream(seed: u64, fault: Option<Fault>, trace: bool) -> Result<Summary, Box<Failure>> {
    let mut random = Random::new(seed);
    let policy = policy(&mut random);
    let fragile = random.chance(10);
    let mut pool = Pool::new(seed);
    if let Some(fault) = fault {
        pool.plant(fault);
    }
    let mut run = Run {
        random,
        pool,
        oracle: Oracle::new(policy),
        now: Mono::default(),
        queue: BTreeMap::new(),
        processes: BTreeMap::new(),
        next: 0,
        epoch: 1,
        good: false,
        fragile,
        trace: trace.then(Vec::new),
        events: 0,
    };
    match run.play() {
        Ok(()) => Ok(Summary { events: run.events, lasted: run.now.since(Mono::default()) }),
        Err(message) => Err(Box::new(Failure {
            seed,
            at: run.now.since(Mono::default()),
            message,
            trace: run.trace.unwrap_or_default(),
        })),
    }
}

impl Run {
    fn play(&mut self) -> Result<(), String> {
        let start = Mono::default();
        let policy = self.oracle.policy.clone();
        self.at(start, Happening::Event(Box::new(Event::Defined { policy, epoch: Epoch(1) })));
        for _ in 0..self.random.between(10, 60) {
            // Bursts, so that jobs wait.
            let at = self.random.millis(0, BAD);
            for _ in 0..self.random.between(1, 20) {
                self.at(start.after(at), Happening::Submit);
            }
        }
        for _ in 0..self.random.between(0, 8) {
            let at = start.after(self.random.millis(0, BAD));
            self.at(at, Happening::Operate);
        }
        if self.random.chance(30) {
            let (at, long) = (start.after(self.random.millis(0, BAD)), self.random.millis(0, 5000));
            self.at(at, Happening::StandStill(long));
        }
        self.at(start.after(Duration::from_millis(BAD)), Happening::TurnGood);
        for second in 0..(GOOD / 1000) {
            let at = start.after(Duration::from_millis(BAD + 20_000 + second * 800));
            self.at(at, Happening::Submit);
        }
        for _ in 0..20 {
            self.at(start.after(Duration::from_millis(BAD + GOOD - 50)), Happening::Submit);
        }
        self.at(start.after(Duration::from_millis(BAD + GOOD)), Happening::End);
        while !self.oracle.over {
            let first = self.queue.first_key_value().map(|((at, _), _)| *at);
            match (self.pool.deadline(), first) {
                (Some(at), first) if first.is_none_or(|first| at <= first) => {
                    if at < self.now {
                        return Err(format!("the deadline {at:?} is over at {:?}", self.now));
                    }
                    self.now = at;
                    self.tell(Event::Tick, None)?;
                    if self.pool.deadline().is_some_and(|next| next <= self.now) {
                        return Err(format!("the deadline does not move on from {:?}", self.now));
                    }
                }
                (_, Some(_)) => self.step()?,
                (..) => return Err("nothing happens any more, and the pool is not over".to_owned()),
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        let Some(((at, _), happening)) = self.queue.pop_first() else { return Ok(()) };
        self.now = self.now.max(at);
        match happening {
            Happening::Submit => self.submit(),
            Happening::Event(event) => self.tell(*event, None),
            Happening::Line(child, said, meant) => {
                if !self.processes.contains_key(&child) {
                    return Ok(());
                }
                self.tell(Event::Said { child, said }, meant)
            }
            Happening::Read(child, job) => {
                self.read(child, job);
                Ok(())
            }
            Happening::Exit(child, status) => self.exit(child, status),
            Happening::Operate => self.operate(),
            Happening::StandStill(long) => {
                self.oracle.stood = self.oracle.stood.max(long);
                self.now = self.now.after(long);
                self.tell(Event::Tick, None)
            }
            Happening::TurnGood => self.turn_good(),
            Happening::End => {
                let now = self.random.chance(30);
                self.tell(Event::Stopped { now }, None)
            }
        }
    }

    fn at(&mut self, at: Mono, happening: Happening) {
        self.next += 1;
        self.queue.insert((at, self.next), happening);
    }

    fn soon(&mut self, most: u64, happening: Happening) {
        let at = self.now.after(self.random.millis(0, most));
        self.at(at, happening);
    }

    fn submit(&mut self) -> Result<(), String> {
        self.next += 1;
        let job = Job {
            id: JobId(self.next),
            kind: kind(u32::try_from(self.random.below(2)).unwrap_or(0)),
            key: self.random.below(50),
            timeout: self.random.chance(20).then(|| self.random.millis(200, 2000)),
            expires: self.random.chance(20).then(|| self.now.after(self.random.millis(0, 4000))),
        };
        if self.random.chance(8) {
            self.soon(1500, Happening::Event(Box::new(Event::Cancelled(job.id))));
        }
        self.tell(Event::Submitted(job), None)
    }

    fn operate(&mut self) -> Result<(), String> {
        let event = match self.random.below(7) {
            0 => Event::Scaled(u32::try_from(self.random.between(0, 6)).unwrap_or(1)),
            1 => Event::Recalled,
            2 => {
                self.epoch += 1;
                Event::Restarted { slot: None, epoch: Epoch(self.epoch), pace: Pace::Gradual }
            }
            3 => Event::Restarted { slot: Some(Slot(1)), epoch: Epoch(self.epoch), pace: Pace::Gradual },
            4 => match self.processes.keys().next() {
                Some(child) => Event::Outgrown(*child),
                None => Event::Tick,
            },
            5 => {
                let mut policy = self.oracle.policy.clone();
                policy.timeout = self.random.millis(500, 3000);
                Event::Defined { policy, epoch: Epoch(self.epoch) }
            }
            _ => Event::Recalled,
        };
        self.tell(event, None)
    }

    fn turn_good(&mut self) -> Result<(), String> {
        self.good = true;
        self.tell(Event::Scaled(2), None)?;
        // Those who were drawn in bad weather leave with it.
        for child in self.processes.keys().copied().collect::<Vec<_>>() {
            self.soon(100, Happening::Exit(child, ExitStatus::Code(1)));
        }
        self.oracle.good = Some(self.now.after(Duration::from_secs(20)));
        Ok(())
    }

    fn tell(&mut self, event: Event, meant: Option<JobId>) -> Result<(), String> {
        let mut actions = Vec::new();
        self.pool.handle(self.now, event.clone(), &mut actions);
        self.events += 1;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:?} {event:?} ({meant:?}) → {actions:?}", self.now.since(Mono::default())));
        }
        self.oracle.judge(self.now, &event, meant, &actions)?;
        let waiting = self.oracle.open.values().filter(|open| open.waits).count();
        if self.pool.waiting() != waiting {
            return Err(format!("{} wait for the pool, {waiting} wait", self.pool.waiting()));
        }
        for action in actions {
            self.perform(&action);
        }
        Ok(())
    }

    fn perform(&mut self, action: &Action) {
        match *action {
            Action::Spawn { child, .. } => self.spawn(child),
            Action::Hand { child, job } => {
                if let Some(process) = self.processes.get_mut(&child) {
                    process.unread.push(job);
                }
                if self.fragile && !self.good && self.random.chance(70) {
                    self.at(self.now, Happening::Exit(child, ExitStatus::Code(1)));
                }
                self.soon(2, Happening::Read(child, job));
            }
            Action::AskCancel { child, job } if self.random.chance(70) => {
                self.soon(200, Happening::Line(child, Said::Answer(Echo::Job(job), Reply::Cancelled), Some(job)));
            }
            Action::Close(child) => {
                let stays = self.processes.get(&child).is_some_and(|process| process.temper.stays);
                if !stays {
                    self.soon(40, Happening::Exit(child, ExitStatus::Code(0)));
                }
            }
            Action::Kill { child, .. } => {
                if let Some(process) = self.processes.get_mut(&child) {
                    process.dying = true;
                }
                self.soon(20, Happening::Exit(child, ExitStatus::Signal(None)));
            }
            Action::Signal { child, .. } => self.soon(20, Happening::Exit(child, ExitStatus::Code(0))),
            Action::AskCancel { .. } | Action::Settled { .. } | Action::Refused { .. } | Action::Began { .. } => {}
            Action::Requeued(_) | Action::Relay { .. } | Action::Noise { .. } | Action::Disregarded(_) => {}
            Action::Crew(_) | Action::Over => {}
        }
    }

    fn spawn(&mut self, child: WorkerId) {
        if !self.good && self.random.chance(5) {
            let transient = self.random.chance(50);
            return self.soon(5, Happening::Event(Box::new(Event::SpawnFailed { child, transient })));
        }
        let mut temper = Temper::draw(&mut self.random, self.good);
        if self.good && !self.oracle.speaking.is_empty() {
            // A version whose children introduce themselves does so always; silence is a fault.
            let plain = Introduction { protocol: 1, concurrency: 1, starts: false, cancels: false };
            (temper.speaks, temper.names) = (Some(temper.speaks.unwrap_or(plain)), true);
        }
        self.processes.insert(child, Process { temper, unread: Vec::new(), dying: false });
        let spawned = self.now.after(Duration::from_micros(500));
        self.at(spawned, Happening::Event(Box::new(Event::Spawned(child))));
        let booted = spawned.after(temper.boot);
        if temper.broken {
            self.at(booted, Happening::Exit(child, ExitStatus::Code(1)));
        } else if let Some(introduction) = temper.speaks {
            self.at(booted, Happening::Line(child, Said::Ready(introduction), None));
        }
    }

    fn exit(&mut self, child: WorkerId, status: ExitStatus) -> Result<(), String> {
        let Some(process) = self.processes.remove(&child) else { return Ok(()) };
        self.tell(Event::Exited { child, status, unread: process.unread }, None)
    }

    /// A child takes a job up.
    fn read(&mut self, child: WorkerId, job: JobId) {
        let Some(process) = self.processes.get_mut(&child).filter(|process| !process.dying) else { return };
        process.unread.retain(|unread| *unread != job);
        let temper = process.temper;
        let echo = if temper.names { Echo::Job(job) } else { Echo::Missing };
        if temper.speaks.is_some_and(|said| said.starts) {
            self.soon(1, Happening::Line(child, Said::Started(echo), Some(job)));
        }
        if self.random.chance(5) && temper.speaks.is_some() {
            self.soon(100, Happening::Line(child, Said::Progress(echo), Some(job)));
        }
        let most = if self.random.chance(90) { 100 } else { 2500 };
        let at = self.now.after(Duration::from_millis(102) + self.random.millis(0, most));
        let answer = |reply| Happening::Line(child, Said::Answer(echo, reply), Some(job));
        match Deed::draw(&mut self.random, self.good) {
            Deed::Answer(reply) => self.at(at, answer(reply)),
            Deed::Twice(reply) => {
                self.at(at, answer(reply));
                let again = at.after(self.random.millis(0, 1));
                self.at(again, Happening::Line(child, Said::Answer(echo, reply), None));
            }
            Deed::Stranger => {
                let stranger = if self.random.chance(50) { Echo::Stranger } else { Echo::Job(JobId(0)) };
                self.at(at, Happening::Line(child, Said::Answer(stranger, Reply::Ok), None));
            }
            Deed::Noise(reply) => {
                self.at(at, Happening::Line(child, Said::Noise, None));
                self.at(at, answer(reply));
            }
            Deed::Garbage => self.at(at, Happening::Line(child, Said::Garbage, None)),
            Deed::Nothing => {}
            Deed::Die => self.soon(300, Happening::Exit(child, ExitStatus::Code(139))),
        }
    }
}
