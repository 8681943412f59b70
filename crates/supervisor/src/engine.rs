//! The loop: signals, the manager's records, exits, its own few timers.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use evercrew_core::handover::Event as Step;
use evercrew_core::{Mono, Signal};
use evercrew_sys::channel::Received;
use evercrew_sys::epoll::{Epoll, Interest};
use evercrew_sys::lock::Lock;
use evercrew_sys::pid_file::PidFile;
use evercrew_sys::signal::SignalFd;
use evercrew_sys::{clock, limits, process, record, signal};
use evercrew_wire::supervisor::{self as wire, Scope, ToManager, ToSupervisor};

use crate::above::Above;
use crate::care::{Blame, Care, Duty};
use crate::cgroups::Cgroups;
use crate::children::Children;
use crate::custody::Custody;
use crate::hangup::Terminal;
use crate::inventory::find;
use crate::manager::Manager;
use crate::outgoing::{Beside, Flushed, is_lasting};
use crate::premises::Premises;
use crate::stops::Stops;
use crate::upgrade::Upgrade;
use crate::voice::Voice;

/// What the supervisor starts from.
#[derive(Debug)]
pub struct Boot {
    /// The engine's directory, for titles and clean-up.
    pub directory: PathBuf,
    /// Held for life, so that a second engine on this directory is refused.
    pub lock: Lock,
    /// The claim on the directory's name, which keeps a second engine out even where the directory is removed.
    pub claim: Option<OwnedFd>,
    /// The file with our pid, where one is wanted.
    pub pid_file: Option<PidFile>,
    /// The first configuration deposit (sealed memfd), opaque here.
    pub configuration: OwnedFd,
    /// The binary that managers are started from.
    pub binary: OwnedFd,
    /// The arguments that the program was started with, where its managers get them too.
    pub arguments: Option<Vec<OsString>>,
}

const SIGNALS: u64 = 0;
pub(crate) const MANAGER: u64 = 1;
const MANAGER_EXEC: u64 = 2;
pub(crate) const CALLERS: u64 = 3;
pub(crate) const TERMINAL: u64 = 4;
pub(crate) const REMOVALS: u64 = 5;
pub(crate) const SUCCESSOR: u64 = 6;
pub(crate) const SUCCESSOR_EXEC: u64 = 7;
pub(crate) const FIRST_WORKER: u64 = 16;
/// Until the next try when the kernel was short of something.
const RETRY: Duration = Duration::from_millis(50);
/// Records read from the manager before other sources have their turn.
const RECORDS_A_TURN: usize = 64;

/// The exit code of an engine that cannot be started.
const UNAVAILABLE: u8 = 69;

/// Runs the engine until it is told to end; gives the exit code.
///
/// # Errors
/// When the few descriptors that it cannot do without cannot be made. No process was started then.
pub fn run(boot: Boot) -> io::Result<u8> {
    Engine::new(boot)?.run()
}

pub(crate) struct Engine {
    pub(crate) epoll: Epoll,
    pub(crate) signals: SignalFd,
    pub(crate) voice: Voice,
    pub(crate) above: Above,
    pub(crate) premises: Premises,
    pub(crate) terminal: Terminal,
    pub(crate) binary: OwnedFd,
    pub(crate) arguments: Option<Vec<OsString>>,
    pub(crate) custody: Custody,
    pub(crate) children: Children,
    pub(crate) cgroups: Cgroups,
    pub(crate) care: Care,
    pub(crate) manager: Option<Manager>,
    pub(crate) managers: u32,
    pub(crate) last_words: String,
    /// Records that the next manager must be told.
    pub(crate) left_over: Vec<ToManager>,
    pub(crate) upgrade: Upgrade,
    pub(crate) nofile: (u64, u64),
    pub(crate) alone_since: Option<Mono>,
    /// When what could not be sent for want of something is tried again.
    retry: Option<Mono>,
    /// An immediate stop was asked for.
    pub(crate) quit: bool,
    /// The stop that a manager acknowledged: one without its memory is told again.
    pub(crate) stop: Option<ToManager>,
    stops: Stops,
    pub(crate) highest_worker: u64,
    pub(crate) exit: Option<u8>,
}

