//! A cgroup2 for each worker, where that can be had: what leaves its process group ends with its worker all the same.
//! Bounds of what a worker may use are held there, or in the hierarchy that their controller has for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use evercrew_sys::cgroup::{self, Bound, Controller, Version};
use evercrew_sys::descriptor;
use evercrew_wire::Text;
use evercrew_wire::supervisor::Bounds;

use crate::subtree::Subtree;

/// The engine's directories among the cgroups, and a directory in them for each worker.
#[derive(Debug)]
pub(crate) struct Cgroups {
    bases: Vec<cgroup::Holder>,
    /// That of cgroup2, where it could be made.
    subtree: Option<Subtree>,
    groups: BTreeMap<u64, Group>,
    /// Killed, and not yet empty.
    leaving: Vec<PathBuf>,
    /// What cannot be held, as far as it was told.
    unheld: BTreeSet<Controller>,
}

/// One worker's.
#[derive(Debug, Default)]
struct Group {
    /// By which everything in it is killed.
    directory: Option<OwnedFd>,
    paths: Vec<PathBuf>,
    /// Where kills for want of memory are counted.
    memory: Option<(PathBuf, Version)>,
}

/// What a new worker starts in.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Its cgroup2.
    pub(crate) cgroup: Option<OwnedFd>,
    /// Those of other hierarchies.
    pub(crate) joined: Vec<OwnedFd>,
    /// What a person should know.
    pub(crate) remark: Option<String>,
}

impl Cgroups {
    /// With a directory named after this engine below our own; else with what a person should know.
    pub(crate) fn new(instance: &str) -> (Self, Option<String>) {
        let bases = cgroup::bases(instance);
        let made = cgroup::own().and_then(|own| {
            let base = own.join(format!("evercrew-{instance}"));
            fs::create_dir(&base)?;
            Ok(Subtree::new(own, base))
        });
        let remark = made.as_ref().err().map(|error| {
            let what = "a process that leaves its worker's group ends with the engine, not with its worker";
            format!("no cgroup2 of our own ({error}): {what}")
        });
        let subtree = made.ok();
        (Self { bases, subtree, groups: BTreeMap::new(), leaving: Vec::new(), unheld: BTreeSet::new() }, remark)
    }

    /// The directories, made or not, as the inventory tells them.
    pub(crate) fn describe(&self) -> Vec<Text> {
        self.bases.iter().map(|(_, base)| Text::from(base)).collect()
    }

    /// A place for a new worker with these bounds. What of it cannot be had it is started without. `ours` are the
    /// processes beside us that may be in our own cgroup.
    pub(crate) fn make(&mut self, worker: u64, bounds: Bounds, ours: &[u32]) -> Place {
        let (mut place, mut group) = (Place::default(), Group::default());
        if let Some(path) = self.subtree.as_ref().map(|subtree| subtree.base().join(worker.to_string()))
            && let Ok((kept, given)) = make_directory(&path)
        {
            place.cgroup = Some(given);
            group.directory = Some(kept);
            group.paths.push(path);
        }
        let mut unheld = Vec::new();
        for bound in wanted(bounds) {
            if let Err(error) = self.hold(worker, bound, ours, &mut group, &mut place.joined)
                && self.unheld.insert(bound.controller())
            {
                unheld.push((bound.controller(), error));
            }
        }
        place.remark = remark(&unheld);
        self.groups.insert(worker, group);
        place
    }

    fn hold(
        &mut self,
        worker: u64,
        bound: Bound,
        ours: &[u32],
        group: &mut Group,
        joined: &mut Vec<OwnedFd>,
    ) -> io::Result<()> {
        let controller = bound.controller();
        let legacy = self.bases.iter().find(|(holder, _)| *holder == Some(controller));
        let (path, version) = match (legacy, &mut self.subtree) {
            (Some((_, base)), _) => {
                let path = base.join(worker.to_string());
                if !group.paths.contains(&path) {
                    match fs::create_dir(base) {
                        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                        Ok(()) | Err(_) => {}
                    }
                    fs::create_dir(&path)?;
                    group.paths.push(path.clone());
                }
                (path, Version::One)
            }
            (None, Some(subtree)) if group.directory.is_some() => {
                subtree.give(controller, ours)?;
                (subtree.base().join(worker.to_string()), Version::Two)
            }
            (None, _) => return Err(io::Error::other("there is no cgroup of our own")),
        };
        cgroup::set(&path, version, bound)?;
        if version == Version::One {
            joined.push(fs::File::open(&path)?.into());
        }
        if controller == Controller::Memory {
            group.memory = Some((path, version));
        }
        Ok(())
    }

    /// Kills everything in it.
    pub(crate) fn kill(&self, worker: u64) {
        if let Some(directory) = self.groups.get(&worker).and_then(|group| group.directory.as_ref()) {
            // It has no processes left, or it is gone with them: nothing else can fail here.
            let _ = cgroup::kill(directory);
        }
    }

    /// The worker has ended: so does everything it left behind. How many of its processes the kernel has killed for
    /// want of memory; the directory that tells is gone after this.
    pub(crate) fn ended(&mut self, worker: u64) -> u64 {
        self.kill(worker);
        let group = self.groups.remove(&worker).unwrap_or_default();
        let oom_kills = group.memory.and_then(|(path, version)| cgroup::oom_kills(&path, version).ok());
        self.leaving.extend(group.paths);
        self.remove_empty();
        oom_kills.unwrap_or(0)
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

    /// Removes the engine's own directories. One that is not empty is ended and removed by the next `up`.
    pub(crate) fn end(&mut self) {
        self.remove_empty();
        if let Some(subtree) = self.subtree.take() {
            subtree.leave();
        }
        for (_, base) in &self.bases {
            cgroup::remove(base);
        }
    }
}

/// The directory for a new worker: a descriptor to keep and one to start the worker in.
fn make_directory(path: &std::path::Path) -> io::Result<(OwnedFd, OwnedFd)> {
    fs::create_dir(path)?;
    let kept = cgroup::open(path)?;
    let given = descriptor::duplicate(&kept)?;
    Ok((kept, given))
}

fn wanted(bounds: Bounds) -> impl Iterator<Item = Bound> {
    let Bounds { memory, pids, cpu } = bounds;
    [memory.map(Bound::Memory), pids.map(Bound::Pids), cpu.map(Bound::Cpu)].into_iter().flatten()
}

/// One line for all of them.
fn remark(unheld: &[(Controller, io::Error)]) -> Option<String> {
    let why: Vec<String> =
        unheld.iter().map(|(controller, error)| format!("limits.{} ({error})", key(*controller))).collect();
    (!why.is_empty()).then(|| format!("not enforced: {}", why.join(", ")))
}

/// As the configuration calls it.
fn key(controller: Controller) -> &'static str {
    match controller {
        Controller::Memory => "memory",
        Controller::Pids => "pids",
        Controller::Cpu => "cpus",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_all_that_is_not_enforced() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(remark(&[]), None);
        let text = remark(&[(Controller::Memory, denied()), (Controller::Cpu, denied())]).expect("a line");
        assert_eq!(text, "not enforced: limits.memory (permission denied), limits.cpus (permission denied)");
    }
}
