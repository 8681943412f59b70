//! The process of a worker on this machine, held by a descriptor, so that its death is known at once.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use evercrew_sys::process;
use evercrew_wire::faktory::request::Hello;

/// The process that says HELLO, if it is one of this machine: it is connected over the loopback, says our host's name,
/// and its number is that of a process here. Who says another's number loses its own jobs with that one, nobody else's.
pub(crate) fn hold(hello: &Hello<'_>, is_local: bool) -> Option<OwnedFd> {
    let pid = u32::try_from(hello.pid?).ok().filter(|pid| *pid > 1 && *pid != std::process::id() && is_local)?;
    let said = hello.hostname.as_deref()?;
    let system = rustix::system::uname();
    (system.nodename().to_str().ok()? == said).then(|| process::open(pid).ok()).flatten()
}

/// Most processes that are held.
const MOST: usize = 10_000;

/// The processes that are held, by a number that none gets twice.
#[derive(Debug, Default)]
pub(crate) struct Kin {
    held: BTreeMap<u64, Held>,
    by_worker: HashSet<Process>,
    last: u64,
}

/// A worker, and the number of its process there.
type Process = (Arc<str>, Option<i64>);

#[derive(Debug)]
struct Held {
    of: Process,
    process: OwnedFd,
}

impl Kin {
    /// Whether this worker's process is held, or there is no room for one more.
    pub(crate) fn is_held(&self, wid: &Arc<str>, pid: Option<i64>) -> bool {
        self.held.len() >= MOST || self.by_worker.contains(&(Arc::clone(wid), pid))
    }

    /// Holds one.
    pub(crate) fn add(&mut self, wid: &Arc<str>, pid: Option<i64>, process: OwnedFd) -> u64 {
        self.last += 1;
        let of = (Arc::clone(wid), pid);
        self.by_worker.insert(of.clone());
        self.held.insert(self.last, Held { of, process });
        self.last
    }

    /// The process of this number.
    pub(crate) fn get(&self, number: u64) -> Option<&OwnedFd> {
        self.held.get(&number).map(|held| &held.process)
    }

    /// Lets it go; the worker that it was.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Process> {
        let of = self.held.remove(&number)?.of;
        self.by_worker.remove(&of);
        Some(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(hostname: &str, pid: i64) -> Hello<'_> {
        Hello { hostname: Some(hostname.into()), pid: Some(pid), ..Hello::default() }
    }

    #[test]
    fn only_a_process_of_this_machine_is_held() {
        let system = rustix::system::uname();
        let here = system.nodename().to_str().expect("a name").to_owned();
        let parent = i64::from(std::os::unix::process::parent_id());
        assert_eq!(hold(&hello(&here, parent), true).is_some(), parent > 1);
        for (host, pid, is_local) in [
            (here.as_str(), parent, false),
            ("another.example", parent, true),
            (&here, i64::from(std::process::id()), true),
            (&here, 0, true),
            (&here, -5, true),
            (&here, i64::MAX, true),
            (&here, 1, true),
        ] {
            assert!(hold(&hello(host, pid), is_local).is_none(), "{host} {pid} {is_local}");
        }
        assert!(hold(&Hello::default(), true).is_none());
    }
}
