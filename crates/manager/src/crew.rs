//! What the fleet's numbers stand for: services by name, processes with their descriptors.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use evercrew_config::{Service, Settings};
use evercrew_core::Mono;
use evercrew_core::fleet::{Generation, Policy, ServiceId, Slot, WorkerId};
use evercrew_wire::supervisor::{Kept, Label, Worker};
use std::time::Duration;

use crate::identity::{self, Identity};
use crate::link::Shared;
use crate::watch::Watch;

/// The engine's own output process: a service like any other for the fleet, hidden from operators. Every other service
/// is `after` it, so it starts first and stops last.
pub(crate) const LOGGER: ServiceId = ServiceId(u32::MAX);
/// Its name in labels; no service can have it.
pub(crate) const LOGGER_NAME: &str = "@logger";

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) label: Label,
    pub(crate) pid: u32,
    pub(crate) started: Mono,
    pub(crate) pidfd: Option<Shared>,
    pub(crate) output: Option<Shared>,
    pub(crate) error: Option<Shared>,
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
            status: None,
            watch: None,
        }
    }
}

/// Services and processes.
#[derive(Debug)]
pub(crate) struct Crew {
    pub(crate) settings: Settings,
    identities: Vec<Result<Option<Identity>, String>>,
    pub(crate) processes: BTreeMap<WorkerId, Process>,
}

impl Crew {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { identities: identity::resolve(&settings), settings, processes: BTreeMap::new() }
    }

    /// Whether every service's user and group is known.
    ///
    /// # Errors
    /// The first that is not.
    pub(crate) fn check_identities(&self) -> Result<(), &str> {
        self.identities.iter().try_for_each(|identity| identity.as_ref().map(|_| ()).map_err(String::as_str))
    }

    /// Whom its workers run as, where not as the engine.
    ///
    /// # Errors
    /// When this machine does not know that user or group (any more).
    pub(crate) fn identity(&self, service: ServiceId) -> Result<Option<&Identity>, String> {
        let known = usize::try_from(service.0).ok().and_then(|index| self.identities.get(index));
        known.map_or(Ok(None), |identity| identity.as_ref().map(Option::as_ref).map_err(String::clone))
    }

    /// The service's name.
    pub(crate) fn name(&self, service: ServiceId) -> &str {
        if service == LOGGER {
            return LOGGER_NAME;
        }
        self.service(service).map_or("?", |service| &service.name)
    }

    pub(crate) fn service(&self, service: ServiceId) -> Option<&Service> {
        self.settings.services.get(usize::try_from(service.0).ok()?)
    }

    /// The service of this name, the logger included.
    pub(crate) fn find(&self, name: &str) -> Option<ServiceId> {
        if name == LOGGER_NAME {
            return Some(LOGGER);
        }
        let index = self.settings.services.iter().position(|service| service.name == name)?;
        u32::try_from(index).ok().map(ServiceId)
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
        format!("{}.{}", self.name(service), slot.0)
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
        let services = self.settings.services.iter().zip(0u32..).map(|(service, index)| {
            let mut policy = service.policy.clone();
            policy.after.push(LOGGER);
            (ServiceId(index), policy)
        });
        std::iter::once((LOGGER, logger_policy())).chain(services).collect()
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
