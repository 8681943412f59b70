//! Parents and orphans.

use evercrew_core::Signal;
use std::fmt;
use std::io;

/// Makes this process the one that orphans among its descendants become children of.
///
/// # Errors
/// The kernel's.
pub fn become_subreaper() -> io::Result<()> {
    unimplemented!()
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
    let _ = (signal, expected_parent);
    unimplemented!()
}
