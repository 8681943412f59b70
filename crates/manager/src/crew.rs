//! What the fleet's numbers stand for: services by name, processes with their descriptors.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use evercrew_config::{Service, Settings};
use evercrew_core::Mono;
use evercrew_core::fleet::{Epoch, Generation, Policy, ServiceId, Slot, WorkerId};
use evercrew_wire::supervisor::{Kept, Label, Worker};
use std::time::Duration;

use crate::edition::{Edition, terms};
use crate::link::Shared;
use crate::plan::Differences;
use crate::watch::Watch;
use crate::words::Unheard;

/// The engine's own output process: a service like any other for the fleet, hidden from operators. Every other service
/// is `after` it, so it starts first and stops last.
pub(crate) const LOGGER: ServiceId = ServiceId(u32::MAX);
/// Its name in labels; no service can have it.
pub(crate) const LOGGER_NAME: &str = "@logger";

/// Where what runs before the first worker of a generation has its processes: `web.before`.
pub(crate) const PROLOGUE: Slot = Slot(0);

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) label: Label,
    pub(crate) pid: u32,
    pub(crate) started: Mono,
    pub(crate) pidfd: Option<Shared>,
    pub(crate) output: Option<Shared>,
    pub(crate) error: Option<Shared>,
    /// Where it takes words.
    pub(crate) command: Option<Shared>,
    /// When it last beat.
    pub(crate) beat: Option<Mono>,
    /// Answers that it owes there.
    pub(crate) owed: Arc<AtomicU32>,
    /// What was read there and not heard.
    pub(crate) unheard: Unheard,
    /// It closed its end and lives on.
    pub(crate) closed: bool,
    /// Lines that it wrote there and that are no answers.
    pub(crate) noise: u64,
    /// What it last said of itself.
    pub(crate) status: Option<String>,
    /// Reads its notify socket and readiness pipe; ends with the process.
    pub(crate) watch: Option<Watch>,
}

/// Descriptors of a `Worker` record by kind.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) pidfd: Option<OwnedFd>,
    pub(crate) output: Option<OwnedFd>,
    pub(crate) error: Option<OwnedFd>,
    pub(crate) link: Option<OwnedFd>,
    pub(crate) ready: Option<OwnedFd>,
    pub(crate) notify: Option<OwnedFd>,
    pub(crate) command: Option<OwnedFd>,
}

impl Parts {
    pub(crate) fn of(kept: &[Kept], descriptors: Vec<OwnedFd>) -> Self {
        let mut parts = Self::default();
        for (kind, descriptor) in kept.iter().zip(descriptors) {
            let place = match kind {
                Kept::Pidfd => &mut parts.pidfd,
                Kept::Output => &mut parts.output,
                Kept::Error => &mut parts.error,
                Kept::Link => &mut parts.link,
                Kept::Ready => &mut parts.ready,
                Kept::Notify => &mut parts.notify,
                Kept::Command => &mut parts.command,
            };
            *place = Some(descriptor);
        }
        parts
    }
}

impl Process {
    pub(crate) fn new(worker: &Worker, parts: &mut Parts) -> Self {
        Self {
            label: worker.label.clone(),
            pid: worker.pid,
            started: Mono::from_nanos(worker.started),
            pidfd: parts.pidfd.take().map(Arc::new),
            output: parts.output.take().map(Arc::new),
            error: parts.error.take().map(Arc::new),
            command: parts.command.take().map(Arc::new),
            beat: None,
            owed: Arc::default(),
            unheard: Unheard::default(),
            closed: false,
            noise: 0,
            status: None,
            watch: None,
        }
    }
}

/// Services and processes.
#[derive(Debug)]
pub(crate) struct Crew {
    /// The configuration in force, and those before it that are still needed, by revision.
    editions: BTreeMap<u64, Arc<Edition>>,
    /// The revision of the one in force.
    pub(crate) revision: u64,
    /// The one in force.
    pub(crate) edition: Arc<Edition>,
    /// The number of each of its services, in the order of the file.
    ids: Vec<ServiceId>,
    /// Every service by number, those that are being removed too.
    names: BTreeMap<ServiceId, String>,
    /// The version of each command that the configuration in force asks for, where it is not of this revision.
    asked: BTreeMap<ServiceId, Epoch>,
    /// The engine's directories among the cgroups; that of cgroup2 first, if there is one.
    pub(crate) cgroups: Vec<PathBuf>,
    pub(crate) processes: BTreeMap<WorkerId, Process>,
}

