//! From what the supervisor holds to a model that goes on: the one path of first start, crash and upgrade.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use evercrew_config::{Address, Listener, Service, Settings};
use evercrew_core::Signal;
use evercrew_core::fleet::{
    Epoch, Event, Fleet, Generation, Phase, Policy, ServiceId, Slot, Snapshot, WorkerId, WorkerState,
};
use evercrew_sys::{clock, failpoint, memfd};
use evercrew_wire::Text;
use evercrew_wire::control::LISTENER as CONTROL;
use evercrew_wire::deposit::{self as wire_deposit, Configuration, State, Wishes};
use evercrew_wire::supervisor::{self as wire, Bind, Inventory, Numbered, Purpose, ToManager, ToSupervisor, Worker};

use crate::crew::{Crew, Parts};
use crate::deposit;
use crate::edition::Edition;
use crate::identity;
use crate::inheritance::Inheritance;
use crate::link::{self, Link, Record};
use crate::listeners;

/// How long the supervisor may take to answer a bind.
const BIND_TIMEOUT: Duration = Duration::from_secs(10);

/// Why this manager cannot work: what the engine ends with where nothing runs yet.
#[derive(Debug)]
pub(crate) struct Fatal {
    pub(crate) code: u8,
    pub(crate) message: String,
    /// The supervisor itself is gone.
    pub(crate) orphaned: bool,
}

impl Fatal {
    pub(crate) fn new(code: u8, message: String) -> Self {
        Self { code, message, orphaned: false }
    }
}

impl Found {
    /// No manager before this one came as far as a deposit, and nothing runs: what is wrong is told to whoever starts
    /// the engine. Later the workers serve on, whatever is wrong with a manager.
    pub(crate) fn is_first_start(&self) -> bool {
        !self.inventory.state && !self.inventory.poisoned && self.workers.is_empty()
    }

    /// The addresses of listeners whose port was the kernel's choice.
    pub(crate) fn chosen_ports(&self) -> BTreeMap<String, SocketAddr> {
        let chosen = |(key, (address, socket)): (&String, &(wire::Address, OwnedFd))| {
            Some((key.clone(), listeners::chosen_port(address, socket)?))
        };
        self.listeners.iter().filter_map(chosen).collect()
    }

    /// The engine's directories among the cgroups.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        self.inventory.cgroups.iter().map(Text::to_path).collect()
    }
}

impl From<io::Error> for Fatal {
    fn from(error: io::Error) -> Self {
        let orphaned = link::is_end(&error);
        Self { code: 1, message: format!("evercrew: the manager cannot talk to the supervisor: {error}"), orphaned }
    }
}

/// What the supervisor told.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) inventory: Inventory,
    configuration: Option<OwnedFd>,
    state: Option<OwnedFd>,
    pub(crate) listeners: BTreeMap<String, (wire::Address, OwnedFd)>,
    pub(crate) workers: Vec<(Worker, Parts)>,
    /// Operators' connections, and what another manager hands on with them.
    pub(crate) connections: Vec<OwnedFd>,
    pub(crate) document: Option<OwnedFd>,
    /// The number of the last record read.
    pub(crate) last: u64,
}

/// Everything a manager starts from.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) configuration: Configuration,
    pub(crate) crew: Crew,
    pub(crate) fleet: Fleet,
    pub(crate) state: Option<State>,
    pub(crate) inheritance: Inheritance,
    pub(crate) news: News,
}

/// What the inventory says beyond what the last manager left.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// What the fleet must be told of the workers found.
    pub(crate) events: Vec<Event>,
    /// Processes of nobody: to be killed.
    pub(crate) strays: Vec<WorkerId>,
    /// What a person should know.
    pub(crate) remarks: Vec<String>,
}

