//! What the environment tells a worker: its listeners, its heartbeat, its name.

use std::os::fd::OwnedFd;
use std::time::Duration;

use evercrew_sys::exec::take_descriptor;
use evercrew_wire::Http;

use crate::error::WorkerError;

/// The first inherited listener, by convention.
const FIRST_LISTENER: i32 = 3;
/// More than anybody listens on; keeps a broken LISTEN_FDS from being counted to the end.
const MOST_LISTENERS: u32 = 128;

/// The environment of a worker, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conventions {
    /// `web.1`; empty when nobody gave a name.
    pub(crate) name: String,
    /// How many listeners were inherited, from descriptor 3 on.
    listeners: u32,
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
    /// When no listener was inherited.
    pub(crate) fn from_environment() -> Result<Self, WorkerError> {
        Self::parse(std::process::id(), |name| std::env::var(name).ok())
    }

    fn parse(pid: u32, variable: impl Fn(&str) -> Option<String>) -> Result<Self, WorkerError> {
        let number = |name: &str| variable(name).and_then(|text| text.trim().parse::<u64>().ok());
        let count = number("LISTEN_FDS").ok_or(WorkerError::NoListener("LISTEN_FDS is not set"))?;
        if number("LISTEN_PID") != Some(u64::from(pid)) {
            return Err(WorkerError::NoListener("LISTEN_PID is not the pid of this process"));
        }
        let listeners = match u32::try_from(count) {
            Ok(0) => return Err(WorkerError::NoListener("LISTEN_FDS is 0")),
            Ok(listeners) if listeners <= MOST_LISTENERS => listeners,
            Ok(_) | Err(_) => return Err(WorkerError::NoListener("LISTEN_FDS is more than 128")),
        };
        let for_us = variable("WATCHDOG_PID").is_none_or(|text| text.trim().parse() == Ok(pid));
        let http = variable("EVERCREW_HTTP").map_or(Ok(Http::default()), |text| Http::decode(&text));
        let heartbeat = number("WATCHDOG_USEC").filter(|micros| for_us && *micros >= 2);
        Ok(Self {
            name: variable("EVERCREW_WORKER").unwrap_or_default(),
            listeners,
            http: http.map_err(|error| WorkerError::Http(error.to_string()))?,
            most_requests: number("EVERCREW_RECYCLE_REQUESTS").filter(|most| *most > 0),
            heartbeat: heartbeat.map(|micros| Duration::from_micros(micros / 2)),
        })
    }

    /// Takes the inherited listeners, each with its number.
    ///
    /// # Errors
    /// When one is not open, or was taken before.
    pub(crate) fn take_listeners(&self) -> Result<Vec<(i32, OwnedFd)>, WorkerError> {
        (FIRST_LISTENER..)
            .take(self.listeners as usize)
            .map(|number| take_descriptor(number).map(|fd| (number, fd)).ok_or(WorkerError::MissingDescriptor(number)))
            .collect()
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
        for wrong in [
            &[][..],
            &[("LISTEN_FDS", "1")],
            &[("LISTEN_FDS", "1"), ("LISTEN_PID", "41")],
            &[("LISTEN_FDS", "0"), ("LISTEN_PID", "42")],
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
