//! Between this manager's model and what it leaves for the next.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use evercrew_config::Source;
use evercrew_core::Mono;
use evercrew_core::fleet::{Event, Haste, MAX_WORKERS, ServiceMemory, Snapshot, Wish, WorkerId};
use evercrew_core::herald::Herald;
use evercrew_sys::{clock, memfd};
use evercrew_wire::Text;
use evercrew_wire::deposit::{Configuration, Earlier, ServiceWish, State, StopWish, VERSION, Wishes};
use evercrew_wire::supervisor::{StopSignals, ToSupervisor};

use crate::crew::{Crew, LOGGER};
use crate::link::Record;
use crate::manager::Manager;
use crate::notices::Level;
use crate::reserve::{self, Reserve};
use crate::skew;

/// Until the next try of a deposit that could not be made.
const DEPOSIT_RETRY: Duration = Duration::from_millis(200);

/// The configuration as `config` reads it.
pub(crate) fn source(configuration: &Configuration) -> Source {
    Source {
        path: configuration.path(),
        text: configuration.text.clone(),
        files: configuration.files.iter().map(|(path, text)| (path.to_path(), text.clone())).collect(),
        values: configuration.values.clone(),
        set: configuration.set.clone(),
        environment: configuration.environment.clone(),
        directory_override: configuration.directory.as_ref().map(evercrew_wire::Text::to_path),
        cpus: configuration.cpus,
    }
}

/// Those before it that are still run, by revision.
pub(crate) fn earlier(configuration: &Configuration) -> impl Iterator<Item = (u64, Source)> {
    configuration.earlier.iter().map(|earlier| {
        let files = earlier.files.iter().map(|(path, text)| (path.to_path(), text.clone())).collect();
        let (text, values, cpus) = (earlier.text.clone(), earlier.values.clone(), earlier.cpus);
        (earlier.revision, Source { text, values, files, cpus, ..source(configuration) })
    })
}

/// The configuration in force, with those before it that are still run, for the next manager. `first` is what `up`
/// left: what no reload changes is taken from it.
pub(crate) fn configuration(first: &Configuration, crew: &Crew) -> Configuration {
    let files = |source: &Source| source.files.iter().map(|(path, text)| (Text::from(path), text.clone())).collect();
    let earlier = crew.earlier().map(|(revision, edition)| Earlier {
        revision,
        text: edition.source.text.clone(),
        values: edition.source.values.clone(),
        files: files(&edition.source),
        cpus: edition.source.cpus,
    });
    let source = &crew.edition.source;
    Configuration {
        text: source.text.clone(),
        values: source.values.clone(),
        files: files(source),
        directory: source.directory_override.as_ref().map(Text::from),
        cpus: source.cpus,
        revision: crew.revision,
        earlier: earlier.collect(),
        ..first.clone()
    }
}

impl Manager {
    /// Whether the state is with the supervisor. What follows from it waits until it is: nothing is done that the next
    /// manager would not know of.
    pub(crate) fn leave_deposit(&mut self) -> bool {
        if let Some(reserve) = &mut self.reserve {
            reserve.refill();
        }
        let mut record = self.deposit();
        if record.as_ref().is_err_and(reserve::is_short) && self.reserve.as_mut().is_some_and(Reserve::give) {
            record = self.deposit();
        }
        match record {
            Ok((record, wishes)) => {
                self.link.push(record);
                self.wishes = wishes.or_else(|| self.wishes.take());
                (self.dirty, self.reconfigured) = (false, false);
                self.deposit_again = None;
                true
            }
            Err(error) => {
                self.write_log(Level::Error, &format!("cannot leave a deposit: {error}; trying again"));
                self.deposit_again = Some(clock::mono().after(DEPOSIT_RETRY));
                false
            }
        }
    }