/// Reads the inventory to its end.
///
/// # Errors
/// When the supervisor is gone or says something else first.
pub(crate) async fn inventory(link: &Link) -> Result<Found, Fatal> {
    let odd = |what: &str| Fatal::new(1, format!("evercrew: the supervisor sent {what}"));
    let mut found: Option<Found> = None;
    loop {
        let (numbered, descriptors) = receive(link).await?;
        match (numbered.record, &mut found) {
            (ToManager::Inventory(inventory), None) => {
                let mut descriptors = descriptors.into_iter();
                let configuration = descriptors.next();
                let state = if inventory.state { descriptors.next() } else { None };
                found = Some(Found {
                    inventory,
                    configuration,
                    state,
                    listeners: BTreeMap::new(),
                    workers: Vec::new(),
                    connections: Vec::new(),
                    document: descriptors.next(),
                    last: numbered.n,
                });
            }
            (ToManager::Bound { listener, address }, Some(found)) => {
                if let Some(socket) = descriptors.into_iter().next() {
                    found.listeners.insert(listener, (address, socket));
                }
            }
            (ToManager::Worker(worker), Some(found)) => {
                let parts = Parts::of(&worker.kept, descriptors);
                found.workers.push((worker, parts));
            }
            (ToManager::Connections, Some(found)) => found.connections.extend(descriptors),
            (ToManager::InventoryEnd, Some(_)) => {
                let Some(mut found) = found else { return Err(odd("an empty inventory")) };
                found.last = numbered.n;
                return Ok(found);
            }
            (_, None) => return Err(odd("a record before its inventory")),
            (_, Some(_)) => return Err(odd("another record within its inventory")),
        }
    }
}

pub(crate) async fn receive(link: &Link) -> Result<(Numbered, Vec<OwnedFd>), Fatal> {
    let record = link.receive(wire::MAX_LARGE_RECORD).await?;
    let (bytes, descriptors) = record.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let numbered = Numbered::decode(&bytes).map_err(io::Error::other)?;
    Ok((numbered, descriptors))
}

/// Builds the model and checks it against the inventory, which wins.
///
/// # Errors
/// When the configuration deposit cannot be understood: nothing can be run then.
pub(crate) fn model(found: &mut Found) -> Result<Model, Fatal> {
    let unusable = |text: String| Fatal::new(78, text);
    let bytes = found
        .configuration
        .as_ref()
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        .and_then(|fd| memfd::read(fd, wire_deposit::MAX))?;
    let configuration =
        Configuration::decode(&bytes).map_err(|error| unusable(format!("evercrew: configuration deposit: {error}")))?;
    let edition = Edition::of(deposit::source(&configuration)).map_err(|errors| unusable(errors.render(false)))?;
    let is_tried = found.inventory.purpose != Purpose::Work;
    if is_tried {
        failpoint::reached("handover.2");
    }
    if found.is_first_start() {
        check_open_files(most_at_a_time(&edition.settings), found.inventory.nofile.1)
            .map_err(|text| unusable(format!("evercrew: {text}")))?;
        edition.check_identities().map_err(|error| unusable(format!("evercrew: {error}")))?;
    }
    let mut news = News::default();
    let state = found.state.take().and_then(|fd| match read_state(&fd, &configuration, &edition.settings) {
        Ok(state) => Some(state),
        Err(why) => {
            news.remarks.push(format!("state deposit not taken over ({why}); going on from the inventory alone"));
            None
        }
    });
    if is_tried && (state.is_none() || !news.remarks.is_empty()) {
        return Err(unusable(format!("evercrew: cannot go on from this state: {}", news.remarks.join("; "))));
    }
    if is_tried {
        failpoint::reached("handover.3");
    }
    let numbers = state.as_ref().map(|state| &state.services[..]).unwrap_or_default();
    let mut crew = Crew::new(configuration.revision, edition, numbers);
    crew.cgroups = found.cgroups();
    for (revision, source) in deposit::earlier(&configuration) {
        match Edition::of(source) {
            Ok(edition) => crew.remember(revision, Arc::new(edition)),
            Err(_) => news.remarks.push(format!("the configuration of revision {revision} cannot be read any more")),
        }
    }
    let runs: BTreeMap<ServiceId, Vec<Epoch>> =
        crew.ids().iter().map(|id| (*id, versions(state.as_ref(), &found.workers, *id, crew.name(*id)))).collect();
    crew.agree(|id| runs.get(&id).cloned().unwrap_or_default());
    let policies: Vec<(ServiceId, Policy, Epoch)> =
        crew.policies().into_iter().map(|(service, policy)| (service, policy, crew.asked(service))).collect();
    let highest = found.inventory.highest_worker;
    let used = found.workers.iter().map(|(worker, _)| worker.worker).chain([highest]).map(WorkerId);
    let (memory, asked) = match &state {
        Some(state) => (state.fleet.clone(), Vec::new()),
        None => deposit::without_state(used, &read_wishes(&found.inventory, &mut news), &crew),
    };
    if found.inventory.returned.is_some() {
        // What operators asked of the manager after it stands.
        let wishes = read_wishes(&found.inventory, &mut news);
        news.events.extend(deposit::without_state(std::iter::empty(), &wishes, &crew).1);
    }
    news.events.extend(asked);
    let fleet = Fleet::restore(seed(), &memory, &policies);
    compare(&fleet, &memory, &crew, &found.workers, &mut news);
    news.events.extend(untried(&memory, &crew));
    let inheritance = Inheritance::new(std::mem::take(&mut found.inventory.inherited));
    Ok(Model { configuration, crew, fleet, state, inheritance, news })
}

