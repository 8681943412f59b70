//! The loop: one source at a time becomes an event of the fleet; its actions are performed before the next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::fleet::{Event, Fleet, Scope, WorkerId};
use evercrew_core::herald::Herald;
use evercrew_core::operator::Operator;
use evercrew_core::{Mono, Signal};
use evercrew_sys::clock;
use evercrew_wire::deposit::Configuration;
use evercrew_wire::handover;
use evercrew_wire::supervisor::{self as wire, Numbered, ToSupervisor};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::accepting::Room;
use crate::boot::{Found, Model, News};
use crate::clients::{Clients, Turn};
use crate::crew::{Crew, Process};
use crate::discard::Discard;
use crate::dump::Decisions;
use crate::events::Events;
use crate::growth::{self, Growth};
use crate::heralding;
use crate::hub::Hub;
use crate::inheritance::Inheritance;
use crate::input::Input;
use crate::launch::Launcher;
use crate::link::{self, Link, Record, Shared};
use crate::log::Log;
use crate::metering::Metering;
use crate::notices::Level;
use crate::reload::{Reloads, tried};
use crate::requests;
use crate::reserve::Reserve;
use crate::rollouts::Rollouts;
use crate::scraping::Scraping;
use crate::status::{Engine, Samples};
use crate::succeeding::Inherited;
use crate::waiting::Waitings;

/// Requests handled before replies leave and timers have their turn.
const REQUESTS: usize = 8;
/// Inputs handled before deposit and replies leave.
const BATCH: usize = 256;

/// The deciding process.
pub(crate) struct Manager {
    pub(crate) fleet: Fleet,
    pub(crate) crew: Crew,
    pub(crate) clients: Clients,
    pub(crate) events: Events,
    pub(crate) waitings: Waitings,
    pub(crate) hub: Hub,
    pub(crate) metering: Metering,
    pub(crate) scraping: Option<Scraping>,
    pub(crate) engine: Engine,
    pub(crate) samples: Samples,
    pub(crate) growth: Growth,
    pub(crate) rollouts: Rollouts,
    /// The hard limit of open files.
    pub(crate) nofile: u64,
    pub(crate) launcher: Launcher,
    pub(crate) operator: Operator,
    pub(crate) link: Link,
    /// Records that follow from decisions of this batch: they leave after the deposit.
    pub(crate) decided: Vec<Record>,
    /// The supervisor's last record, until it is acknowledged.
    pub(crate) handled: Option<u64>,
    /// The model changed since the last deposit.
    pub(crate) dirty: bool,
    pub(crate) logger: Option<(WorkerId, Link)>,
    pub(crate) terminal: bool,
    /// What `up` left; where its text is another by now, the crew has it.
    pub(crate) configuration: Configuration,
    /// Listeners that the supervisor holds, by their keys.
    pub(crate) open: BTreeSet<String>,
    pub(crate) reloads: Reloads,
    /// Sockets that were left to the engine and that no listener is yet.
    pub(crate) inheritance: Inheritance,
    /// What the service manager above is told, where there is one.
    pub(crate) herald: Option<Herald>,
    /// The configuration changed since the last deposit.
    pub(crate) reconfigured: bool,
    /// The engine's own binary, as this manager was started from it.
    pub(crate) binary: Shared,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) log: Log,
    pub(crate) discard: Discard,
    /// When a deposit that could not be made is tried again.
    pub(crate) deposit_again: Option<Mono>,
    /// A descriptor for the deposit, where no other is left.
    pub(crate) reserve: Option<Reserve>,
    /// What workers said and is not deposited: they say it to the next manager again if this one ends before.
    pub(crate) told: Vec<Turn>,
    /// What the supervisor has of the operators' wishes.
    pub(crate) wishes: Option<String>,
    /// The task that accepts connections.
    pub(crate) accepting: Option<AbortHandle>,
    /// How many connections there may be.
    pub(crate) room: Room,
    /// A next manager is tried.
    pub(crate) upgrading: bool,
    /// Since when this one is to leave for it.
    pub(crate) leaving: Option<Mono>,
    /// When it was last told that there is no room for one.
    pub(crate) crowded: Option<Mono>,
    /// What came of effects at once, for the next turn.
    pub(crate) later: VecDeque<Event>,
    /// Dead workers whose output no logger has read.
    pub(crate) unread: Vec<(WorkerId, Process)>,
    pub(crate) exit_code: u8,
    pub(crate) decisions: Decisions,
    pub(crate) exit: bool,
}

