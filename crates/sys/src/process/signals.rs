//! Signalling a process or its group.

use evercrew_core::Signal;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A pidfd of the process that has the number `pid` now, closed on exec.
///
/// # Errors
/// The kernel's: ESRCH when there is none.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    let _ = pid;
    unimplemented!()
}

/// Sends `signal` to the process.
///
/// # Errors
/// The kernel's: ESRCH when it has ended and was reaped, EPERM.
pub fn signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    let _ = (pidfd, signal);
    unimplemented!()
}

/// Sends `signal` to the process group that the process of `pidfd` leads (or led: members may outlive it), and `pid`
/// is its number.
///
/// Linux 6.9 and later address the group by the pidfd. Before that the number is used, after a check that the process
/// of the pidfd is not reaped yet; a parent that reaps in the meantime is the one remaining race, so the parent itself
/// calls this only while it holds the child unreaped, and a non-parent accepts the race of some microseconds.
///
/// A process that has not yet made its group (just forked) gets the signal alone.
///
/// # Errors
/// The kernel's: ESRCH when no member is left, EPERM.
pub fn signal_group_by_pidfd(pidfd: BorrowedFd<'_>, pid: u32, signal: Signal) -> io::Result<()> {
    let _ = (pidfd, pid, signal);
    unimplemented!()
}

/// Sends `signal` to the group `pgid`. Only for a group whose number is pinned: its leader is our child and unreaped.
///
/// # Errors
/// The kernel's: ESRCH when no member is left, EPERM; `InvalidInput` for 0 and 1, which would mean others.
pub fn signal_group(pgid: u32, signal: Signal) -> io::Result<()> {
    let _ = (pgid, signal);
    unimplemented!()
}