/// Descriptors that the engine holds for each worker (pidfd, two pipes, a notify socket and its watch), for one that
/// takes words beside them (our end of the pipe and its watch), and for itself.
const DESCRIPTORS_PER_WORKER: u64 = 5;
const DESCRIPTORS_FOR_WORDS: u64 = 2;
const OWN_DESCRIPTORS: u64 = 256;

/// Descriptors that the engine holds for one worker of a service.
pub(crate) fn descriptors_for_one(service: &Service) -> u64 {
    DESCRIPTORS_PER_WORKER + if service.command_pipe { DESCRIPTORS_FOR_WORDS } else { 0 }
}

/// How many are left for workers under a limit of open files.
pub(crate) fn descriptors_for_all(hard_limit: u64) -> u64 {
    hard_limit.saturating_sub(OWN_DESCRIPTORS)
}

/// Workers, and the descriptors that the engine holds for them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crowd {
    workers: u64,
    descriptors: u64,
}

/// How many workers this configuration may have at a time, those of a rollout included.
pub fn most_at_a_time(settings: &Settings) -> Crowd {
    let most = |policy: &Policy| {
        let beside = policy.rollout.surge.min(policy.workers) + policy.rollout.draining * policy.workers;
        u64::from(policy.workers) + u64::from(beside)
    };
    settings.services.iter().fold(Crowd::default(), |sum, service| Crowd {
        workers: sum.workers + most(&service.policy),
        descriptors: sum.descriptors + most(&service.policy) * descriptors_for_one(service),
    })
}

/// Whether so many workers fit under the hard limit of open files.
///
/// # Errors
/// How many open files they need, and what to do.
pub fn check_open_files(crowd: Crowd, hard_limit: u64) -> Result<(), String> {
    let Crowd { workers, descriptors } = crowd;
    let needed = descriptors + OWN_DESCRIPTORS;
    if needed <= hard_limit {
        return Ok(());
    }
    let (who, fewer) = match workers {
        0 => ("an engine needs".to_owned(), ""),
        workers => (format!("{workers} workers (those of a rollout included) need"), ", or ask for fewer workers"),
    };
    Err(format!(
        "{who} {needed} open files, and the hard limit is {hard_limit}\n  help: raise it (`ulimit -Hn {needed}`, or \
         LimitNOFILE={needed} in the unit){fewer}"
    ))
}

fn read_state(fd: &OwnedFd, configuration: &Configuration, settings: &Settings) -> Result<State, String> {
    let bytes = memfd::read(fd, wire_deposit::MAX).map_err(|error| error.to_string())?;
    let state = State::decode(&bytes).map_err(|error| error.to_string())?;
    let is_named = |name: &String| state.services.iter().any(|(_, known)| known == name);
    // Both are replaced in one record; what does not fit together is somebody's mistake.
    if state.revision != configuration.revision || !settings.services.iter().all(|service| is_named(&service.name)) {
        return Err("it belongs to another configuration".to_owned());
    }
    Ok(state)
}

