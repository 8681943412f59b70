//! The one loop: what is ready is read, decided, committed, and answered.

use std::mem;
use std::net::SocketAddr;

use evercrew_core::Mono;
use evercrew_core::jobs::{Action, BatchNumber, Event, JobNumber, Jobs, LeaseNumber, Now, Policy, Wall};
use evercrew_store::Durability;
use evercrew_sys::clock;
use evercrew_sys::epoll::{Epoll, Interest, Ready};

use crate::admission::Strangers;
use crate::book::{self, Book, Reader};
use crate::challenge;
use crate::config::{Config, Listen, Storage};
use crate::desk::{Debt, wall};
use crate::door::Door;
use crate::ending::Ending;
use crate::error::Error;
use crate::figures::Waits;
use crate::finished::FinishedJobs;
use crate::guide::Guide;
use crate::keeper::{Keeper, Kept};
use crate::kin::Kin;
use crate::notices::Notices;
use crate::room::Room;
use crate::sessions::{SessionId, Sessions};
use crate::texts::Texts;

/// Workers that may die with a job before it is parked.
const MOST_DEATHS: u32 = 3;
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
    pub(crate) epoll: Epoll,
    pub(crate) door: Door,
    pub(crate) sessions: Sessions,
    pub(crate) strangers: Strangers,
    pub(crate) room: Room,
    /// Those that something was written for, or that may have to be told to the poller again.
    pub(crate) dirty: Vec<SessionId>,
    /// Those whose next commands can be carried out.
    pub(crate) resumed: Vec<SessionId>,
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
    /// Jobs that were to be handed out, and have no text.
    pub(crate) lost_texts: Vec<(JobNumber, LeaseNumber)>,
    pub(crate) failure: Option<Error>,
    pub(crate) notices: Notices,
    pub(crate) count: Count,
    pub(crate) waits: Waits,
    pub(crate) now: Mono,
    pub(crate) wall: Wall,
    pub(crate) started: Mono,
    pub(crate) ending: Ending,
}

/// What is counted for INFO and the figures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// Turns of the loop.
    pub(crate) turns: u64,
    pub(crate) commands: u64,
    pub(crate) refused: u64,
    /// Clients that were sent away because they were slow.
    pub(crate) evicted: u64,
    pub(crate) connections: u64,
    pub(crate) commits: u64,
    pub(crate) refused_commits: u64,
}

impl Server {
    /// Opens the store and the door.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub(crate) fn open(config: Config) -> Result<Self, Error> {
        // The store first: whoever connects while it is read waits in the backlog.
        let book = book::open(&config.store, config.durability)?;
        Self::over(config, book)
    }

    fn over(mut config: Config, book: Book) -> Result<Self, Error> {
        let system = |what| move |error| Error::System(what, error);
        let guarded = config.password.is_some() || config.insecure;
        let Book { store, reader, found, cut } = book;
        let listen = std::mem::replace(&mut config.listen, Listen::Address(SocketAddr::from(([127, 0, 0, 1], 0))));
        let door = Door::open(listen, guarded)?;
        let keeper = Keeper::start(store).map_err(system("starting the thread that writes"))?;
        let epoll = Epoll::new().map_err(system("starting the poller"))?;
        epoll.add(&door, token::DOOR, Interest::READABLE).map_err(system("watching the listener"))?;
        epoll.add(&keeper, token::WRITER, Interest::READABLE).map_err(system("watching the thread that writes"))?;
        let seed = challenge::random().map_err(system("drawing a random number"))?;
        // Those that left are known for a minute more.
        let most_workers = 2 * config.connections as usize;
        let policy = Policy { keep_dead: config.keep_dead, most_workers, most_deaths: MOST_DEATHS, seed };
        let (now, wall) = (clock::mono(), wall());
        let notices = Notices;
        if cut > 0 {
            notices.cut(cut);
        }
        let mut core = Jobs::start(policy, Now { mono: now, wall }, found);
        for (kind, backoff) in &config.backoffs {
            core.back_off(kind.as_str().into(), *backoff);
        }
        Ok(Self {
            core: config.faults.planted_into(core),
            texts: Texts::new(config.memory),
            finished_jobs: FinishedJobs::new(config.keep_done),
            room: Room::new(config.buffers),
            config,
            epoll,
            door,
            sessions: Sessions::default(),
            strangers: Strangers::default(),
            dirty: Vec::new(),
            resumed: Vec::new(),
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
            lost_texts: Vec::new(),
            fresh: Vec::new(),
            written: Vec::new(),
            failure: None,
            notices,
            count: Count::default(),
            waits: Waits::default(),
            now,
            wall,
            started: now,
            ending: Ending::default(),
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
            let own = [self.ending.deadline(), self.strangers.deadline(), self.room.deadline()];
            let others = [self.core.deadline(self.clocks()), guide.deadline()];
            self.look_at_the_clock();
            let timeout = own.into_iter().chain(others).flatten().min().map(|at| at.since(self.now));
            self.epoll.wait(&mut ready, timeout).map_err(system("waiting for clients"))?;
            self.look_at_the_clock();
            guide.tick(self.now);
            self.count.turns += 1;
            // Whoever waits to be accepted when it stops is the next server's.
            ready.sort_by_key(|event| event.token != token::STOP);
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
            token::DOOR if self.ending.is_begun() => {}
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
                if let Some((wid, pid)) = self.kin.remove(number) {
                    self.tell(Event::Died(wid, pid.unwrap_or(0)));
                }
            }
            number => {
                let id = SessionId(number);
                if event.readable && !self.receive(id) && event.hangup {
                    // Nothing can be sent to it, and nothing more is to be read.
                    self.lost(id);
                } else if event.writable || event.hangup {
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
        self.admit()?;
        self.relieve();
        self.let_go();
        // Each step may make work for the one before; nothing is left to an event that may never come.
        loop {
            self.make_use_of_room();
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
        let is_sent = self.dirty.is_empty() && self.resumed.is_empty();
        let is_sent = is_sent && self.lost_grants.is_empty() && self.lost_texts.is_empty();
        is_sent && !self.room.is_next_to_go_on()
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
}

#[cfg(test)]
mod tests;
