//! Between this manager's model and what it leaves for the next.

use std::io;
use std::os::fd::OwnedFd;

use evercrew_config::Source;
use evercrew_core::fleet::{Snapshot, WorkerId};
use evercrew_sys::memfd;
use evercrew_wire::deposit::{Configuration, State};

use crate::crew::{Crew, LOGGER};

/// The configuration as `config` reads it.
pub(crate) fn source(configuration: &Configuration) -> Source {
    Source {
        path: configuration.path(),
        text: configuration.text.clone(),
        files: configuration.files.iter().map(|(path, text)| (path.to_path(), text.clone())).collect(),
        set: configuration.set.clone(),
        environment: configuration.environment.clone(),
        directory_override: configuration.directory.as_ref().map(evercrew_wire::Text::to_path),
        cpus: configuration.cpus,
    }
}

/// A sealed document.
///
/// # Errors
/// When there is no memory or no descriptor for it.
pub(crate) fn seal(state: &State) -> io::Result<OwnedFd> {
    let bytes = state.encode().map_err(io::Error::other)?;
    memfd::sealed("evercrew-state", &bytes)
}

/// The names behind the numbers of a snapshot.
pub(crate) fn names(crew: &Crew) -> Vec<(u32, String)> {
    let services = crew.settings.services.iter().zip(0u32..).map(|(service, index)| (index, service.name.clone()));
    std::iter::once((LOGGER.0, crew.name(LOGGER).to_owned())).chain(services).collect()
}

/// A memory that knows only which numbers were used: the next worker's is above every one of `used`.
pub(crate) fn nothing_but_numbers(used: impl Iterator<Item = WorkerId>) -> Snapshot {
    Snapshot { next_worker: used.map(|worker| worker.0 + 1).max().unwrap_or(1), ..Snapshot::default() }
}
