//! The loop: what children wrote and threads asked goes to the core, what it decides is done, once a turn all is written.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::{Epoch, ExitStatus, Pace, Slot, WorkerId};
use evercrew_core::pool::{Action, Event, JobId, Pool as Core, Said};
use evercrew_sys::clock;
use evercrew_sys::epoll::{Epoll, Interest, Ready};
use evercrew_sys::process::{self, Status};
use evercrew_sys::spawn::Outcome as Exec;

use crate::config::Config;
use crate::error::Error;
use crate::hearing::Words;
use crate::inbox::{Done, Inbox, Request};
use crate::job::Job;
use crate::kinds::Kinds;
use crate::launch::Launch;
use crate::log::Log;
use crate::process::{Flushed, Process};

/// The token of the inbox's bell.
const BELL: u64 = u64::MAX;
/// How often memory is looked at.
const SAMPLED: Duration = Duration::from_secs(5);
/// So long after its input broke a child that lives on is ended.
const BROKEN: Duration = Duration::from_millis(100);
/// Bytes of one read.
pub(crate) const ONE_READ: usize = 64 << 10;

/// Which of a child's descriptors a token means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Exit = 0,
    Exec = 1,
    Input = 2,
    Answers = 3,
    Errors = 4,
    Prints = 5,
}

/// A job that is in the pool.
pub(crate) struct Entry {
    pub(crate) job: Job,
    pub(crate) id: Arc<str>,
    pub(crate) done: Done,
}

/// The thread of a pool.
pub(crate) struct Dispatcher {
    pub(crate) core: Core,
    pub(crate) config: Config,
    pub(crate) launch: Launch,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) epoll: Epoll,
    pub(crate) log: Log,
    pub(crate) kinds: Kinds,
    pub(crate) jobs: HashMap<JobId, Entry>,
    pub(crate) processes: HashMap<WorkerId, Process>,
    /// Children to which something is to be written.
    pub(crate) dirty: Vec<WorkerId>,
    broken: Vec<(Mono, WorkerId)>,
    sample_at: Option<Mono>,
    pub(crate) scratch: Vec<u8>,
    actions: Vec<Action>,
    /// What became of actions, to be told after all of them.
    pub(crate) news: Vec<Event>,
    /// Who waits until all children are ready.
    pub(crate) starting: Option<Sender<Result<(), Error>>>,
    /// Who waits for a rollout.
    pub(crate) restarting: Vec<Sender<Result<(), String>>>,
    pub(crate) over: bool,
}

impl Dispatcher {
    pub(crate) fn new(
        mut config: Config,
        inbox: Arc<Inbox>,
        starting: Option<Sender<Result<(), Error>>>,
    ) -> Result<Self, Error> {
        let failed = |error| Error::Io("no descriptor for a pool", error);
        let epoll = Epoll::new().map_err(failed)?;
        epoll.add(&*inbox, BELL, Interest::READABLE).map_err(failed)?;
        let take = std::mem::replace(&mut config.log, Box::new(|_| {}));
        let log = Log::start(&config.name, take).map_err(failed)?;
        let launch = Launch::new(&config).map_err(|error| Error::Io("the working directory", error))?;
        let mut kinds = Kinds::new(&config);
        let mut policy = config.policy();
        policy.weights = config.weights.iter().map(|(kind, weight)| (kinds.number(kind), *weight)).collect();
        let sample_at = config.recycle_memory.map(|_| clock::mono().after(SAMPLED));
        Ok(Self {
            core: Core::new(u64::from(std::process::id()) ^ clock::mono().as_nanos()),
            config,
            launch,
            inbox,
            epoll,
            log,
            kinds,
            jobs: HashMap::new(),
            processes: HashMap::new(),
            dirty: Vec::new(),
            broken: Vec::new(),
            sample_at,
            scratch: vec![0; ONE_READ],
            actions: Vec::new(),
            // Told in the thread that starts children: they end when that thread does.
            news: vec![Event::Defined { policy, epoch: Epoch(1) }],
            starting,
            restarting: Vec::new(),
            over: false,
        })
    }

    /// Runs until the last child has left.
    pub(crate) fn run(&mut self) {
        let (mut ready, mut requests) = (Vec::new(), Vec::new());
        self.tell_news();
        self.turn();
        while !self.over {
            if let Err(error) = self.epoll.wait(&mut ready, self.patience()) {
                self.say(None, evercrew_core::Level::Fatal, format!("waiting for children: {error}"));
                break;
            }
            for event in &ready {
                self.look_at(*event, &mut requests);
            }
            self.turn();
        }
        self.inbox.close();
        for (_, entry) in self.jobs.drain() {
            (entry.done)(crate::Outcome::Returned { begun: false });
        }
        self.log.finish();
    }

