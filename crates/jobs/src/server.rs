//! The one loop: what is ready is read, decided, committed, and answered.

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;

use evercrew_core::Mono;
use evercrew_core::jobs::{Action, Asker, BatchNumber, Event, JobNumber, Jobs, LeaseNumber, Now, Policy, Wall};
use evercrew_store::Durability;
use evercrew_sys::clock;
use evercrew_sys::epoll::{Epoll, Interest, Ready};
use evercrew_wire::faktory::{Refusal, reply};

use crate::book::{self, Book, Reader};
use crate::challenge;
use crate::config::{Config, Listen, Storage};
use crate::connection::{Connection, PATIENCE, Standing};
use crate::desk::{Debt, wall};
use crate::door::Door;
use crate::error::Error;
use crate::figures::Waits;
use crate::finished::FinishedJobs;
use crate::guide::Guide;
use crate::keeper::{Keeper, Kept};
use crate::kin::Kin;
use crate::notices::Notices;
use crate::sessions::{SessionId, Sessions};
use crate::texts::Texts;

/// How long a client may take to say who it is.
const LOGIN: std::time::Duration = std::time::Duration::from_secs(2);
/// How long one may take when others wait to come in.
const GRACE: std::time::Duration = std::time::Duration::from_millis(500);
/// Clients that may be there without having said who they are.
const MOST_STRANGERS: usize = 64;
/// How long no client is accepted for want of descriptors.
const BREATH: std::time::Duration = std::time::Duration::from_millis(100);
/// Workers that may die with a job before it is parked.
const MOST_DEATHS: u32 = 3;
/// Clients accepted before others are served again.
const AT_ONCE: usize = 64;

/// What the poller's numbers mean that are no connection's.
pub(crate) mod token {
    /// The highest bit.
    pub(crate) const OTHER: u64 = 1 << 63;
    pub(crate) const DOOR: u64 = OTHER;
    pub(crate) const WRITER: u64 = OTHER | 1;
    pub(crate) const STOP: u64 = OTHER | 2;
    /// Processes of workers, from here on.
    pub(crate) const KIN: u64 = OTHER | 1 << 32;
}

/// A queue server that runs.
pub(crate) struct Server {
    pub(crate) config: Config,
    epoll: Epoll,
    door: Door,
    /// While nobody is accepted: until when.
    door_closed_until: Option<Mono>,
    pub(crate) sessions: Sessions,
    /// Those that have not said who they are, with since when they are here.
    strangers: VecDeque<(Mono, SessionId)>,
    strangers_here: usize,
    /// Those that something was written for, or that may have to be told to the poller again.
    pub(crate) dirty: Vec<SessionId>,
    /// Those whose next commands can be carried out.
    pub(crate) resumed: Vec<SessionId>,
    /// When to look at those that do not read what they are sent.
    stuck: VecDeque<(Mono, SessionId)>,
    pub(crate) kin: Kin,
    pub(crate) scratch: Vec<u8>,
    pub(crate) core: Jobs,
    pub(crate) actions: Vec<Action>,
    pub(crate) texts: Texts,
    /// Jobs that are new in the open batch, and in the one that is written.
    pub(crate) fresh: Vec<JobNumber>,
    pub(crate) written: Vec<JobNumber>,
    pub(crate) finished_jobs: FinishedJobs,
    pub(crate) reader: Reader,
    pub(crate) keeper: Keeper,
    pub(crate) changes: Vec<Kept>,
    pub(crate) spare: Vec<Kept>,
    pub(crate) debts: Vec<Debt>,
    pub(crate) in_flight: Option<(BatchNumber, Vec<Debt>)>,
    pub(crate) lost_grants: Vec<LeaseNumber>,
    pub(crate) failure: Option<Error>,
    pub(crate) notices: Notices,
    pub(crate) count: Count,
    pub(crate) waits: Waits,
    pub(crate) now: Mono,
    pub(crate) wall: Wall,
    pub(crate) started: Mono,
    stopping: bool,
}

/// What is counted for INFO and the figures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) commands: u64,
    pub(crate) refused: u64,
    pub(crate) connections: u64,
    pub(crate) commits: u64,
    pub(crate) refused_commits: u64,
}