impl Engine {
    fn new(boot: Boot) -> io::Result<Self> {
        let terminal = Terminal::of_this_process();
        let signals = SignalFd::block_all()?;
        process::become_subreaper()?;
        let nofile = limits::raise_nofile()?;
        let epoll = Epoll::new()?;
        epoll.add(signals.as_fd(), SIGNALS, Interest::READABLE)?;
        terminal.watch(&epoll);
        let voice = Voice::new(&boot.directory)?;
        let mut above = Above::of_this_process();
        let (cgroups, remark) = Cgroups::new(&std::env::var("EVERCREW_INSTANCE").unwrap_or_default());
        let remarks = remark.map(|remark| format!("WARN  {remark}")).into_iter().chain(above.remarks.drain(..));
        remarks.for_each(|remark| voice.say(&remark));
        let mut care = Care::new(clock::mono());
        care.watch(above.watchdog());
        Ok(Self {
            epoll,
            signals,
            voice,
            above,
            premises: Premises::new(boot.directory, boot.lock, boot.claim, boot.pid_file),
            terminal,
            binary: boot.binary,
            arguments: boot.arguments,
            custody: Custody::new(boot.configuration),
            children: Children::default(),
            cgroups,
            care,
            manager: None,
            managers: 0,
            last_words: String::new(),
            left_over: Vec::new(),
            upgrade: Upgrade::default(),
            nofile,
            alone_since: None,
            retry: None,
            quit: false,
            stop: None,
            stops: Stops::default(),
            highest_worker: 0,
            exit: None,
        })
    }

    fn run(mut self) -> io::Result<u8> {
        self.guard_premises();
        let mut ready = Vec::with_capacity(64);
        loop {
            self.do_duties();
            self.stop_alone_further();
            self.flush();
            if let Some(code) = self.exit {
                self.end();
                return Ok(code);
            }
            let timeout = self.deadline().map(|at| at.since(clock::mono()));
            self.epoll.wait(&mut ready, timeout)?;
            for event in &ready {
                match event.token {
                    SIGNALS => self.read_signals(),
                    MANAGER => self.read_manager(RECORDS_A_TURN),
                    MANAGER_EXEC => self.manager_executed(),
                    SUCCESSOR => self.read_successor(),
                    SUCCESSOR_EXEC => self.successor_executed(),
                    CALLERS => self.caller_came(),
                    TERMINAL => self.terminal.lost(clock::mono(), &self.epoll),
                    REMOVALS => self.something_removed(),
                    worker => self.exec_outcome(worker - FIRST_WORKER),
                }
            }
        }
    }

    fn deadline(&self) -> Option<Mono> {
        let alone = self.alone_since.and_then(|since| {
            let waits = self.children.living().filter(|(_, child)| child.signalled != Some(Signal::Kill));
            waits.map(|(_, child)| since.after(child.stop_grace)).min()
        });
        let own = [self.care.deadline(), alone, self.retry, self.above.retry(), self.upgrade.handover.deadline()];
        own.into_iter().flatten().min()
    }

    // Duties of its own.

    fn do_duties(&mut self) {
        self.hand(Step::Tick);
        while let Some(duty) = self.care.due(clock::mono()) {
            match duty {
                Duty::StartManager { poisoned } => self.start_manager(poisoned),
                Duty::KillManager => {
                    self.say("ERROR manager owes a sign of life, killing it");
                    if let Some(manager) = &self.manager {
                        manager.kill();
                    }
                }
                Duty::StopAlone => self.stop_alone(),
                Duty::LookForCallers => self.look_for_callers(),
                Duty::LookAtPremises => self.look_at_premises(),
            }
        }
    }

    fn start_manager(&mut self, poisoned: bool) {
        let now = clock::mono();
        self.managers += 1;
        let title = self.manager_title();
        let started = Manager::start(&self.binary, &title, self.arguments.as_deref(), None)
            .and_then(|manager| manager.watch(&self.epoll, MANAGER, MANAGER_EXEC).map(|()| manager));
        self.care.manager_started(now);
        match started {
            Ok(manager) => {
                self.manager = Some(manager);
                self.tell_inventory(poisoned);
            }
            Err(error) if self.nothing_ever_ran() => {
                self.say(&format!("ERROR cannot start the manager: {error}"));
                self.say("  help: `ulimit -u` and `ulimit -n` bound processes and open files, a cgroup its processes");
                self.exit = Some(UNAVAILABLE);
            }
            Err(error) => {
                self.say(&format!("ERROR cannot start a manager: {error}; trying again"));
                self.care.manager_died(now, Blame::Outside);
            }
        }
    }

    pub(crate) fn manager_title(&self) -> String {
        format!("evercrew: manager [{}]", self.premises.directory.display())
    }

