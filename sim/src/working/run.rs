//! One run: a worker, its handlers, its server and the network between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::work::{
    Abilities, Action, Answer, Broke, End, Event, Fault, LinkId, Outcome, Question, RunId, Settings, Stage, Worker,
};

use super::oracle::Oracle;
use super::server::{Job, Oops, Server};
use crate::random::Random;
use crate::simulation::{Failure, Summary};

/// How long anything bad happens, in milliseconds.
pub(super) const BAD: u64 = 120_000;
/// Everything is done in this time afterwards: one slot runs them all, one after the other.
const LONGEST: Duration = Duration::from_secs(4000);
/// A worker works again so long after its server.
const AGAIN: Duration = Duration::from_millis(2600);

/// What happens at a moment.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Push,
    /// An attempt at a connection reaches the server's machine, or does not.
    Knock(LinkId),
    Tell(Event<Job, Oops>),
    Reach(LinkId, Question<Oops>),
    Reply(LinkId, Answer<Job, Oops>),
    Serve,
    Cut,
    Mute,
    Down,
    Up,
    Stall(bool),
    Refuse(bool),
    Forget,
    Hint(Stage),
    /// Whether it works again.
    Look(Mono),
}

pub(super) struct Run {
    pub(super) random: Random,
    worker: Worker<Job, Oops>,
    settings: Settings,
    oracle: Oracle,
    pub(super) server: Server,
    handlers: BTreeMap<RunId, Job>,
    /// Attempts and connections that the worker has not closed; true once they are open.
    links: BTreeMap<LinkId, bool>,
    mute: BTreeSet<LinkId>,
    /// The last moment at which something reaches an end of a link: nothing overtakes.
    order: BTreeMap<(LinkId, bool), Mono>,
    pub(super) black_hole: bool,
    trouble: Mono,
    fetched: Mono,
    now: Mono,
    queue: BTreeMap<(Mono, u64), Happening>,
    next: u64,
    end: Option<End>,
    pub(super) is_good: bool,
    events: u64,
    trace: Option<Vec<String>>,
}

