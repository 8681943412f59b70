//! What can be done with any open descriptor.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// To open without waiting for whoever is at the other end.
pub const NONBLOCKING: i32 = libc::O_NONBLOCK;

/// Blocks this thread until something can be read from a descriptor, or written if `writes`, or for so long.
///
/// # Errors
/// The kernel's.
pub fn wait(fd: impl AsFd, writes: bool, most: Duration) -> io::Result<()> {
    let events = if writes { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
    let timeout =
        Timespec { tv_sec: most.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: most.subsec_nanos().into() };
    match poll(&mut [PollFd::new(&fd, events)], Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A second descriptor of the same open file, closed on exec and numbered above 2.
///
/// # Errors
/// The kernel's, EMFILE above all.
pub fn duplicate(fd: impl AsFd) -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(fd, 3)?)
}

/// Sets or clears O_NONBLOCK. It belongs to the open file: every process that shares it sees the change.
///
/// # Errors
/// The kernel's.
pub fn set_nonblocking(fd: impl AsFd, nonblocking: bool) -> io::Result<()> {
    let flags = fcntl_getfl(&fd)?;
    let mut wanted = flags;
    wanted.set(OFlags::NONBLOCK, nonblocking);
    if wanted != flags {
        fcntl_setfl(&fd, wanted)?;
    }
    Ok(())
}

/// Decides whether the descriptor is closed by an exec.
///
/// # Errors
/// The kernel's.
pub fn set_close_on_exec(fd: impl AsFd, close: bool) -> io::Result<()> {
    Ok(fcntl_setfd(fd, if close { FdFlags::CLOEXEC } else { FdFlags::empty() })?)
}

/// Whether the other end is gone altogether: a terminal that was closed, a connection whose peer is no more.
pub fn is_hung_up(fd: impl AsFd) -> bool {
    let mut asked = [PollFd::new(&fd, PollFlags::empty())];
    rustix::io::retry_on_intr(|| poll(&mut asked, Some(&Timespec::default()))).is_ok()
        && asked[0].revents().contains(PollFlags::HUP)
}