    /// No manager came as far as a deposit: whoever starts the engine is there to be told.
    fn nothing_ever_ran(&self) -> bool {
        !self.custody.has_state() && self.highest_worker == 0
    }

    fn manager_executed(&mut self) {
        if let Some(error) = self.manager.as_mut().and_then(|manager| manager.executed(&self.epoll)) {
            self.say(&format!("ERROR cannot execute the manager: {error}"));
        }
    }

    fn flush(&mut self) {
        self.tell_what_was_said();
        self.above.flush(clock::mono());
        self.flush_successor();
        let is_frozen = self.upgrade.handover.is_frozen();
        let Self { manager: Some(manager), custody, children, care, epoll, retry, upgrade, .. } = self else { return };
        let found = |beside: &Beside| find(beside, custody, children, upgrade);
        let flushed = manager.flush(epoll, MANAGER, found);
        *retry = (flushed == Some(Flushed::Short)).then(|| clock::mono().after(RETRY));
        care.owes(clock::mono(), manager.outgoing.is_owed() && !is_frozen);
    }

    fn read_manager(&mut self, records: usize) {
        let mut bytes = Vec::new();
        for _ in 0..records {
            let Some(manager) = &self.manager else { return };
            let mut descriptors = Vec::new();
            match record::receive(&manager.channel, wire::MAX_LARGE_RECORD, &mut bytes, &mut descriptors) {
                Ok(Received::Message) => match self.hear(&bytes) {
                    Ok(request) => self.perform(request, descriptors),
                    Err(error) => {
                        self.say(&format!("ERROR manager sent a record that is none ({error}), killing it"));
                        return self.kill_manager();
                    }
                },
                Ok(Received::Closed) => return self.kill_manager(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It died with records unread; what it sent before can still be read.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                Err(error) => {
                    self.say(&format!("ERROR cannot read from the manager ({error}), killing it"));
                    return self.kill_manager();
                }
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<ToSupervisor, evercrew_wire::Error> {
        self.care.heard(clock::mono());
        ToSupervisor::decode(bytes)
    }

    /// It is reaped when SIGCHLD says so; until then its channel is silent.
    fn kill_manager(&mut self) {
        if let Some(manager) = &self.manager {
            manager.kill();
            // Level-triggered end of file would spin until the wait; the interest returns with the next manager.
            let _ = self.epoll.remove(manager.channel.as_fd());
        }
    }

    fn perform(&mut self, request: ToSupervisor, mut descriptors: Vec<OwnedFd>) {
        match request {
            ToSupervisor::Bind(bind) => {
                let name = bind.listener.clone();
                let answer = self.custody.bind(bind, &mut self.above);
                self.await_callers(&name);
                let beside = match answer {
                    ToManager::Bound { .. } => Beside::Listener(name),
                    _ => Beside::Nothing,
                };
                self.tell(answer, beside);
            }
            ToSupervisor::Unbind { listener } => self.custody.unbind(&listener, &mut self.above),
            ToSupervisor::Disown { number } => self.above.disown(number),
            ToSupervisor::Spawn(spawn) => self.spawn(&spawn, descriptors.pop()),
            ToSupervisor::Signal { worker, signal, scope, aside, word } => {
                if let (Some(child), Ok(signal)) = (self.children.of_mut(worker), signal.parse()) {
                    if aside {
                        child.send(signal, scope);
                    } else {
                        child.signal(signal, scope, word.as_deref());
                        child.signalled = Some(signal);
                    }
                    if (signal, scope) == (Signal::Kill, Scope::Group) {
                        self.cgroups.kill(worker);
                    }
                }
            }
            ToSupervisor::Deposit { configuration, restart_wait_ms, stops, wishes } => {
                self.stops.told(stops);
                self.care.wait_between_managers(Duration::from_millis(restart_wait_ms));
                let mut descriptors = descriptors.into_iter();
                if let Some(state) = descriptors.next() {
                    self.custody.deposit(state, descriptors.next().filter(|_| configuration), wishes);
                }
            }
            ToSupervisor::Notify { text } => {
                if text.lines().any(|line| line == "WATCHDOG=1") {
                    self.care.lives(clock::mono());
                }
                self.above.tell(text);
            }
            ToSupervisor::LogLevel { level } => self.voice.set_level(&level),
            ToSupervisor::Upgrade { patience_ms } => {
                self.upgrade_asked(descriptors.pop(), Duration::from_millis(patience_ms));
            }
            ToSupervisor::Connections => self.upgrade.connections.push(descriptors),
            ToSupervisor::Left => self.manager_left(descriptors.pop()),
            ToSupervisor::Kept { reason } => self.manager_kept(reason),
            // Of a successor alone.
            ToSupervisor::Ready | ToSupervisor::Applied => {}
            ToSupervisor::Ack { n } => self.acknowledged(n),
            ToSupervisor::Exit { code, message } => {
                if !message.is_empty() {
                    self.voice.print(&message);
                }
                self.exit = Some(code);
            }
        }
    }

    fn acknowledged(&mut self, n: u64) {
        let Some(manager) = &mut self.manager else { return };
        for record in manager.outgoing.acknowledge(n) {
            match record {
                ToManager::Exited { worker, .. } | ToManager::SpawnFailed { worker, .. } => {
                    self.children.remove(worker);
                }
                ToManager::SignalReceived { ref signal, from_kernel, .. } if self.stops.ask(signal, from_kernel) => {
                    self.stop = Some(record);
                }
                _ => {}
            }
        }
        if !manager.outgoing.owes_signal() {
            self.care.stop_acknowledged();
        }
    }

    // Signals and exits.

    pub(crate) fn signal_received(&mut self, signal: Signal, received: &signal::Received) {
        let Some(from_kernel) = self.is_from_kernel(signal, received) else { return };
        let record = ToManager::SignalReceived {
            signal: signal.name().to_owned(),
            pid: received.sender_pid,
            uid: received.sender_uid,
            from_kernel,
            at: clock::mono().as_nanos(),
        };
        if self.stops.ask(signal.name(), from_kernel) {
            self.care.stop_requested(clock::mono());
            self.quit |= self.stops.ask_at_once(signal.name(), from_kernel);
            self.hand(Step::StopAsked);
            if self.care.alone() {
                self.kill_all();
            }
        }
        self.tell(record, Beside::Nothing);
    }

    /// SIGCHLD is a hint: many exits, one signal. Each ended process is looked at while its number is still pinned.
    pub(crate) fn reap_all(&mut self) {
        while let Ok(Some(pid)) = process::peek_exited() {
            let worker = self.children.worker_of(pid);
            let mut oom_kills = 0;
            if let Some(worker) = worker {
                self.exec_outcome(worker);
                // The group is ours as long as its leader is not reaped; it is empty when this fails.
                let _ = process::signal_group(pid, Signal::Kill);
                oom_kills = self.cgroups.ended(worker);
            }
            let reaped = process::reap(pid);
            if self.upgrade.successor.as_ref().is_some_and(|successor| successor.manager.pid == pid) {
                self.successor_ended(reaped.map(|(status, _)| status).ok());
            } else if self.manager.as_ref().is_some_and(|manager| manager.pid == pid) {
                self.manager_ended(reaped.map(|(status, _)| status).ok());
            } else if let (Some(worker), Ok((status, usage))) = (worker, reaped) {
                self.worker_ended(worker, status, usage, oom_kills);
            }
        }
    }

    fn manager_ended(&mut self, status: Option<process::Status>) {
        // What it sent before it died still counts, all of it (a socket's buffer at most): a deposit and what follows from
        // it, an acknowledgement, the order to end.
        self.read_manager(usize::MAX);
        let Some(manager) = self.manager.take() else { return };
        let _ = self.epoll.remove(manager.channel.as_fd());
        self.left_over = manager.outgoing.left_over();
        self.left_over.extend(self.upgrade.take_held().map(|(record, _)| record).filter(is_lasting));
        self.retry = None;
        if self.exit.is_some() || self.care.alone() {
            return;
        }
        let blame = match status {
            Some(process::Status::Signal { number, .. })
                if [Signal::Kill, Signal::Term].map(signal::number).contains(&number) =>
            {
                Blame::Outside
            }
            _ => Blame::Itself,
        };
        self.last_words = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
        if self.nothing_ever_ran() && self.care.was_stillborn(blame) {
            self.say(&format!("ERROR cannot start the engine: its managers end at once ({})", self.last_words));
            self.exit = Some(UNAVAILABLE);
            return;
        }
        self.say(&format!("WARN  manager {} ended ({}), starting another", manager.pid, self.last_words));
        self.hand(Step::ManagerEnded { by_itself: blame == Blame::Itself || self.care.has_killed() });
        self.care.manager_died(clock::mono(), blame);
    }
}
