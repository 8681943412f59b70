//! A cgroup2 directory as the boundary of a worker's processes.

use rustix::fs::{Mode, OFlags, fstatfs, openat};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

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
    Ok(text(directory, "cgroup.events")?.lines().any(|line| line == "populated 1"))
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