/// The versions of a service's command that are run, as far as is known, the likeliest first.
fn versions(state: Option<&State>, workers: &[(Worker, Parts)], id: ServiceId, name: &str) -> Vec<Epoch> {
    match state.map(|state| state.fleet.services.iter().find(|memory| memory.service == id)) {
        Some(memory) => memory.map(|memory| vec![memory.epoch, memory.serving]).unwrap_or_default(),
        None => {
            let labels = workers.iter().map(|(worker, _)| &worker.label).filter(|label| label.service == name);
            let epochs: BTreeSet<Epoch> = labels.map(|label| Epoch(label.epoch)).collect();
            epochs.into_iter().rev().collect()
        }
    }
}

/// What operators asked for of the managers before, where their state is not to be had.
fn read_wishes(inventory: &Inventory, news: &mut News) -> Wishes {
    let read = inventory.wishes.as_deref().map_or_else(|| Ok(Wishes::default()), Wishes::decode);
    read.unwrap_or_else(|why| {
        news.remarks.push(format!("what `scale`, `stop` and `down` asked for is lost ({why})"));
        Wishes::default()
    })
}

/// The last manager ended while it tried a configuration that it had not taken: what was begun is taken back.
fn untried(memory: &Snapshot, crew: &Crew) -> Vec<Event> {
    let unknown = memory.services.iter().filter(|service| !crew.has_edition(service.epoch));
    let define =
        |service: ServiceId| Some(Event::Define { service, policy: crew.policy(service)?, epoch: crew.asked(service) });
    unknown.filter_map(|service| define(service.service)).collect()
}

/// Different managers spread their jitter differently.
fn seed() -> u64 {
    clock::mono().as_nanos() ^ (u64::from(std::process::id()) << 32)
}

/// What the fleet must be told: workers it does not know, workers that are not there.
fn compare(fleet: &Fleet, memory: &Snapshot, crew: &Crew, found: &[(Worker, Parts)], news: &mut News) {
    let expected = expected_signals(memory, crew);
    let living = fleet.services().into_iter().flat_map(|view| view.workers).filter_map(|worker| worker.worker);
    let there: BTreeSet<u64> = found.iter().map(|(worker, _)| worker.worker).collect();
    let lost = living.filter(|id| !there.contains(&id.0));
    // The dead first: an adopted worker may take the place of one that never came to be.
    news.events.extend(lost.map(|worker| Event::Lost { worker }));
    for (worker, _) in found {
        let id = WorkerId(worker.worker);
        if fleet.worker(id).is_some() {
            if worker.executed && fleet.worker(id).is_some_and(|(.., state)| state == WorkerState::Starting) {
                news.events.push(Event::Spawned { worker: id });
            }
            if expected.get(&id).is_some_and(|signal| worker.signalled.as_deref() != Some(signal.name())) {
                news.events.push(Event::Unsignalled { worker: id });
            }
        } else if !worker.ended {
            match crew.find(&worker.label.service) {
                Some(service) => news.events.push(Event::Adopt {
                    worker: id,
                    service,
                    slot: Slot(worker.label.slot),
                    generation: Generation(worker.label.generation),
                    epoch: Epoch(worker.label.epoch),
                }),
                None => news.strays.push(id),
            }
        }
    }
}

/// The last signal that each worker in its stop was to get. What the supervisor last sent differs from it when the
/// manager died between the deposit and the record.
fn expected_signals(memory: &Snapshot, crew: &Crew) -> BTreeMap<WorkerId, Signal> {
    let policies: BTreeMap<ServiceId, Policy> = crew.policies().into_iter().collect();
    let workers = memory.services.iter().flat_map(|service| {
        let slots = service.prologue.iter().map(|prologue| &prologue.slot).chain(&service.slots);
        slots.flat_map(|slot| &slot.workers).map(|worker| (policies.get(&service.service), worker))
    });
    workers
        .filter_map(|(policy, worker)| {
            let signal = match worker.phase {
                Phase::Spawning | Phase::Booting { .. } | Phase::Ready { .. } => None,
                Phase::Killed => Some(Signal::Kill),
                Phase::Draining(ladder) | Phase::Stopping(ladder) => {
                    let step = ladder.step.filter(|_| ladder.told).and_then(|step| usize::try_from(step).ok())?;
                    policy?.stop.steps.get(step).map(|step| step.signal)
                }
            };
            Some((worker.worker, signal?))
        })
        .collect()
}