/// Runs one seed of a worker, with a fault planted if one is given.
///
/// # Errors
/// The first property that does not hold.
pub fn work(seed: u64, fault: Option<Fault>, trace: bool) -> Result<Summary, Box<Failure>> {
    let mut random = Random::new(seed);
    let settings = Settings {
        slots: random.between(1, 8) as u32,
        prefetch: if random.chance(50) { 0 } else { random.between(1, 4) as u32 },
        weights: random.chance(30).then(|| vec![3, 2, 1]),
        seed,
        ..Settings::default()
    };
    let mut worker = Worker::new(settings.clone());
    if let Some(fault) = fault {
        worker.plant(fault);
    }
    let server = Server::new(random.chance(60));
    let mut run = Run {
        random,
        worker,
        settings,
        oracle: Oracle::default(),
        server,
        handlers: BTreeMap::new(),
        links: BTreeMap::new(),
        mute: BTreeSet::new(),
        order: BTreeMap::new(),
        black_hole: false,
        trouble: Mono::default(),
        fetched: Mono::default(),
        now: Mono::default().after(Duration::from_secs(1000)),
        queue: BTreeMap::new(),
        next: 0,
        end: None,
        is_good: false,
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

impl Run {
    fn play(&mut self) -> Result<(), String> {
        for _ in 0..self.random.between(10, 150) {
            self.soon(BAD, Happening::Push);
        }
        self.plan_trouble();
        let ends_early = self.random.chance(25);
        if ends_early {
            let stop = if self.random.chance(30) { Event::StoppedAtOnce } else { Event::Stopped };
            self.soon(BAD, Happening::Tell(stop));
        } else if self.random.chance(15) {
            let hint = if self.random.chance(50) { Stage::Quiet } else { Stage::Terminating };
            self.soon(BAD, Happening::Hint(hint));
        }
        self.tell(Event::Ticked)?;
        let bad_end = self.now.after(Duration::from_millis(BAD + 1000));
        self.until(bad_end)?;
        self.clear_up()?;
        let end = self.now.after(LONGEST);
        let is_leaving = self.oracle.is_stopping() || self.server.hint.is_some();
        while !is_leaving && !self.is_all_done() {
            if self.now >= end {
                return Err(format!("some jobs never came to an end: {:?}", self.server.open()));
            }
            self.step()?;
        }
        // Some of these run when the worker is told to stop.
        for _ in 0..10 {
            self.happen(Happening::Push)?;
        }
        let soon = self.now.after(self.random.millis(0, 3000));
        self.until(soon)?;
        let stop = if self.random.chance(25) { Event::StoppedAtOnce } else { Event::Stopped };
        self.happen(Happening::Tell(stop))?;
        while self.end.is_none() {
            self.step()?;
        }
        self.account(is_leaving)
    }

    fn is_all_done(&self) -> bool {
        self.server.open().is_empty() && self.worker.owed() == 0
    }

    /// In good weather a worker that ended has left nothing behind.
    fn account(&mut self, ended_early: bool) -> Result<(), String> {
        let Some(end) = self.end else { return Err("it did not end".to_owned()) };
        if end.undelivered > 0 && !ended_early {
            return Err(format!("{} results were not delivered", end.undelivered));
        }
        // What was asked last reaches the server, which then has nothing that is with this worker.
        let end = self.now.after(Duration::from_secs(1));
        self.at(end, Happening::Serve);
        self.until(end)?;
        match self.server.leased() {
            0 => Ok(()),
            _ if ended_early => Ok(()),
            leased => Err(format!("{leased} jobs are still with a worker that is no more")),
        }
    }

    fn until(&mut self, end: Mono) -> Result<(), String> {
        self.at(end, Happening::Serve);
        while self.now < end {
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        let first = self.queue.first_key_value().map(|((at, _), _)| *at);
        match (self.worker.deadline().filter(|_| self.end.is_none()), first) {
            (Some(at), first) if first.is_none_or(|first| at <= first) => {
                self.now = self.now.max(at).after(Duration::from_micros(1));
                self.tell(Event::Ticked)
            }
            (_, Some(_)) => {
                let Some(((at, _), happening)) = self.queue.pop_first() else { return Ok(()) };
                self.now = self.now.max(at);
                self.happen(happening)
            }
            (..) => Err("nothing will ever happen".to_owned()),
        }
    }

    pub(super) fn happen(&mut self, happening: Happening) -> Result<(), String> {
        self.note(|| format!("{happening:?}"));
        match happening {
            Happening::Push => {
                let number = self.random.below(60);
                self.server.push(number);
            }
            Happening::Tell(event) => {
                match &event {
                    Event::Stopped if self.end.is_none() => self.oracle.stop(self.now, false),
                    Event::StoppedAtOnce if self.end.is_none() => self.oracle.stop(self.now, true),
                    Event::Finished(run, outcome) => {
                        if self.handlers.remove(run).is_none() {
                            return Ok(());
                        }
                        self.oracle.finish(*run, outcome);
                    }
                    _ => {}
                }
                return self.tell(event);
            }
            Happening::Knock(link) => return self.knock(link),
            Happening::Reach(link, question) => {
                let is_lost = self.mute.contains(&link) && self.random.chance(50);
                if !is_lost {
                    self.server.ask(link, question);
                }
            }
            Happening::Reply(link, answer) => return self.reply(link, answer),
            Happening::Serve => {}
            Happening::Cut => {
                self.trouble = self.now;
                if let Some(link) = self.any_link() {
                    self.cut(link);
                }
            }
            Happening::Mute => {
                self.trouble = self.now;
                let link = self.any_link();
                self.mute.extend(link);
            }
            Happening::Down => {
                self.trouble = self.now;
                (self.server.up, self.black_hole) = (false, self.random.chance(40));
                for link in self.server.links() {
                    if self.black_hole {
                        self.mute.insert(link);
                    } else {
                        self.cut(link);
                    }
                }
            }
            Happening::Up => {
                // Connections of before are not known to it.
                if !self.server.up {
                    self.server.links().into_iter().for_each(|link| self.server.leave(link, true));
                }
                self.server.up = true;
                self.look_later();
            }
            Happening::Stall(stalls) => {
                self.trouble = self.now;
                self.server.stalled = stalls;
            }
            Happening::Refuse(refuses) => {
                self.trouble = self.now;
                self.server.refuses = refuses;
            }
            Happening::Forget => self.server.forget_worker(),
            Happening::Hint(stage) => self.server.hint = Some(stage),
            Happening::Look(since) => return self.look(since),
        }
        self.serve();
        Ok(())
    }

    fn look_later(&mut self) {
        if !self.server.stalled && !self.server.refuses {
            self.at(self.now.after(AGAIN), Happening::Look(self.now));
        }
    }

    /// Whether a worker fetches again, when nothing was in its way since then.
    fn look(&mut self, since: Mono) -> Result<(), String> {
        let is_free = self.worker.running() + self.worker.held() < self.settings.slots as usize;
        // A connection that swallows what is sent is noticed in its own time.
        let swallows = self.links.keys().any(|link| self.mute.contains(link));
        let may = self.worker.stage() == Stage::Running && self.end.is_none() && self.server.up && !self.server.stalled;
        if may && is_free && !swallows && self.trouble < since && self.fetched < since {
            return Err("the server is there again, and nobody fetches".to_owned());
        }
        Ok(())
    }

    fn any_link(&mut self) -> Option<LinkId> {
        let open: Vec<LinkId> = self.links.iter().filter(|(_, open)| **open).map(|(link, _)| *link).collect();
        (!open.is_empty()).then(|| *self.random.pick(&open))
    }

    /// Both ends hear of it.
    fn cut(&mut self, link: LinkId) {
        self.server.leave(link, true);
        let delay = self.random.millis(0, 5);
        self.at(self.now.after(delay), Happening::Tell(Event::Broken(link, Broke::Lost)));
        self.mute.insert(link);
    }

    fn knock(&mut self, link: LinkId) -> Result<(), String> {
        if self.links.get(&link) != Some(&false) {
            return Ok(());
        }
        if self.server.stalled {
            self.at(self.now.after(Duration::from_millis(100)), Happening::Knock(link));
        } else if self.server.up {
            self.links.insert(link, true);
            self.server.greet(self.now, link);
            self.oracle.up(self.now, link);
            let fenced = self.server.fenced;
            return self.tell(Event::Opened(link, Abilities { bulk: fenced, refund: fenced }));
        } else if self.black_hole {
            self.at(self.now.after(Duration::from_secs(1)), Happening::Knock(link));
        } else {
            return self.tell(Event::Broken(link, Broke::Lost));
        }
        Ok(())
    }

    fn serve(&mut self) {
        for (link, answer) in self.server.work(self.now) {
            let at = self.in_order(link, true);
            self.at(at, Happening::Reply(link, answer));
        }
    }

    /// When something sent on a link arrives: after what was sent there before.
    fn in_order(&mut self, link: LinkId, to_worker: bool) -> Mono {
        let at = self.now.after(self.random.millis(0, 3));
        let last = self.order.entry((link, to_worker)).or_default();
        *last = at.max(last.after(Duration::from_nanos(1)));
        *last
    }

    fn reply(&mut self, link: LinkId, answer: Answer<Job, Oops>) -> Result<(), String> {
        let arrives = self.links.get(&link) == Some(&true) && !self.mute.contains(&link);
        if !arrives {
            if let Answer::Jobs(jobs) = answer {
                // Their reservation ends some day.
                jobs.iter().for_each(|job| self.server.lost(&job.claim));
            }
            return Ok(());
        }
        self.oracle.answered(self.now, link);
        match &answer {
            Answer::Beat(evercrew_core::work::Hint::Quiet) => self.oracle.quiet(),
            Answer::Beat(evercrew_core::work::Hint::Terminate) => self.oracle.stop(self.now, false),
            _ => {}
        }
        self.tell(Event::Answered(link, answer))
    }

    fn tell(&mut self, event: Event<Job, Oops>) -> Result<(), String> {
        if self.end.is_some() {
            return Ok(());
        }
        self.events += 1;
        self.note(|| format!("  {event:?}"));
        if let Event::Broken(link, _) = &event {
            self.links.remove(link);
            self.oracle.close(*link);
        }
        let mut actions = Vec::new();
        self.worker.handle(self.now, [event], &mut actions);
        for action in actions {
            self.note(|| format!("    {action:?}"));
            self.perform(action)?;
        }
        if self.end.is_some() {
            return Ok(());
        }
        self.oracle.look(self.now, &self.settings, self.worker.held(), self.worker.deadline())
    }

    fn perform(&mut self, action: Action<Job, Oops>) -> Result<(), String> {
        match action {
            Action::Open(link, reports) => {
                self.oracle.open(self.now, link, reports)?;
                self.links.insert(link, false);
                let delay = self.random.millis(0, 5);
                self.at(self.now.after(delay), Happening::Knock(link));
            }
            Action::Close(link) => {
                if self.links.remove(&link) == Some(true) && !self.mute.contains(&link) {
                    let at = self.in_order(link, false);
                    self.at(at, Happening::Reach(link, Question::End));
                }
                self.oracle.close(link);
            }
            Action::Ask(link, question) => {
                self.oracle.ask(self.now, link, &question)?;
                if matches!(question, Question::Fetch { .. }) {
                    self.fetched = self.now;
                }
                let at = self.in_order(link, false);
                self.at(at, Happening::Reach(link, question));
                self.at(at.after(Duration::from_secs(2)), Happening::Serve);
            }
            Action::Start(run, job) => self.begin(run, job)?,
            Action::Cancel(run, why) => {
                self.oracle.cancel(self.now, &self.settings, run, why)?;
                if self.random.chance(60) {
                    let delay = self.random.millis(0, 4900);
                    let outcome = self.outcome(true);
                    self.at(self.now.after(delay), Happening::Tell(Event::Finished(run, outcome)));
                }
            }
            Action::Abandon(run) => {
                self.handlers.remove(&run);
                self.oracle.abandon(self.now, &self.settings, run)?;
            }
            Action::End(end) => {
                if !self.oracle.is_stopping() {
                    return Err("it ends, and nobody asked it to".to_owned());
                }
                self.end = Some(end);
            }
        }
        Ok(())
    }

    fn begin(&mut self, run: RunId, job: Job) -> Result<(), String> {
        let failures = self.server.jobs.get(&job.number).map_or(0, |record| record.failures);
        self.oracle.start(&self.settings, run, job, failures)?;
        self.handlers.insert(run, job);
        let lasts = match self.random.below(10) {
            0 => self.random.millis(20_000, 80_000),
            1 | 2 => self.random.millis(500, 8000),
            _ => self.random.millis(0, 60),
        };
        let outcome = self.outcome(false);
        self.at(self.now.after(lasts), Happening::Tell(Event::Finished(run, outcome)));
        Ok(())
    }

    fn outcome(&mut self, is_told: bool) -> Outcome<Oops> {
        match self.random.below(10) {
            0 if !self.is_good => Outcome::Failed(Oops),
            1 if is_told || !self.is_good => Outcome::GivenBack,
            _ => Outcome::Done,
        }
    }

    pub(super) fn soon(&mut self, within: u64, happening: Happening) -> Mono {
        let at = self.now.after(self.random.millis(0, within));
        self.at(at, happening);
        at
    }

    pub(super) fn at(&mut self, at: Mono, happening: Happening) {
        self.queue.insert((at, self.next), happening);
        self.next += 1;
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>10.4} {}", self.now.since(Mono::default()).as_secs_f64() - 1000.0, line()));
        }
    }
}