impl Server {
    /// Opens the store and the door.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub(crate) fn open(mut config: Config) -> Result<Self, Error> {
        let system = |what| move |error| Error::System(what, error);
        let guarded = config.password.is_some() || config.insecure;
        // The store first: whoever connects while it is read waits in the backlog.
        let Book { store, reader, found, cut } = book::open(&config.store, config.durability)?;
        let listen = std::mem::replace(&mut config.listen, Listen::Address(SocketAddr::from(([127, 0, 0, 1], 0))));
        let door = Door::open(listen, guarded)?;
        let keeper = Keeper::start(store).map_err(system("starting the thread that writes"))?;
        let epoll = Epoll::new().map_err(system("starting the poller"))?;
        epoll.add(&door, token::DOOR, Interest::READABLE).map_err(system("watching the listener"))?;
        epoll.add(&keeper, token::WRITER, Interest::READABLE).map_err(system("watching the thread that writes"))?;
        let seed = challenge::random().map_err(system("drawing a random number"))?;
        let policy = Policy { keep_dead: config.keep_dead, most_deaths: MOST_DEATHS, seed };
        let (now, wall) = (clock::mono(), wall());
        let notices = Notices;
        if cut > 0 {
            notices.cut(cut);
        }
        Ok(Self {
            core: config.faults.planted_into(Jobs::start(policy, Now { mono: now, wall }, found)),
            texts: Texts::new(config.memory),
            finished_jobs: FinishedJobs::new(config.keep_done),
            config,
            epoll,
            door,
            door_closed_until: None,
            sessions: Sessions::default(),
            strangers: VecDeque::new(),
            strangers_here: 0,
            dirty: Vec::new(),
            resumed: Vec::new(),
            stuck: VecDeque::new(),
            kin: Kin::default(),
            scratch: Vec::new(),
            actions: Vec::new(),
            reader,
            keeper,
            changes: Vec::new(),
            spare: Vec::new(),
            debts: Vec::new(),
            in_flight: None,
            lost_grants: Vec::new(),
            fresh: Vec::new(),
            written: Vec::new(),
            failure: None,
            notices,
            count: Count::default(),
            waits: Waits::default(),
            now,
            wall,
            started: now,
            stopping: false,
        })
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// Serves until `guide` has it stop, and everything that was begun is answered.
    ///
    /// # Errors
    /// When it is not known what the store keeps, or the poller fails.
    pub(crate) fn run(mut self, guide: &mut impl Guide) -> Result<(), Error> {
        let system = |what| move |error| Error::System(what, error);
        self.epoll.add(&*guide, token::STOP, Interest::READABLE).map_err(system("watching for the end"))?;
        guide.ready();
        let mut ready = Vec::new();
        while !self.is_done() {
            let due = [self.own_deadline(), self.core.deadline(self.clocks()), guide.deadline()];
            self.look_at_the_clock();
            let timeout = due.into_iter().flatten().min().map(|at| at.since(self.now));
            self.epoll.wait(&mut ready, timeout).map_err(system("waiting for clients"))?;
            self.look_at_the_clock();
            guide.tick(self.now);
            for event in ready.drain(..) {
                self.found_ready(event, guide)?;
            }
            self.turn()?;
            guide.look(&mut self);
        }
        self.keeper.stop()
    }

    fn found_ready(&mut self, event: Ready, guide: &mut impl Guide) -> Result<(), Error> {
        match event.token {
            token::DOOR => return self.accept(),
            token::WRITER => return self.committed(),
            token::STOP => {
                if guide.is_to_stop() {
                    self.stop()?;
                }
            }
            number if number & token::OTHER != 0 => {
                // A process that is watched becomes readable when it ends.
                let number = number & !token::KIN;
                if let Some(process) = self.kin.get(number) {
                    let _ = self.epoll.remove(process);
                }
                if let Some(wid) = self.kin.remove(number) {
                    self.tell(Event::Died(wid));
                }
            }
            number => {
                let id = SessionId(number);
                if event.readable {
                    self.receive(id);
                }
                if event.writable || event.hangup {
                    self.dirty.push(id);
                }
            }
        }
        Ok(())
    }

