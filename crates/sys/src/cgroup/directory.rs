//! A cgroup2 directory as the boundary of a worker's processes.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fstatfs, openat};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// The file system's number.
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// Opens a cgroup2 directory, for [`crate::spawn::Plan::cgroup`] and the functions here.
///
/// # Errors
/// The kernel's; `Unsupported` when the path is not on a cgroup2 file system.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    let directory = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    if fstatfs(&directory)?.f_type != CGROUP2_MAGIC {
        let text = format!("{} is not a cgroup2 directory", path.display());
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    Ok(directory)
}

/// Kills every process in it and below (Linux 5.14), without exception.
///
/// # Errors
/// The kernel's.
pub fn kill(directory: impl AsFd) -> io::Result<()> {
    let file = openat(directory, "cgroup.kill", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(file, b"1")?;
    Ok(())
}

/// Whether a living process is in it or below.
///
/// # Errors
/// The kernel's.
pub fn populated(directory: impl AsFd) -> io::Result<bool> {
    Ok(is_populated(&text(directory, "cgroup.events")?))
}

/// The pids in it (not below).
///
/// # Errors
/// The kernel's.
pub fn members(directory: impl AsFd) -> io::Result<Vec<u32>> {
    Ok(text(directory, "cgroup.procs")?.lines().filter_map(|line| line.parse().ok()).collect())
}

fn text(directory: impl AsFd, name: &str) -> io::Result<String> {
    let file = openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    File::from(file).read_to_string(&mut text)?;
    Ok(text)
}

/// Ends every process in the cgroups below `base`, but those that `spare` names by their directory, and removes what is
/// empty then. Whether nothing is left that had to end; after `patience` it is left.
///
/// A hierarchy of version 1 has no means to kill by: of it the directories are removed that are empty.
pub fn end(base: &Path, spare: &[&str], patience: Duration) -> bool {
    let until = Instant::now() + patience;
    loop {
        let mut busy = None;
        for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
            let is_spared = entry.file_name().to_str().is_some_and(|name| spare.contains(&name));
            // Files of the directory are not opened so, and need not be.
            if let (false, Ok(directory)) = (is_spared, open(&entry.path())) {
                // Killed again while something is left: one that was just forking into it may have come after.
                let _ = kill(&directory);
                if populated(&directory).unwrap_or(false) {
                    busy = Some(directory);
                }
            }
        }
        let left = until.saturating_duration_since(Instant::now());
        match busy {
            Some(directory) if !left.is_zero() => wait_for_change(&directory, left.min(LOOK_AGAIN)),
            busy => {
                remove(base);
                return busy.is_none();
            }
        }
    }
}

/// How long one change is waited for: what is killed in the meantime may have forked.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

fn wait_for_change(directory: &OwnedFd, patience: Duration) {
    let Ok(events) = openat(directory, "cgroup.events", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return;
    };
    let (mut events, mut text) = (File::from(events), String::new());
    // What changes after this reading shows in the poll.
    if events.read_to_string(&mut text).is_ok_and(|_| is_populated(&text)) {
        let timeout = Timespec { tv_sec: 0, tv_nsec: patience.subsec_nanos().into() };
        // An error or none of both: the next look says how things are.
        let _ = poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&timeout));
    }
}

fn is_populated(events: &str) -> bool {
    events.lines().any(|line| line == "populated 1")
}

/// Removes what is empty: the directories in `base` and it itself. One in use stays, by the kernel's own rule.
pub fn remove(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let _ = std::fs::remove_dir(entry.path());
    }
    let _ = std::fs::remove_dir(base);
}
