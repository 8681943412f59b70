//! Parents and orphans.

use crate::signal::number;
use evercrew_core::Signal;
use rustix::process::{getpid, set_child_subreaper};
use std::fmt;
use std::io;

/// Makes this process the one that orphans among its descendants become children of.
///
/// # Errors
/// The kernel's.
pub fn become_subreaper() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// The parent ended before its end could be watched.
#[derive(Debug)]
pub struct ParentGone {
    /// The pid that was expected.
    pub expected: u32,
}

impl fmt::Display for ParentGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the parent process {} has ended", self.expected)
    }
}

impl std::error::Error for ParentGone {}

/// Lets the kernel send `signal` to this process when the thread that forked it ends. Cleared by a change of user.
///
/// # Errors
/// [`ParentGone`] inside the error when the parent is not `expected_parent` any more: the caller should end.
pub fn die_with_parent(signal: Signal, expected_parent: u32) -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a number.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::c_ulong::from(number(signal).unsigned_abs())) } < 0 {
        return Err(io::Error::last_os_error());
    }
    if std::os::unix::process::parent_id() != expected_parent {
        return Err(io::Error::other(ParentGone { expected: expected_parent }));
    }
    Ok(())
}

/// Whether this process has no other thread: only then may its environment be changed.
pub fn has_one_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.take(2).count() == 1)
}