    /// What follows from everything that was found: timers, what clients sent before, a commit, answers.
    fn turn(&mut self) -> Result<(), Error> {
        if self.core.deadline(self.clocks()).is_some_and(|at| at <= self.now) {
            self.tell(Event::Ticked);
        }
        self.expire()?;
        // Each step may make work for the one before; nothing is left to an event that may never come.
        loop {
            self.flush();
            self.give_back();
            for id in mem::take(&mut self.resumed) {
                self.go_on(id);
            }
            if self.is_settled() {
                self.commit()?;
                if self.is_settled() {
                    break;
                }
            }
        }
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// Whether nothing is left to send, to give back or to carry out of what was received.
    fn is_settled(&self) -> bool {
        self.dirty.is_empty() && self.resumed.is_empty() && self.lost_grants.is_empty()
    }

    /// Accepts nobody more; whoever waits is told that there is nothing, and leaves once what it is owed is sent.
    fn stop(&mut self) -> Result<(), Error> {
        self.stopping = true;
        self.watch_door(Interest::NONE)?;
        for id in self.sessions.ids() {
            self.tell(Event::Left(Asker(id.0)));
            if let Some(connection) = self.sessions.get_mut(id) {
                if connection.waiting.take().is_some() {
                    connection.answer(reply::nothing);
                }
                connection.closing = true;
            }
            self.dirty.push(id);
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.stopping && self.in_flight.is_none() && self.changes.is_empty() && self.debts.is_empty()
    }

    /// Watches a descriptor; whether that can be done.
    pub(crate) fn watch(&self, fd: &std::os::fd::OwnedFd, token: u64) -> bool {
        self.epoll.add(fd, token, Interest::READABLE).is_ok()
    }

    /// Syncs of the store.
    pub(crate) fn syncs(&self) -> u64 {
        self.keeper.syncs()
    }

    /// When a push is answered, in a word.
    pub(crate) fn durability(&self) -> &'static str {
        match (&self.config.store, self.config.durability) {
            (Storage::Memory, _) => "memory",
            (Storage::Sqlite(_), Durability::Sync) => "sync",
            (Storage::Sqlite(_), Durability::Relaxed) => "relaxed",
        }
    }

    /// Its end is closed: what it has sent is carried out and answered, but it waits for nothing more.
    pub(crate) fn finished(&mut self, id: SessionId) {
        let Some(connection) = self.sessions.get_mut(id) else { return };
        connection.finished = true;
        if connection.waiting.take().is_some() {
            self.tell(Event::Left(Asker(id.0)));
            self.close(id);
            return;
        }
        self.dirty.push(id);
    }

    /// The connection is broken: what it got last has not reached it, as far as that can be told.
    pub(crate) fn lost(&mut self, id: SessionId) {
        if let Some(connection) = self.sessions.get_mut(id) {
            // On this machine nothing breaks a connection but a client that left without reading. Elsewhere something on
            // the way may have, and the worker be at work: only what was never sent is given back.
            let undelivered = connection.is_local || connection.unsent() > 0;
            if undelivered {
                self.lost_grants.append(&mut connection.handed_out);
            }
        }
        self.close(id);
    }

    fn close(&mut self, id: SessionId) {
        if let Some(connection) = self.sessions.get_mut(id) {
            let _ = self.epoll.remove(connection.socket());
            let is_stranger = matches!(connection.standing, Standing::Stranger { .. });
            let is_waiting = connection.waiting.is_some();
            if connection.unsent() > 0 {
                self.lost_grants.append(&mut connection.handed_out);
            }
            self.sessions.remove(id);
            if is_stranger {
                self.no_stranger_more();
            }
            if is_waiting {
                self.tell(Event::Left(Asker(id.0)));
            }
        }
    }

    /// Accepts whoever waits, as far as there is room.
    fn accept(&mut self) -> Result<(), Error> {
        for _ in 0..AT_ONCE {
            if !self.has_room() {
                return self.watch_door(Interest::NONE);
            }
            match self.door.accept() {
                Ok(Some((socket, is_local))) => self.welcome(socket, is_local)?,
                Ok(None) => break,
                // No descriptor is free: they wait in the backlog until one is.
                Err(_) => {
                    self.door_closed_until = Some(self.now.after(BREATH));
                    self.watch_door(Interest::NONE)?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether one more may come in that has not said who it is. A flood of those keeps nobody out for longer than it
    /// takes to end the oldest of them.
    fn has_room(&mut self) -> bool {
        if self.strangers_here < MOST_STRANGERS {
            return true;
        }
        while let Some((since, oldest)) = self.strangers.front().copied() {
            if !self.is_stranger(oldest) {
                self.strangers.pop_front();
            } else if self.now.since(since) >= GRACE {
                self.strangers.pop_front();
                self.lost(oldest);
                return true;
            } else {
                self.door_closed_until = Some(since.after(GRACE));
                return false;
            }
        }
        true
    }

    fn watch_door(&self, interest: Interest) -> Result<(), Error> {
        let changed = self.epoll.modify(&self.door, token::DOOR, interest);
        changed.map_err(|error| Error::System("watching the listener", error))
    }

    fn welcome(&mut self, socket: std::os::fd::OwnedFd, is_local: bool) -> Result<(), Error> {
        self.count.connections += 1;
        let drawn = challenge::draw(self.config.password.as_ref());
        let (salt, rounds) = drawn.map_err(|error| Error::System("drawing a salt", error))?;
        let mut connection = Connection::new(socket, is_local, Standing::Stranger { salt: salt.clone(), rounds });
        if self.sessions.count() >= self.config.connections {
            let refusal = Refusal::error(format!("too many connections: {} are served", self.config.connections));
            connection.answer(|out| reply::refused(out, &refusal));
            // It fits into an empty buffer; whoever does not get it is refused all the same.
            let _ = connection.send(self.now);
            return Ok(());
        }
        connection.answer(|out| reply::hi(out, (rounds > 0).then_some((rounds, salt.as_str()))));
        let interest = connection.interest;
        let id = self.sessions.insert(connection);
        let Some(connection) = self.sessions.get_mut(id) else { return Ok(()) };
        if self.epoll.add(connection.socket(), id.0, interest).is_err() {
            self.sessions.remove(id);
            return Ok(());
        }
        self.strangers.push_back((self.now, id));
        self.strangers_here += 1;
        self.dirty.push(id);
        Ok(())
    }

    fn is_stranger(&mut self, id: SessionId) -> bool {
        self.sessions.get_mut(id).is_some_and(|connection| matches!(connection.standing, Standing::Stranger { .. }))
    }

    /// A client has said who it is, or is gone before it did.
    pub(crate) fn no_stranger_more(&mut self) {
        self.strangers_here = self.strangers_here.saturating_sub(1);
        if self.door_closed_until.is_some() {
            self.door_closed_until = Some(self.now);
        }
    }

    /// What is due: strangers that said nothing, clients that read nothing, a door that can be opened again.
    fn expire(&mut self) -> Result<(), Error> {
        while let Some((since, id)) =
            self.strangers.front().copied().filter(|(since, _)| self.now >= since.after(LOGIN))
        {
            self.strangers.pop_front();
            if self.is_stranger(id) {
                self.lost(id);
            }
            let _ = since;
        }
        while let Some((at, id)) = self.stuck.front().copied().filter(|(at, _)| self.now >= *at) {
            self.stuck.pop_front();
            match self.sessions.get_mut(id).and_then(|connection| connection.stuck_since) {
                Some(since) if self.now.since(since) >= PATIENCE => self.lost(id),
                Some(since) => self.stuck.push_back((since.after(PATIENCE).max(at), id)),
                None => {}
            }
        }
        if self.door_closed_until.is_some_and(|until| self.now >= until) && !self.stopping {
            self.door_closed_until = None;
            self.watch_door(Interest::READABLE)?;
        }
        Ok(())
    }

    /// When the next of these is due.
    fn own_deadline(&self) -> Option<Mono> {
        let login = self.strangers.front().map(|(since, _)| since.after(LOGIN));
        let stuck = self.stuck.front().map(|(at, _)| *at);
        [login, stuck, self.door_closed_until].into_iter().flatten().min()
    }

    /// Sends what is owed, closes what is done, and tells the poller what is waited for.
    fn flush(&mut self) {
        let dirty = mem::take(&mut self.dirty);
        for id in &dirty {
            let Some(connection) = self.sessions.get_mut(*id) else { continue };
            let was_stuck = connection.stuck_since.is_some();
            if connection.send(self.now).is_err() {
                self.lost(*id);
                continue;
            }
            let is_done = connection.closing || connection.finished && !connection.held_up;
            let is_done = is_done && !connection.is_owed();
            if is_done {
                self.close(*id);
                continue;
            }
            if let Some(since) = connection.stuck_since.filter(|_| !was_stuck) {
                self.stuck.push_back((since.after(PATIENCE), *id));
            }
            // Whatever held it up: an answer that was sent or settled since, here or elsewhere.
            if connection.held_up && connection.may_go_on() {
                self.resumed.push(*id);
            }
            let wanted = connection.wanted();
            if wanted != connection.interest {
                connection.interest = wanted;
                let changed = self.epoll.modify(connection.socket(), id.0, wanted);
                if changed.is_err() {
                    self.lost(*id);
                }
            }
        }
        self.dirty = dirty;
        self.dirty.clear();
    }
}
