//! Effects: the fleet's actions become records, and the supervisor's records become events.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use evercrew_core::fleet::{Action, Epoch, Event, ExitStatus, Scope, ServiceId, Slot, WorkerId, WorkerState};
use evercrew_core::gather::Exit;
use evercrew_core::{Mono, Signal, Word};
use evercrew_sys::signal;
use evercrew_wire::control::LISTENER as CONTROL;
use evercrew_wire::handover;
use evercrew_wire::supervisor::{self as wire, Label, Numbered, Program, Status, ToManager, ToSupervisor, Worker};

use serde_json::json;

use crate::accepting;
use crate::crew::{LOGGER, LOGGER_NAME, PROLOGUE, Parts, Process};
use crate::handed;
use crate::launch::stopped_by;
use crate::link::Record;
use crate::listeners;
use crate::manager::Manager;
use crate::notices::Level;
use crate::probe;
use crate::reserve::Reserve;
use crate::start_error;
use crate::watch::watch;

/// Dead workers whose pipes wait for a logger.
const MAX_UNREAD: usize = 256;

impl Manager {
    /// Performs one action.
    pub(crate) fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn { worker, service, slot, generation, epoch } => {
                let label = self.crew.label(service, slot, generation, epoch.0);
                if service == LOGGER {
                    let spawn = self.launcher.logger(worker, label);
                    return self.spawn(spawn);
                }
                let spawn = self.describe_worker(worker, service, label);
                self.spawn_or_fail(worker, (service, slot), spawn);
            }
            Action::Prepare { worker, service, generation, epoch, command } => {
                let label = self.crew.label(service, PROLOGUE, generation, epoch.0);
                let spawn = self.describe_command(worker, service, command, label);
                self.spawn_or_fail(worker, (service, PROLOGUE), spawn);
            }
            Action::Signal { worker, signal, scope, word } => self.signal(worker, signal, scope, word),
            Action::Notice(notice) => {
                self.count(&notice);
                self.notice(notice);
            }
            Action::Exit => self.exit = true,
        }
    }

    fn describe_worker(&mut self, worker: WorkerId, service: ServiceId, label: Label) -> Result<wire::Spawn, String> {
        let edition = self.crew.edition(Epoch(label.epoch));
        let recipe = self.crew.recipe(service, Epoch(label.epoch)).ok_or("its service is gone")?;
        let identity = edition.identity(&label.service)?;
        let stop = self.crew.service(service).map_or(&recipe.policy.stop, |service| &service.policy.stop);
        let level = self.log.set_of(&label.name, Some(&label.service));
        let spawn = self.launcher.worker(worker, (recipe, &edition.settings), identity, level, label);
        spawn.map(|spawn| stopped_by(spawn, stop)).map_err(|error| error.to_string())
    }

    fn describe_command(
        &self,
        worker: WorkerId,
        service: ServiceId,
        command: u32,
        label: Label,
    ) -> Result<wire::Spawn, String> {
        let recipe = self.crew.recipe(service, Epoch(label.epoch)).ok_or("its service is gone")?;
        let command = usize::try_from(command).ok().and_then(|command| recipe.before_start.get(command));
        let command = command.ok_or("there is no such command any more")?;
        let identity = self.crew.edition(Epoch(label.epoch)).identity(&label.service)?;
        let stop = self.crew.service(service).map_or(&recipe.policy.stop, |service| &service.policy.stop);
        let spawn = self.launcher.before_start(worker, (recipe, command), identity, label);
        spawn.map(|spawn| stopped_by(spawn, stop)).map_err(|error| error.to_string())
    }

    fn spawn_or_fail(
        &mut self,
        worker: WorkerId,
        (service, slot): (ServiceId, Slot),
        spawn: Result<wire::Spawn, String>,
    ) {
        match spawn {
            Ok(spawn) => self.spawn(spawn),
            Err(error) => {
                let name = self.crew.worker_name(service, slot);
                self.write_log(Level::Error, &format!("{name} cannot be started: {error}"));
                self.rollouts.trouble(worker, error);
                // In the next turn: a fleet that tries again at once must not keep this one for ever.
                self.later.push_back(Event::SpawnFailed { worker, transient: false });
            }
        }
    }

    fn spawn(&mut self, spawn: wire::Spawn) {
        let attached = (spawn.program == Program::Attached).then(|| Arc::clone(&self.binary));
        self.after_deposit(&ToSupervisor::Spawn(Box::new(spawn)), attached.into_iter().collect());
    }

    pub(crate) fn signal(&mut self, worker: WorkerId, signal: Signal, scope: Scope, word: Option<Word>) {
        let scope = match scope {
            Scope::Process => wire::Scope::Process,
            Scope::Group => wire::Scope::Group,
        };
        let word = word.map(|word| word.name().to_owned());
        let signal = signal.name().to_owned();
        let record = ToSupervisor::Signal { worker: worker.0, signal, scope, aside: false, word };
        self.after_deposit(&record, Vec::new());
    }

    pub(crate) fn after_deposit(&mut self, record: &ToSupervisor, descriptors: Vec<crate::link::Shared>) {
        match record.encode() {
            Ok(bytes) => self.decided.push(Record { bytes, descriptors }),
            Err(error) => self.write_log(Level::Error, &error.to_string()),
        }
    }

    /// Handles one record of the supervisor.
    pub(crate) fn record(&mut self, numbered: Numbered, descriptors: Vec<OwnedFd>) {
        self.handled = self.handled.max(Some(numbered.n));
        match numbered.record {
            ToManager::Spawned(worker) => {
                let mut parts = Parts::of(&worker.kept, descriptors);
                self.process_found(&worker, &mut parts, None);
                let id = WorkerId(worker.worker);
                self.decide(Event::Spawned { worker: id });
                if self.fleet.worker(id).is_none() {
                    // Nobody asked for it, as far as is known: it would run beside the one that was asked for.
                    self.signal(id, Signal::Kill, Scope::Group, None);
                }
            }
            ToManager::SpawnFailed { worker, step, errno, transient } => {
                let worker = WorkerId(worker);
                if let Some((service, slot, ..)) = self.fleet.worker(worker) {
                    let why = start_error::explain(&step, errno, self.crew.service(service));
                    let name = self.crew.worker_name(service, slot);
                    self.launcher.forget(self.crew.name(service));
                    self.write_log(Level::Error, &format!("{name} cannot be started: {why}"));
                    self.rollouts.trouble(worker, why);
                }
                self.decide(Event::SpawnFailed { worker, transient });
            }
            ToManager::Exited { worker, status, oom_kills, .. } => {
                let worker = WorkerId(worker);
                let status = match status {
                    Status::Code(code) => ExitStatus::Code(code),
                    Status::Signal(number) if oom_kills > 0 && number == signal::number(Signal::Kill) => {
                        ExitStatus::OutOfMemory
                    }
                    Status::Signal(number) => ExitStatus::Signal(signal::from_number(number)),
                };
                self.decide(Event::Exited { worker, status });
                self.leaves(worker, Exit::Died);
                self.counts_no_more(worker);
                let process = self.crew.processes.remove(&worker).inspect(|process| self.tell_noise(process));
                if let Some(process) = process
                    && self.logger.is_none()
                    && self.unread.len() < MAX_UNREAD
                {
                    // The next logger reads its last words.
                    self.unread.push((worker, process));
                }
                if self.logger.as_ref().is_some_and(|(logger, _)| *logger == worker) {
                    self.logger = None;
                }
            }
            ToManager::SignalReceived { signal, pid, uid, from_kernel, at } => {
                if let Ok(signal) = signal.parse() {
                    self.signal_heard(signal, (pid, uid), from_kernel, Mono::from_nanos(at));
                }
            }
            ToManager::Bound { listener, .. } if listener == CONTROL => self.listen_again(descriptors),
            ToManager::Bound { listener, address } => {
                let port = descriptors.first().and_then(|socket| listeners::chosen_port(&address, socket));
                self.engine.bound.extend(port.map(|port| (listener.clone(), port)));
                self.bound(listener);
            }
            ToManager::BindFailed { listener, message, .. } => self.bind_failed(&listener, &message),
            ToManager::Freeze => self.told_to_leave(),
            ToManager::GoOn { reason, words } => self.upgrade_failed(&reason, &words),
            // They are read while booting.
            ToManager::Inventory(_)
            | ToManager::Worker(_)
            | ToManager::Connections
            | ToManager::InventoryEnd
            | ToManager::Commit => {}
            // It is acknowledged with the batch, which is all that is asked.
            ToManager::CallerWaits => {}
            ToManager::Said { level, text } => self.supervisor_said(&level, text),
        }
    }

    /// Somebody removed the control socket, and the supervisor made another one: nobody can find the old one any more.
    fn listen_again(&mut self, descriptors: Vec<OwnedFd>) {
        let Some(socket) = descriptors.into_iter().next() else { return };
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
        let (room, inputs) = (self.room.clone(), self.inputs.clone());
        let listening = Reserve::new().and_then(|reserve| accepting::listen(socket, reserve, room, inputs));
        match listening {
            Ok(accepting) => {
                self.accepting = Some(accepting);
                self.open_to_others();
            }
            Err(error) => {
                let words = format!("cannot listen on the control socket that was made again: {error}");
                self.tell(Level::Error, "engine.problem", json!({"message": words}), &words);
            }
        }
    }

    /// A process runs: its descriptors are put to use.
    pub(crate) fn process_found(&mut self, worker: &Worker, parts: &mut Parts, known: Option<handover::Worker>) {
        let id = WorkerId(worker.worker);
        let mut process = Process::new(worker, parts);
        if let Some(known) = known {
            handed::known(&mut process, known);
        }
        let target = self.crew.recipe_of(&worker.label);
        let target = target.and_then(|service| probe::target(service, worker.label.slot));
        // One that is ready already has answered a manager before this one.
        let starting = self.fleet.worker(id).is_some_and(|(.., state)| state == WorkerState::Starting);
        let words = self.listen(id, &process);
        process.watch = watch(id, parts, target.filter(|_| starting), words, &self.inputs);
        if worker.label.service == LOGGER_NAME {
            self.crew.processes.insert(id, process);
            if let Some(link) = parts.link.take() {
                self.logger_found(id, link);
            }
            return;
        }
        self.attach_process(id, &process);
        self.crew.processes.insert(id, process);
    }
}