/// Where numbers start when there is no memory of them: at 1, or above every one that was ever given. A follower then
/// sees a gap that is an upper bound.
fn first_event(found: &Found) -> u64 {
    if found.inventory.generation == 1 { 1 } else { clock::mono().as_nanos() / 1000 }
}

impl Manager {
    pub(crate) fn new(
        link: Link,
        found: &Found,
        model: Model,
        inputs: mpsc::Sender<Input>,
    ) -> io::Result<(Self, News)> {
        let Model { configuration, crew, fleet, state, inheritance, news } = model;
        let state = state.as_ref();
        let directory = crew.settings().engine.directory.clone();
        let growth = Growth::new(growth::is_asked(crew.settings()), clock::mono());
        let stopped_at = state.and_then(|state| state.stop_signal_at).map(Mono::from_nanos);
        let operator = Operator::new(crew.settings().engine.signals, stopped_at);
        let launcher = Launcher::new(&crew.settings().engine, configuration.instance.clone(), found.inventory.nofile);
        let mut log = Log::new(crew.settings().log.level, &directory)?;
        log.restore(state.and_then(|state| state.log.as_deref()));
        let manager = Self {
            fleet,
            crew,
            clients: Clients::default(),
            events: Events::new(state.map_or_else(|| first_event(found), |state| state.next_event)),
            waitings: Waitings::default(),
            hub: Hub::new(found.inventory.generation.into()),
            metering: Metering::default(),
            scraping: None,
            engine: Engine {
                supervisor: found.inventory.supervisor,
                generation: found.inventory.generation,
                returned: found.inventory.returned.clone(),
                directory: directory.clone(),
                bound: found.chosen_ports(),
            },
            samples: Samples::default(),
            rollouts: Rollouts::restore(state.map_or(&[], |state| &state.rollouts)),
            growth,
            nofile: found.inventory.nofile.1,
            launcher,
            open: found.listeners.keys().cloned().collect(),
            reloads: Reloads::restore(tried(found, state)),
            inheritance,
            herald: heralding::herald(found.inventory.above, state.is_some_and(|state| state.told_ready)),
            reconfigured: false,
            operator,
            link,
            decided: Vec::new(),
            handled: Some(found.last),
            dirty: true,
            logger: None,
            terminal: configuration.terminal,
            configuration,
            binary: Arc::new(std::fs::File::open("/proc/self/exe")?.into()),
            inputs,
            log,
            discard: Discard::default(),
            deposit_again: None,
            reserve: None,
            told: Vec::new(),
            wishes: found.inventory.wishes.clone(),
            accepting: None,
            room: Room::new(),
            upgrading: false,
            leaving: None,
            crowded: None,
            later: VecDeque::new(),
            unread: Vec::new(),
            exit_code: state.map_or(0, |state| state.exit_code),
            exit: false,
            decisions: Decisions::default(),
        };
        Ok((manager, news))
    }