    /// What is done once a turn.
    fn turn(&mut self) {
        let now = clock::mono();
        if self.core.deadline().is_some_and(|at| at <= now) {
            self.tell(Event::Tick, &Words::None);
        }
        if self.sample_at.is_some_and(|at| at <= now) {
            self.sample(now);
        }
        while let Some(at) = self.broken.iter().position(|(at, _)| *at <= now) {
            let (_, child) = self.broken.swap_remove(at);
            if self.processes.contains_key(&child) {
                self.tell(Event::Said { child, said: Said::Garbage }, &Words::None);
            }
        }
        while let Some(id) = self.dirty.pop() {
            self.flush(id);
        }
        self.check_start();
    }

    fn patience(&self) -> Option<Duration> {
        let broken = self.broken.iter().map(|(at, _)| *at).min();
        let first = [self.core.deadline(), self.sample_at, broken].into_iter().flatten().min()?;
        Some(first.since(clock::mono()))
    }

    fn look_at(&mut self, event: Ready, requests: &mut Vec<Request>) {
        if event.token == BELL {
            self.inbox.take(requests);
            for request in requests.drain(..) {
                self.serve(request);
            }
            return;
        }
        let id = WorkerId(event.token >> 3);
        match event.token & 7 {
            part if part == Part::Exit as u64 => self.ended(id),
            part if part == Part::Exec as u64 => self.executed(id),
            part if part == Part::Input as u64 => self.flush(id),
            part if part == Part::Answers as u64 => _ = self.hear(id),
            part if part == Part::Errors as u64 => _ = self.overhear(id, Part::Errors),
            _ => _ = self.overhear(id, Part::Prints),
        }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Submit(id, job, done) => self.submit(id, job, done),
            Request::Cancel(job) => self.tell(Event::Cancelled(job), &Words::None),
            Request::Recall => self.tell(Event::Recalled, &Words::None),
            Request::Scale(children) => self.tell(Event::Scaled(children), &Words::None),
            Request::Restart(slot, answer) => {
                self.restarting.push(answer);
                let event = Event::Restarted { slot: slot.map(Slot), epoch: Epoch(1), pace: Pace::Gradual };
                self.tell(event, &Words::None);
            }
            Request::Statistics(answer) => drop(answer.send(self.statistics())),
            Request::Stop { now } => self.tell(Event::Stopped { now }, &Words::None),
        }
    }

    fn submit(&mut self, id: JobId, job: Job, done: Done) {
        let now = clock::mono();
        let core = evercrew_core::pool::Job {
            id,
            kind: self.kinds.number(&job.kind),
            key: key(&job.id),
            timeout: job.timeout.or_else(|| self.kinds.timeout(&job.kind)),
            expires: job.expires.map(|expires| now.after(expires)),
        };
        let name: Arc<str> = job.id.as_str().into();
        self.jobs.insert(id, Entry { job, id: name, done });
        self.tell(Event::Submitted(core), &Words::None);
    }

    /// Tells the core, and does what it decides; `words` are those that led to the event.
    pub(crate) fn tell(&mut self, event: Event, words: &Words<'_>) {
        let mut actions = std::mem::take(&mut self.actions);
        self.core.handle(clock::mono(), event, &mut actions);
        for action in actions.drain(..) {
            self.perform(action, words);
        }
        self.actions = actions;
        self.tell_news();
    }

    fn tell_news(&mut self) {
        while let Some(event) = self.news.pop() {
            let mut actions = Vec::new();
            self.core.handle(clock::mono(), event, &mut actions);
            for action in actions {
                self.perform(action, &Words::None);
            }
        }
    }

    pub(crate) fn mark_dirty(&mut self, id: WorkerId) {
        if let Some(process) = self.processes.get_mut(&id)
            && !std::mem::replace(&mut process.dirty, true)
        {
            self.dirty.push(id);
        }
    }

    /// Writes to a child what is on its way.
    fn flush(&mut self, id: WorkerId) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.dirty = false;
        let flushed = process.flush();
        let waits = flushed == Flushed::Rest;
        if let Some(input) = &process.input
            && waits != process.waits_for_room
        {
            let token = token(id, Part::Input);
            // Where the poller takes no more the time of the job ends the child.
            let changed =
                if waits { self.epoll.add(input, token, Interest::WRITABLE) } else { self.epoll.remove(input) };
            process.waits_for_room = waits && changed.is_ok();
        }
        match flushed {
            Flushed::All if process.closing => process.input = None,
            Flushed::All | Flushed::Rest => {}
            Flushed::Broken if process.closing => {}
            Flushed::Broken => self.broken.push((clock::mono().after(BROKEN), id)),
        }
    }

    /// What became of a child's exec.
    fn executed(&mut self, id: WorkerId) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        let Some(outcome) = &process.outcome else { return };
        let known = outcome.poll();
        if known == Exec::Pending {
            return;
        }
        let _ = self.epoll.remove(outcome);
        process.outcome = None;
        match known {
            Exec::Failed(error) => {
                process.stillborn = true;
                self.not_started(&error.to_string());
                self.tell(Event::SpawnFailed { child: id, transient: error.is_transient() }, &Words::None);
            }
            Exec::Executed | Exec::Pending => self.tell(Event::Spawned(id), &Words::None),
        }
    }

    /// A child ended: what it wrote is read, its group ended, its number given back.
    fn ended(&mut self, id: WorkerId) {
        let over = self.processes.get(&id).is_some_and(|process| process::exited(process_fd(process)).unwrap_or(true));
        if !over {
            return;
        }
        self.executed(id);
        self.hear_rest(id);
        let Some(process) = self.processes.get(&id) else { return };
        let status = match process.reap() {
            Ok(Status::Code(code)) => ExitStatus::Code(code),
            Ok(Status::Signal { number, .. }) => ExitStatus::Signal(evercrew_sys::signal::from_number(number)),
            // Somebody else in this program reaped it.
            Err(_) => ExitStatus::Signal(None),
        };
        // A child that was just forked may have copies of these, which would keep them watched.
        process.watched().for_each(|fd| drop(self.epoll.remove(fd)));
        if !process.stillborn {
            let unread = process.unread();
            self.tell(Event::Exited { child: id, status, unread }, &Words::None);
        }
        self.processes.remove(&id);
    }

    /// Has the poller watch a child. One that cannot be watched is ended.
    pub(crate) fn watch(&mut self, process: Process) -> std::io::Result<()> {
        let watched = self.add(&process);
        if watched.is_err() {
            // Everything here is about a child of ours that nobody has reaped.
            let _ = process::signal_group_by_pidfd(process_fd(&process), process.pid, evercrew_core::Signal::Kill);
            let _ = process::wait_exit(process_fd(&process), Duration::from_secs(1));
            let _ = process.reap();
            return watched;
        }
        self.processes.insert(process.id, process);
        Ok(())
    }

    fn add(&self, process: &Process) -> std::io::Result<()> {
        let token = |part| token(process.id, part);
        if let Some(outcome) = &process.outcome {
            self.epoll.add(outcome, token(Part::Exec), Interest::READABLE)?;
        }
        let pipes =
            [(&process.answers, Part::Answers), (&process.errors, Part::Errors), (&process.prints, Part::Prints)];
        for (pipe, part) in pipes {
            if let Some(pipe) = pipe {
                self.epoll.add(&pipe.fd, token(part), Interest::READABLE)?;
            }
        }
        self.epoll.add(&process.pidfd, token(Part::Exit), Interest::READABLE)
    }

    /// Children that have more memory than they may are replaced.
    fn sample(&mut self, now: Mono) {
        self.sample_at = Some(now.after(SAMPLED));
        let Some(most) = self.config.recycle_memory else { return };
        let over = |pid| {
            process::anonymous(pid).is_some_and(|bytes| bytes > most)
                && process::anonymous_share(pid).is_none_or(|bytes| bytes > most)
        };
        let large: Vec<WorkerId> = self.processes.values().filter(|process| over(process.pid)).map(|p| p.id).collect();
        for child in large {
            self.tell(Event::Outgrown(child), &Words::None);
        }
    }
}

impl Drop for Dispatcher {
    /// Also after a panic nobody waits for a thread that is gone.
    fn drop(&mut self) {
        self.inbox.close();
    }
}

fn process_fd(process: &Process) -> std::os::fd::BorrowedFd<'_> {
    std::os::fd::AsFd::as_fd(&process.pidfd)
}

pub(crate) fn token(id: WorkerId, part: Part) -> u64 {
    (id.0 << 3) | part as u64
}

/// FNV-1a: the same for every attempt at a job of this id.
fn key(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
