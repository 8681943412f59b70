//! Exits: seeing them, and taking them.

use crate::clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It ended by itself.
    Code(u8),
    /// A signal ended it.
    Signal {
        /// The kernel's number.
        number: i32,
        /// A core file was written.
        core_dumped: bool,
    },
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal { number, core_dumped } => {
                match crate::signal::from_number(number) {
                    Some(signal) => write!(f, "{signal}")?,
                    None => write!(f, "signal {number}")?,
                }
                f.write_str(if core_dumped { " (core dumped)" } else { "" })
            }
        }
    }
}

/// What a process used in its life, the children it waited for included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in user mode.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
    /// Its largest resident set.
    pub max_rss_kib: u64,
}

impl Status {
    fn from_wait(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signal { number: libc::WTERMSIG(status), core_dumped: libc::WCOREDUMP(status) }
        } else {
            Self::Code(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))
        }
    }
}

impl Usage {
    fn from_rusage(usage: &libc::rusage) -> Self {
        let duration = |time: libc::timeval| {
            let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
            seconds.saturating_add(Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0)))
        };
        Self {
            user: duration(usage.ru_utime),
            system: duration(usage.ru_stime),
            max_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
        }
    }
}

/// A child that has ended and is not reaped, if there is one. It stays so: its pid and its group's number are pinned
/// until [`reap`], and the same child may be returned again.
///
/// # Errors
/// The kernel's. To have no children is `Ok(None)`.
pub fn peek_exited() -> io::Result<Option<u32>> {
    // SAFETY: plain numbers and a union of them, all of which may be zero.
    let mut information: libc::siginfo_t = unsafe { mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: writes to a local of the right type.
    if unsafe { libc::waitid(libc::P_ALL, 0, &raw mut information, options) } < 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ECHILD) { Ok(None) } else { Err(error) };
    }
    // SAFETY: waitid fills the fields of a child's exit, or leaves the zeros.
    let pid = unsafe { information.si_pid() };
    Ok(u32::try_from(pid).ok().filter(|pid| *pid != 0))
}

/// Takes the exit of the child `pid`. Never blocks.
///
/// # Errors
/// `WouldBlock` when it has not ended; ECHILD when it is no unreaped child of ours.
pub fn reap(pid: u32) -> io::Result<(Status, Usage)> {
    // 0 would mean any child of our group.
    let number = super::number(pid)?;
    let mut status = 0;
    // SAFETY: plain numbers, all of which may be zero.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: writes to locals of the right types.
    match unsafe { libc::wait4(number, &raw mut status, libc::WNOHANG, &raw mut usage) } {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        reaped if reaped == number => Ok((Status::from_wait(status), Usage::from_rusage(&usage))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the process has ended (a zombie has).
///
/// # Errors
/// The kernel's.
pub fn exited(pidfd: BorrowedFd<'_>) -> io::Result<bool> {
    wait_exit(pidfd, Duration::ZERO)
}

/// Waits until the process has ended (a zombie has), `timeout` at most. It need not be a child. Returns whether it
/// ended.
///
/// # Errors
/// The kernel's.
pub fn wait_exit(pidfd: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let deadline = clock::mono().after(timeout);
    loop {
        let left = deadline.since(clock::mono());
        let left =
            Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)], Some(&left)) {
            Ok(0) if deadline > clock::mono() => {}
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