/// Opens what is missing of the command socket and the listeners; gives the command socket and what came meanwhile.
///
/// # Errors
/// When one of them cannot be opened and nothing runs yet: the engine then ends.
pub(crate) async fn bind(
    link: &mut Link,
    found: &mut Found,
    model: &mut Model,
) -> Result<(OwnedFd, Vec<(Numbered, Vec<OwnedFd>)>), Fatal> {
    let wanted = wanted_listeners(model.crew.settings());
    let names: BTreeMap<String, String> =
        wanted.iter().map(|(name, bind)| (bind.listener.clone(), name.clone())).collect();
    model.news.remarks.extend(make_socket_directories(model.crew.settings()));
    let engine = &model.crew.settings().engine;
    let own = identity::of_engine(engine, identity::supervisor(engine)).ok().flatten();
    let owner = own.map(|identity| (identity.credentials.uid, identity.credentials.gid));
    let mut open = 0;
    for (_, mut bind) in wanted {
        if found.listeners.get(&bind.listener).is_none_or(|(address, _)| *address != bind.address) {
            model.news.remarks.extend(model.inheritance.claim(&mut bind));
            bind.owner = owner;
            let bytes = ToSupervisor::Bind(bind).encode().map_err(io::Error::other)?;
            link.push(Record { bytes, descriptors: Vec::new() });
            open += 1;
        }
    }
    link.flush()?;
    let first_start = found.is_first_start();
    let mut meanwhile = Vec::new();
    while open > 0 {
        let timely = tokio::time::timeout(BIND_TIMEOUT, receive(link)).await;
        let (numbered, descriptors) = timely.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        found.last = numbered.n;
        match numbered.record {
            ToManager::Bound { listener, address } => {
                open -= 1;
                if let Some(socket) = descriptors.into_iter().next() {
                    found.listeners.insert(listener, (address, socket));
                }
            }
            ToManager::BindFailed { listener, message, .. } => {
                open -= 1;
                let name = names.get(&listener).unwrap_or(&listener);
                let message = format!("evercrew: cannot listen for `{name}`: {message}");
                if first_start {
                    return Err(Fatal::new(69, message));
                }
                model.news.remarks.push(message);
            }
            record => meanwhile.push((Numbered { n: numbered.n, record }, descriptors)),
        }
    }
    let control = found.listeners.remove(CONTROL).map(|(_, socket)| socket);
    let control = control.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok((control, meanwhile))
}

/// The directory of a unix socket is made where it is missing, as the engine's own is. What cannot be made is left to
/// the bind, which fails with the reason.
pub(crate) fn make_socket_directories(settings: &Settings) -> Vec<String> {
    let parent = |listener: &evercrew_config::Listener| match &listener.address {
        Address::Unix(path) => path.parent().map(std::path::Path::to_path_buf),
        Address::Tcp(_) => None,
    };
    let missing: BTreeSet<_> = settings.listeners.iter().filter_map(parent).filter(|path| !path.exists()).collect();
    let cannot = |path: std::path::PathBuf| {
        let made = std::fs::create_dir_all(&path);
        made.err().map(|error| format!("cannot make the directory {} for a socket: {error}", path.display()))
    };
    missing.into_iter().filter_map(cannot).collect()
}

fn wanted_listeners(settings: &Settings) -> Vec<(String, Bind)> {
    let control = settings.engine.directory.join("control.sock");
    let control = Bind {
        listener: CONTROL.to_owned(),
        address: wire::Address::Unix(Text::from(&control)),
        backlog: 1024,
        mode: Some(0o600),
        reuse_port: false,
        nonblocking: false,
        inherited: None,
        owner: None,
        store: None,
    };
    let named = |listener: &Listener| {
        let name = listener.name.clone();
        listeners::binds(listener).map(move |bind| (name.clone(), bind)).collect::<Vec<_>>()
    };
    let listeners = listeners::used(settings).flat_map(named);
    std::iter::once((CONTROL.to_owned(), control)).chain(listeners).collect()
}
