//! Exits: seeing them, and taking them.

use std::fmt;
use std::io;
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

/// A child that has ended and is not reaped, if there is one. It stays so: its pid and its group's number are pinned
/// until [`reap`], and the same child may be returned again.
///
/// # Errors
/// The kernel's. To have no children is `Ok(None)`.
pub fn peek_exited() -> io::Result<Option<u32>> {
    unimplemented!()
}

/// Takes the exit of the child `pid`. Never blocks.
///
/// # Errors
/// `WouldBlock` when it has not ended; ECHILD when it is no unreaped child of ours.
pub fn reap(pid: u32) -> io::Result<(Status, Usage)> {
    let _ = pid;
    unimplemented!()
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
    let _ = (pidfd, timeout);
    unimplemented!()
}
