//! A cgroup2 directory as the boundary of a worker's processes.

use rustix::fs::{Mode, OFlags, fstatfs, openat};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The file system's number.
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// The directory of our own cgroup2, below the mount that this process sees.
///
/// # Errors
/// The kernel's; `NotFound` when no cgroup2 is mounted or ours is outside of what is mounted.
pub fn own() -> io::Result<PathBuf> {
    let cgroups = std::fs::read_to_string("/proc/self/cgroup")?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    below_mount(&cgroups, &mounts).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

fn below_mount(cgroups: &str, mounts: &str) -> Option<PathBuf> {
    let own = cgroups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        if !kind.starts_with("cgroup2 ") {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let below = Path::new(own).strip_prefix(root).ok()?;
        Some(Path::new(point).join(below))
    })
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_is_found_below_the_mount() {
        let hybrid = "31 25 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      40 25 0:36 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        let container = "40 25 0:36 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let found = |cgroups, mounts| below_mount(cgroups, mounts).map(|path| path.display().to_string());
        assert_eq!(found("4:memory:/x\n0::/a/b\n", hybrid).as_deref(), Some("/sys/fs/cgroup/unified/a/b"));
        assert_eq!(found("0::/docker/abc/sub\n", container).as_deref(), Some("/sys/fs/cgroup/sub"));
        assert_eq!(found("0::/elsewhere\n", container), None);
        assert_eq!(found("4:memory:/x\n", hybrid), None);
        assert_eq!(found("0::/\n", "31 25 0:27 / /sys rw - sysfs sysfs rw\n"), None);
    }
}