    /// Goes on from where the last manager was, or starts.
    pub(crate) fn take_over(&mut self, found: Found, news: News, inherited: Option<Inherited>) {
        let fields = json!({"generation": self.engine.generation, "pid": std::process::id()});
        let handed_on = inherited.is_some();
        let words = match self.engine.generation {
            1 => format!("evercrew {} in {}", env!("CARGO_PKG_VERSION"), self.launcher.directory().display()),
            n => format!("manager {n} took over (the last one ended: {})", found.inventory.last_words),
        };
        let kind = if self.engine.generation == 1 { "engine.started" } else { "engine.manager-started" };
        // One that was handed on says so once it goes on.
        if !handed_on {
            self.tell(Level::Info, kind, fields, &words);
        }
        if let Some(reason) = found.inventory.returned.clone() {
            self.upgrade_returned(&reason);
        }
        self.tell_log_level();
        self.say_where();
        if self.configuration.watch {
            self.watch_files();
        }
        for remark in &news.remarks {
            self.tell(Level::Error, "engine.problem", json!({"message": remark}), remark);
        }
        self.settle_inheritance();
        self.open_to_others();
        self.serve_metrics();
        // Those that have ended too: what they last wrote is still in their pipes.
        let mut known: BTreeMap<u64, handover::Worker> = inherited
            .iter()
            .flat_map(|inherited| &inherited.document.workers)
            .map(|worker| (worker.worker, worker.clone()))
            .collect();
        for (worker, mut parts) in found.workers {
            let known = known.remove(&worker.worker);
            self.process_found(&worker, &mut parts, known);
        }
        if let Some(inherited) = inherited {
            self.inherit(inherited);
        }
        for stray in news.strays {
            self.signal(stray, Signal::Kill, Scope::Group, None);
        }
        // One moment for all of it: the fleet acts on the whole inventory, however long it is.
        let now = clock::mono();
        for event in news.events.into_iter().chain([Event::Tick]) {
            self.decide_at(now, event);
        }
    }

    pub(crate) async fn run(
        mut self,
        meanwhile: Vec<(Numbered, Vec<OwnedFd>)>,
        mut receiver: mpsc::Receiver<Input>,
    ) -> io::Result<u8> {
        for (numbered, descriptors) in meanwhile {
            self.record(numbered, descriptors);
        }
        loop {
            self.finish_batch();
            self.leave(&mut receiver)?;
            if self.exit {
                self.announce_all();
                self.end_calls();
                for (client, reply) in self.waitings.end() {
                    self.clients.reply(client, &reply);
                }
                // The supervisor ends with this record, so the answers leave before it.
                self.clients.finish().await;
                self.send(&ToSupervisor::Exit { code: self.exit_code, message: String::new() }, Vec::new());
                link::flush_all(&mut self.link).await?;
                return Ok(0);
            }
            match self.turn(&mut receiver).await {
                Ok(()) => {}
                Err(error) if link::is_end(&error) => {
                    self.supervisor_is_gone();
                    return Ok(1);
                }
                // The next manager gets a new channel and the whole inventory; no worker is touched.
                Err(error) => {
                    let words =
                        format!("cannot understand the supervisor ({error}); ending, so that another takes over");
                    self.write_log(Level::Error, &words);
                    return Ok(1);
                }
            }
        }
    }

    /// Waits for one input, takes what else is there, up to a batch.
    async fn turn(&mut self, receiver: &mut mpsc::Receiver<Input>) -> io::Result<()> {
        // What is due comes before what others want, however much that is; and it leaves before anything is waited for.
        let due = self.next_deadline().is_some_and(|at| at <= clock::mono());
        if due || !self.later.is_empty() {
            for event in std::mem::take(&mut self.later).into_iter().chain(due.then_some(Event::Tick)) {
                self.decide(event);
            }
            return Ok(());
        }
        let wait = self.next_deadline().map(|at| at.since(clock::mono()));
        let logger_writes = self.logger.as_ref().is_some_and(|(_, link)| link.wants_to_write());
        tokio::select! {
            biased;
            record = self.link.receive(wire::MAX_LARGE_RECORD) => {
                let (bytes, descriptors) = record?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
                self.record(Numbered::decode(&bytes).map_err(io::Error::other)?, descriptors);
            }
            () = self.link.writable(), if self.link.wants_to_write() => {}
            () = link::logger_writable(self.logger.as_ref()), if logger_writes => {}
            said = link::logger_says(self.logger.as_ref()) => self.logger_said(said),
            Some(input) = receiver.recv() => self.input(input),
            () = sleep(wait), if wait.is_some() => self.decide(Event::Tick),
        }
        let mut asked = 0;
        for _ in 0..BATCH {
            if let Some(record) = self.link.try_receive(wire::MAX_LARGE_RECORD)? {
                let (bytes, descriptors) = record.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
                self.record(Numbered::decode(&bytes).map_err(io::Error::other)?, descriptors);
            } else if asked < REQUESTS
                && let Ok(input) = receiver.try_recv()
            {
                asked += usize::from(matches!(input, Input::Asked(..)));
                self.input(input);
            } else {
                break;
            }
        }
        Ok(())
    }

