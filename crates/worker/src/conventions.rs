//! What the environment tells a worker: its listeners, its heartbeat, its name.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use evercrew_sys::exec::take_descriptor;
use evercrew_wire::Http;

use crate::context::Identity;
use crate::error::WorkerError;

/// The first inherited listener, by convention.
const FIRST_LISTENER: i32 = 3;
/// More than anybody listens on; keeps a broken LISTEN_FDS from being counted to the end.
const MOST_LISTENERS: u32 = 128;

/// The environment of a worker, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conventions {
    /// `web.1`; empty when nobody gave a name.
    pub(crate) name: String,
    /// How many listeners were inherited, from descriptor 3 on.
    listeners: u32,
    /// Their names, as far as they were told.
    names: Vec<String>,
    /// `web`.
    service: String,
    slot: u32,
    generation: u32,
    /// Where it takes words.
    pipe: Option<i32>,
    /// The engine's directory: its notify socket lies in it.
    directory: Option<PathBuf>,
    /// The gap between two heartbeats; `None` when nobody waits for them.
    pub(crate) heartbeat: Option<Duration>,
    /// Requests after which it asks to be replaced.
    pub(crate) most_requests: Option<u64>,
    /// What the engine says of HTTP.
    pub(crate) http: Http,
}

impl Conventions {
    /// Reads this process's environment.
    ///
    /// # Errors
    /// When listeners are counted wrongly; none at all is no error.
    pub(crate) fn from_environment() -> Result<Self, WorkerError> {
        Self::parse(std::process::id(), |name| std::env::var(name).ok())
    }

    /// Where the engine is.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// Those of a worker that is part of another process.
    pub(crate) fn of_guest(service: &str) -> Self {
        Self { name: format!("{service}.1"), service: service.to_owned(), slot: 1, generation: 1, ..Self::default() }
    }

    fn parse(pid: u32, variable: impl Fn(&str) -> Option<String>) -> Result<Self, WorkerError> {
        let number = |name: &str| variable(name).and_then(|text| text.trim().parse::<u64>().ok());
        let listeners = match variable("LISTEN_FDS").map(|text| text.trim().parse::<u32>()) {
            None => 0,
            Some(_) if number("LISTEN_PID") != Some(u64::from(pid)) => {
                return Err(WorkerError::NoListener("LISTEN_PID is not the pid of this process"));
            }
            Some(Ok(listeners)) if listeners <= MOST_LISTENERS => listeners,
            Some(_) => return Err(WorkerError::NoListener("LISTEN_FDS is no number up to 128")),
        };
        let small = |name: &str| number(name).and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        let for_us = variable("WATCHDOG_PID").is_none_or(|text| text.trim().parse() == Ok(pid));
        let http = variable("EVERCREW_HTTP").map_or(Ok(Http::default()), |text| Http::decode(&text));
        let heartbeat = number("WATCHDOG_USEC").filter(|micros| for_us && *micros >= 2);
        Ok(Self {
            name: variable("EVERCREW_WORKER").unwrap_or_default(),
            listeners,
            names: names.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            service: variable("EVERCREW_SERVICE").unwrap_or_default(),
            slot: small("EVERCREW_SLOT"),
            generation: small("EVERCREW_GENERATION"),
            pipe: number("EVERCREW_COMMAND_FD").and_then(|number| i32::try_from(number).ok()),
            http: http.map_err(|error| WorkerError::Http(error.to_string()))?,
            most_requests: number("EVERCREW_RECYCLE_REQUESTS").filter(|most| *most > 0),
            directory: variable("NOTIFY_SOCKET").and_then(|path| Some(Path::new(&path).parent()?.parent()?.into())),
            heartbeat: heartbeat.map(|micros| Duration::from_micros(micros / 2)),
        })
    }

    /// Takes the inherited listeners, each with its name.
    ///
    /// # Errors
    /// When one is not open, or was taken before.
    pub(crate) fn take_listeners(&self) -> Result<Vec<(String, OwnedFd)>, WorkerError> {
        let mut names = self.names.iter().cloned();
        (FIRST_LISTENER..)
            .take(self.listeners as usize)
            .map(|number| {
                let name = names.next().unwrap_or_else(|| format!("descriptor {number}"));
                take_descriptor(number).map(|fd| (name, fd)).ok_or(WorkerError::MissingDescriptor(number))
            })
            .collect()
    }

    /// Takes the worker's end of the command pipe, if it has one.
    ///
    /// # Errors
    /// When it is not open, or was taken before.
    pub(crate) fn take_pipe(&self) -> Result<Option<OwnedFd>, WorkerError> {
        self.pipe.map(|number| take_descriptor(number).ok_or(WorkerError::NoPipe(number))).transpose()
    }

    /// Which worker this is.
    pub(crate) fn identity(&self) -> Identity {
        let Self { name, service, slot, generation, .. } = self.clone();
        Identity { name, service, slot, generation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(variables: &[(&str, &str)]) -> Result<Conventions, WorkerError> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Conventions::parse(42, find)
    }

    #[test]
    fn listeners_are_only_those_given_to_this_process() {
        assert_eq!(parse(&[("LISTEN_FDS", "2"), ("LISTEN_PID", "42")]).expect("both are there").listeners, 2);
        assert_eq!(parse(&[]).expect("there need be none").listeners, 0);
        for wrong in [
            &[("LISTEN_FDS", "1")][..],
            &[("LISTEN_FDS", "1"), ("LISTEN_PID", "41")],
            &[("LISTEN_FDS", "129"), ("LISTEN_PID", "42")],
            &[("LISTEN_FDS", "-1"), ("LISTEN_PID", "42")],
            &[("LISTEN_FDS", "18446744073709551615"), ("LISTEN_PID", "42")],
        ] {
            assert!(matches!(parse(wrong), Err(WorkerError::NoListener(_))), "{wrong:?}");
        }
    }

    #[test]
    fn a_heartbeat_is_sent_at_half_of_what_is_asked_and_only_when_asked_of_us() {
        let with = |more: &[(&'static str, &'static str)]| {
            let all = [&[("LISTEN_FDS", "1"), ("LISTEN_PID", "42")][..], more].concat();
            parse(&all).expect("listeners are there").heartbeat
        };
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("WATCHDOG_USEC", "10000000")]), Some(Duration::from_secs(5)));
        assert_eq!(with(&[("WATCHDOG_USEC", "10000000"), ("WATCHDOG_PID", "42")]), Some(Duration::from_secs(5)));
        assert_eq!(with(&[("WATCHDOG_USEC", "10000000"), ("WATCHDOG_PID", "43")]), None);
        assert_eq!(with(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(with(&[("WATCHDOG_USEC", "soon")]), None);
    }
}