    fn deposit(&self) -> io::Result<(Record, Option<String>)> {
        let fleet = self.fleet.snapshot();
        let wishes = wishes(&fleet, &self.crew).encode().map_err(io::Error::other)?;
        // Only what changed is sent: most deposits are of what workers do.
        let wishes = Some(wishes).filter(|wishes| self.wishes.as_ref() != Some(wishes));
        let state = State {
            next_event: self.events.next(),
            revision: self.crew.revision,
            tried: self.reloads.tried(),
            stop_signal_at: self.operator.stopped_at().map(Mono::as_nanos),
            exit_code: self.exit_code,
            log: self.log.set(),
            told_ready: self.herald.as_ref().is_some_and(Herald::told_ready),
            services: names(&self.crew),
            rollouts: self.rollouts.known().cloned().collect(),
            fleet,
        };
        let sealed = seal(&state)?;
        let engine = &self.crew.settings().engine;
        let wait = engine.manager_restart_wait;
        let restart_wait_ms = wait.as_millis().try_into().unwrap_or(u64::MAX);
        let names = |now| engine.signals.stops(now).map(|signal| signal.name().to_owned()).collect();
        let stops = StopSignals { graceful: names(false), at_once: names(true) };
        let deposit =
            ToSupervisor::Deposit { configuration: self.reconfigured, restart_wait_ms, stops, wishes: wishes.clone() };
        let bytes = deposit.encode().map_err(io::Error::other)?;
        let mut descriptors = vec![Arc::new(sealed)];
        // In one record with the state: the next manager gets both as they were, or both as they are.
        if self.reconfigured {
            let configuration = configuration(&self.configuration, &self.crew).encode().map_err(io::Error::other)?;
            let configuration = skew::written(configuration);
            descriptors.push(Arc::new(memfd::sealed("evercrew-configuration", &configuration)?));
        }
        Ok((Record { bytes, descriptors }, wishes))
    }
}

/// A sealed document.
///
/// # Errors
/// When there is no memory or no descriptor for it.
pub(crate) fn seal(state: &State) -> io::Result<OwnedFd> {
    let bytes = state.encode().map_err(io::Error::other)?;
    memfd::sealed("evercrew-state", &skew::written(bytes))
}

/// The names behind the numbers of a snapshot.
pub(crate) fn names(crew: &Crew) -> Vec<(u32, String)> {
    let services = crew.names().map(|(id, name)| (id.0, name.to_owned()));
    std::iter::once((LOGGER.0, crew.name(LOGGER).to_owned())).chain(services).collect()
}

/// What operators asked for.
fn wishes(fleet: &Snapshot, crew: &Crew) -> Wishes {
    let hasty = |haste: &Haste| match haste {
        Haste::Graceful => false,
        Haste::Now => true,
    };
    let of = |memory: &ServiceMemory| ServiceWish {
        scale: memory.scale,
        stopped: match &memory.wish {
            Wish::Run | Wish::Remove => None,
            Wish::Stop(haste) => Some(StopWish { now: hasty(haste) }),
        },
    };
    let named = fleet.services.iter().filter(|memory| memory.service != LOGGER);
    let services = named.map(|memory| (crew.name(memory.service).to_owned(), of(memory)));
    Wishes {
        version: VERSION,
        shutdown: fleet.shutdown.as_ref().map(|haste| StopWish { now: hasty(haste) }),
        services: services.filter(|(_, wish)| *wish != ServiceWish::default()).collect(),
    }
}

/// What is left where the state is not to be had: which numbers were used (the next worker's is above every one of
/// `used`), and what operators asked for, with the events that ask for it again.
pub(crate) fn without_state(
    used: impl Iterator<Item = WorkerId>,
    wishes: &Wishes,
    crew: &Crew,
) -> (Snapshot, Vec<Event>) {
    let haste = |stop: &StopWish| if stop.now { Haste::Now } else { Haste::Graceful };
    let snapshot = Snapshot {
        next_worker: used.map(|worker| worker.0 + 1).max().unwrap_or(1),
        shutdown: wishes.shutdown.as_ref().map(haste),
        ..Snapshot::default()
    };
    let mut events = Vec::new();
    for (name, wish) in &wishes.services {
        // The configuration may have changed since; what it does not know was not asked for.
        let Some(service) = crew.find(name) else { continue };
        if let Some(workers) = wish.scale.filter(|workers| *workers <= MAX_WORKERS) {
            events.push(Event::Scale { service, workers });
        }
        if let Some(stop) = &wish.stopped {
            events.push(Event::Stop { service, now: stop.now });
        }
    }
    (snapshot, events)
}