    fn next_deadline(&self) -> Option<Mono> {
        let fleet = self.fleet.deadline().map(|(at, _)| at);
        let own = [self.growth.deadline(), self.rollouts.deadline(), self.reloads.deadline(), self.leaving_deadline()];
        let own = own.into_iter().chain([self.discard.deadline(), self.deposit_again, self.herald_deadline()]);
        [fleet, self.waitings.deadline(), self.hub.deadline()].into_iter().chain(own).flatten().min()
    }

    pub(crate) fn input(&mut self, input: Input) {
        match input {
            Input::Connected(connection) => self.connected(connection),
            Input::Crowded => self.crowded(),
            Input::Asked(client, line, _turn) => match line.and_then(|line| requests::parse(&line)) {
                Ok(request) => self.command(client, &request),
                Err(refusal) => self.clients.reply(client, &refusal),
            },
            Input::Ended(client) => self.clients.ended(client),
            // What it is behind with leaves with the batch.
            Input::Room => {}
            Input::Disconnected(client) => self.forget(client),
            Input::Notified(worker, message, turn) => self.notified(worker, &message, turn),
            Input::SaidReady(worker) => self.decide(Event::Ready { worker }),
            Input::Said(said) => self.worker_said(*said),
            Input::Measured(document) => self.measured_all(&document),
            Input::Scraped(answer) => self.scraped(answer),
            Input::ScrapingFailed(why) => self.scraping_failed(&why),
            Input::Reread(reread) => self.reread(*reread),
            Input::DirectSignal(received) => self.signalled_directly(&received),
            Input::Dumped(outcome) => self.dumped(outcome),
            Input::Watching { directories, complete } => self.watching(directories, complete),
            Input::Changed(services) => self.files_changed(&services),
        }
    }

    /// Hands an event to the fleet and performs every action of it.
    pub(crate) fn decide(&mut self, event: Event) {
        self.decide_at(clock::mono(), event);
    }

    fn decide_at(&mut self, now: Mono, event: Event) {
        let beat = matches!(event, Event::Beat { .. });
        let mut actions = Vec::new();
        self.fleet.handle(now, event.clone(), &mut actions);
        // A beat alone is not worth a deposit: supervision starts afresh after a takeover.
        if !beat || !actions.is_empty() {
            self.dirty = true;
            self.herald_later();
        }
        self.decisions.keep(now, &event, &actions);
        if self.log.traces() {
            self.write_log(Level::Trace, &format!("{event:?} → {actions:?}"));
        }
        for action in actions {
            self.perform(action);
        }
    }

    /// Deposit, then what follows from it, then the acknowledgement, then the answers.
    pub(crate) fn finish_batch(&mut self) {
        self.look_at_growth();
        self.look_after_output();
        self.go_on_reloading();
        self.announce_late(clock::mono());
        self.pause_late_rollouts();
        self.end_by_configuration();
        self.end_late_calls();
        if !self.waitings.is_empty() {
            for (client, reply) in self.waitings.settle(clock::mono(), &self.fleet, &self.crew) {
                self.clients.reply(client, &reply);
            }
        }
        self.tend_listeners();
        self.herald_changes();
        if !self.dirty || self.leave_deposit() {
            for record in std::mem::take(&mut self.decided) {
                self.link.push(record);
            }
            if let Some(n) = self.handled.take() {
                self.send(&ToSupervisor::Ack { n }, Vec::new());
            }
        }
        // A supervisor that is gone shows on the next read.
        let _ = self.link.flush();
        if !self.dirty && !self.link.wants_to_write() {
            self.told.clear();
        }
        self.flush_logger();
        self.attend_clients();
    }

    /// Adds a record that does not wait for the deposit.
    pub(crate) fn send(&mut self, record: &ToSupervisor, descriptors: Vec<Shared>) {
        match record.encode() {
            Ok(bytes) => self.link.push(Record { bytes, descriptors }),
            Err(error) => self.write_log(Level::Error, &error.to_string()),
        }
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
