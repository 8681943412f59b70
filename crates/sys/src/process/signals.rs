//! Signalling a process or its group.

use crate::signal::number;
use evercrew_core::Signal;
use rustix::process::{PidfdFlags, pidfd_open};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

/// The signal goes to the group that the process leads or led.
const PIDFD_SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;

/// A pidfd of the process that has the number `pid` now, closed on exec.
///
/// # Errors
/// The kernel's: ESRCH when there is none.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(super::number(pid)?)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends `signal` to the process.
///
/// # Errors
/// The kernel's: ESRCH when it has ended and was reaped, EPERM.
pub fn signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    send(pidfd, number(signal), 0)
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
    let result = match send(pidfd, number(signal), PIDFD_SIGNAL_PROCESS_GROUP) {
        // Not known before Linux 6.9.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            // The null signal reaches a zombie too, and fails once it is reaped and its number may be another's.
            send(pidfd, 0, 0).and_then(|()| signal_group(pid, signal))
        }
        result => result,
    };
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => self::signal(pidfd, signal),
        result => result,
    }
}

/// Sends `signal` to the group `pgid`. Only for a group whose number is pinned: its leader is our child and unreaped.
///
/// # Errors
/// The kernel's: ESRCH when no member is left, EPERM; `InvalidInput` for 0 and 1, which would mean others.
pub fn signal_group(pgid: u32, signal: Signal) -> io::Result<()> {
    if pgid <= 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "0 and 1 are no groups of ours"));
    }
    // SAFETY: kill takes no pointer.
    if unsafe { libc::kill(-super::number(pgid)?, number(signal)) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn send(pidfd: BorrowedFd<'_>, signal: i32, flags: libc::c_uint) -> io::Result<()> {
    let information: *const libc::siginfo_t = ptr::null();
    // SAFETY: null lets the kernel fill in what a plain kill would.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, information, flags) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
