//! A child that exists, and what became of its exec.

use super::error::SpawnError;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A started process.
#[derive(Debug)]
pub struct Child {
    /// Its number: for display, and for [`crate::process::reap`] while it is unreaped.
    pub pid: u32,
    /// Its identity.
    pub pidfd: OwnedFd,
    /// What becomes of its exec.
    pub outcome: ExecOutcome,
}

/// What is known of an exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The child is still on its way.
    Pending,
    /// The program runs. A child that was killed on its way there, before it could report, looks the same: its exit
    /// tells.
    Executed,
    /// A step failed; the child has ended (or is about to) with status 127 and is to be reaped as any other.
    Failed(SpawnError),
}

/// The reading end of the pipe by which a child reports a failed step. It is readable once there is an outcome.
#[derive(Debug)]
pub struct ExecOutcome(pub(super) OwnedFd);

impl ExecOutcome {
    /// What is known so far. Never blocks. After the first answer that is not `Pending`, drop it.
    pub fn poll(&self) -> Outcome {
        unimplemented!()
    }
}

impl AsFd for ExecOutcome {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for ExecOutcome {
    /// Takes up the reading end of a child that was started before an exec of this process.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<ExecOutcome> for OwnedFd {
    fn from(outcome: ExecOutcome) -> Self {
        outcome.0
    }
}
