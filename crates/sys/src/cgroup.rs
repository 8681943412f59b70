//! A cgroup2 directory as the boundary of a worker's processes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Opens a cgroup2 directory, for [`crate::spawn::Plan::cgroup`] and the functions here.
///
/// # Errors
/// The kernel's; `Unsupported` when the path is not on a cgroup2 file system.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    let _ = path;
    unimplemented!()
}

/// Kills every process in it and below (Linux 5.14), without exception.
///
/// # Errors
/// The kernel's.
pub fn kill(directory: impl AsFd) -> io::Result<()> {
    let _ = directory;
    unimplemented!()
}

/// Whether a living process is in it or below.
///
/// # Errors
/// The kernel's.
pub fn populated(directory: impl AsFd) -> io::Result<bool> {
    let _ = directory;
    unimplemented!()
}

/// The pids in it (not below).
///
/// # Errors
/// The kernel's.
pub fn members(directory: impl AsFd) -> io::Result<Vec<u32>> {
    let _ = directory;
    unimplemented!()
}
