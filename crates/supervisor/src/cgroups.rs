//! A cgroup2 for each worker, where that can be had: what leaves its process group ends with its worker all the same.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use evercrew_sys::{cgroup, descriptor};

/// The engine's directory among the cgroups, and a directory in it for each worker.
#[derive(Debug)]
pub(crate) struct Cgroups {
    base: Option<PathBuf>,
    open: BTreeMap<u64, OwnedFd>,
    /// Killed, and not yet empty.
    leaving: Vec<PathBuf>,
}

impl Cgroups {
    /// With a directory named after this engine below our own; else with what a person should know.
    pub(crate) fn new(instance: &str) -> (Self, Option<String>) {
        let made = cgroup::own().map(|own| own.join(format!("evercrew-{instance}"))).and_then(|base| {
            fs::create_dir(&base)?;
            Ok(base)
        });
        let remark = made.as_ref().err().map(|error| {
            let what = "a process that leaves its worker's group ends with the engine, not with its worker";
            format!("no cgroup2 of our own ({error}): {what}")
        });
        (Self { base: made.ok(), open: BTreeMap::new(), leaving: Vec::new() }, remark)
    }

    fn path(&self, worker: u64) -> Option<PathBuf> {
        Some(self.base.as_ref()?.join(worker.to_string()))
    }

    /// A directory for a new worker. Without one it is started all the same.
    pub(crate) fn make(&mut self, worker: u64) -> Option<OwnedFd> {
        let path = self.path(worker)?;
        fs::create_dir(&path).ok()?;
        let directory = cgroup::open(&path).ok()?;
        let given = descriptor::duplicate(&directory).ok()?;
        self.open.insert(worker, directory);
        Some(given)
    }

    /// Kills everything in it.
    pub(crate) fn kill(&self, worker: u64) {
        if let Some(directory) = self.open.get(&worker) {
            // It has no processes left, or it is gone with them: nothing else can fail here.
            let _ = cgroup::kill(directory);
        }
    }

    /// The worker has ended: so does everything it left behind.
    pub(crate) fn ended(&mut self, worker: u64) {
        self.kill(worker);
        if self.open.remove(&worker).is_some() {
            self.leaving.extend(self.path(worker));
        }
        self.remove_empty();
    }

    /// Removes what has become empty; a killed process takes a moment to be gone, and its end calls this again.
    pub(crate) fn remove_empty(&mut self) {
        self.leaving.retain(|path| match fs::remove_dir(path) {
            Ok(()) => false,
            Err(error) => error.kind() == io::ErrorKind::ResourceBusy,
        });
    }

    /// Whether something killed is not gone yet.
    pub(crate) fn is_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Removes the engine's own directory.
    pub(crate) fn end(&mut self) {
        self.remove_empty();
        if let Some(base) = self.base.take() {
            // One that is not empty is ended and removed by the next `up`.
            let _ = fs::remove_dir(base);
        }
    }
}