impl Crew {
    /// The services of `edition`. `known` are the numbers that services have already; others get new ones.
    pub(crate) fn new(revision: u64, edition: Edition, known: &[(u32, String)]) -> Self {
        let names = known.iter().map(|(id, name)| (ServiceId(*id), name.clone()));
        let names = names.filter(|(id, _)| *id != LOGGER).collect();
        let edition = Arc::new(edition);
        let mut crew = Self {
            editions: BTreeMap::from([(revision, Arc::clone(&edition))]),
            revision,
            edition,
            ids: Vec::new(),
            names,
            asked: BTreeMap::new(),
            cgroups: Vec::new(),
            processes: BTreeMap::new(),
        };
        crew.number();
        crew
    }

    /// An edition that workers may still run.
    pub(crate) fn remember(&mut self, revision: u64, edition: Arc<Edition>) {
        self.editions.entry(revision).or_insert(edition);
    }

    /// From here on this is the configuration. `needed` says which versions are still run by somebody; a service that
    /// runs the command as it is in this one keeps its version, which `runs` tells.
    pub(crate) fn adopt(
        &mut self,
        revision: u64,
        edition: Arc<Edition>,
        needed: &BTreeSet<Epoch>,
        runs: impl Fn(ServiceId) -> Vec<Epoch>,
    ) {
        self.editions.insert(revision, Arc::clone(&edition));
        (self.revision, self.edition) = (revision, edition);
        self.editions.retain(|known, _| *known == revision || needed.contains(&Epoch(*known)));
        self.number();
        self.agree(runs);
    }

    /// Finds the version that the configuration in force asks for: the first of those that a service `runs` with the
    /// same command, else one of this revision.
    pub(crate) fn agree(&mut self, runs: impl Fn(ServiceId) -> Vec<Epoch>) {
        let mut differences = Differences::new(&self.edition.settings);
        let asked = self.ids.iter().filter_map(|id| {
            let known = runs(*id).into_iter().filter(|epoch| self.editions.contains_key(&epoch.0));
            let name = self.names.get(id)?;
            let same = |epoch: &Epoch| differences.of(*epoch, &self.edition(*epoch).settings, name).roll.is_empty();
            known.into_iter().find(same).map(|epoch| (*id, epoch))
        });
        self.asked = asked.collect();
    }

    /// The version of a service's command that the configuration in force asks for.
    pub(crate) fn asked(&self, service: ServiceId) -> Epoch {
        self.asked.get(&service).copied().unwrap_or(Epoch(self.revision))
    }

    /// Those that are no service of the fleet any more lose their names.
    pub(crate) fn forget(&mut self, is_known: impl Fn(ServiceId) -> bool) {
        let ids = &self.ids;
        self.names.retain(|id, _| ids.contains(id) || is_known(*id));
    }

    /// Gives every service of the configuration its number: the one it had, or one that none has.
    fn number(&mut self) {
        let Self { names, edition, .. } = self;
        let id = |name: &String| {
            let known = names.iter().find(|(_, known)| *known == name).map(|(id, _)| *id);
            let id =
                known.unwrap_or_else(|| names.keys().next_back().map_or(ServiceId(0), |last| ServiceId(last.0 + 1)));
            names.insert(id, name.clone());
            id
        };
        self.ids = edition.settings.services.iter().map(|service| &service.name).map(id).collect();
    }

    /// The settings in force.
    pub(crate) fn settings(&self) -> &Settings {
        &self.edition.settings
    }

    /// The number of each configured service, in the order of the file.
    pub(crate) fn ids(&self) -> &[ServiceId] {
        &self.ids
    }

    /// Every service with its number, those that are being removed too.
    pub(crate) fn names(&self) -> impl Iterator<Item = (ServiceId, &str)> {
        self.names.iter().map(|(id, name)| (*id, name.as_str()))
    }

    /// The configurations before the one in force that are still needed.
    pub(crate) fn earlier(&self) -> impl Iterator<Item = (u64, &Edition)> {
        let before = self.editions.iter().filter(|(revision, _)| **revision != self.revision);
        before.map(|(revision, edition)| (*revision, &**edition))
    }

    /// The configuration that a version of a command is from; the one in force where that is not known.
    pub(crate) fn edition(&self, epoch: Epoch) -> &Edition {
        self.editions.get(&epoch.0).unwrap_or(&self.edition)
    }

    /// Whether the configuration that a version of a command is from is there.
    pub(crate) fn has_edition(&self, epoch: Epoch) -> bool {
        self.editions.contains_key(&epoch.0)
    }

    /// What the workers of this version are started with.
    pub(crate) fn recipe(&self, service: ServiceId, epoch: Epoch) -> Option<&Service> {
        self.edition(epoch).settings.service(self.name(service))
    }

    /// What the process was started with.
    pub(crate) fn recipe_of(&self, label: &Label) -> Option<&Service> {
        self.edition(Epoch(label.epoch)).settings.service(&label.service)
    }

    /// The service's name.
    pub(crate) fn name(&self, service: ServiceId) -> &str {
        if service == LOGGER {
            return LOGGER_NAME;
        }
        self.names.get(&service).map_or("?", String::as_str)
    }

    /// As it is configured; `None` for one that is being removed.
    pub(crate) fn service(&self, service: ServiceId) -> Option<&Service> {
        let index = self.ids.iter().position(|id| *id == service)?;
        self.settings().services.get(index)
    }

    /// The configured service of this name, the logger included.
    pub(crate) fn find(&self, name: &str) -> Option<ServiceId> {
        if name == LOGGER_NAME {
            return Some(LOGGER);
        }
        let index = self.settings().services.iter().position(|service| service.name == name)?;
        self.ids.get(index).copied()
    }

    /// A service (`web`) or one slot of it (`web.2`), as operators name them.
    pub(crate) fn resolve(&self, name: &str) -> Option<(ServiceId, Option<Slot>)> {
        if let Some(service) = self.find(name).filter(|service| *service != LOGGER) {
            return Some((service, None));
        }
        let (service, slot) = name.rsplit_once('.')?;
        let service = self.find(service).filter(|service| *service != LOGGER)?;
        // Only as the engine itself writes it: `web.02` and `web.+2` name nobody.
        let number: u32 = slot.parse().ok().filter(|number: &u32| *number > 0 && number.to_string() == slot)?;
        Some((service, Some(Slot(number))))
    }

    /// `web.1`.
    pub(crate) fn worker_name(&self, service: ServiceId, slot: Slot) -> String {
        if service == LOGGER {
            return LOGGER_NAME.to_owned();
        }
        match slot {
            PROLOGUE => format!("{}.before", self.name(service)),
            Slot(number) => format!("{}.{number}", self.name(service)),
        }
    }

    /// A command that runs before the first worker of a generation.
    pub(crate) fn before_start(&self, service: ServiceId, epoch: Epoch, command: u32) -> &[String] {
        let commands = self.recipe(service, epoch).map(|service| service.before_start.as_slice()).unwrap_or_default();
        usize::try_from(command).ok().and_then(|index| commands.get(index)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whose process that is.
    pub(crate) fn label(&self, service: ServiceId, slot: Slot, generation: Generation, epoch: u64) -> Label {
        Label {
            name: self.worker_name(service, slot),
            service: self.name(service).to_owned(),
            slot: slot.0,
            generation: generation.0,
            epoch,
        }
    }

    /// Every service the fleet is to know, with its policy.
    pub(crate) fn policies(&self) -> Vec<(ServiceId, Policy)> {
        let services = self.ids.iter().filter_map(|id| Some((*id, self.policy(*id)?)));
        std::iter::once((LOGGER, logger_policy())).chain(services).collect()
    }

    /// What the fleet is to know of a configured service. Workers of other versions keep to what they were told.
    pub(crate) fn policy(&self, id: ServiceId) -> Option<Policy> {
        let service = self.service(id)?;
        let mut policy = service.policy.clone();
        // The settings number services by their place in the file.
        let numbered = |before: &ServiceId| self.ids.get(usize::try_from(before.0).ok()?).copied();
        policy.after = service.policy.after.iter().filter_map(numbered).chain([LOGGER]).collect();
        let asked = self.asked(id);
        let others = self.editions.iter().filter(|(revision, _)| **revision != asked.0);
        let others = others.filter_map(|(revision, edition)| {
            edition.settings.service(&service.name).map(|other| (Epoch(*revision), terms(other)))
        });
        policy.others = others.collect();
        Some(policy)
    }
}

/// Restarted at once and without end; a stop leaves it time to read every pipe to its end.
fn logger_policy() -> Policy {
    let mut policy = Policy::basic(1);
    policy.backoff.max = Duration::from_secs(1);
    policy.start_limit = None;
    for step in &mut policy.stop.steps {
        step.lasting = Some(Duration::from_secs(5));
    }
    policy
}
