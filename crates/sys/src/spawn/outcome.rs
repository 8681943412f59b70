//! A child that exists, and what became of its exec.

use super::error::{SpawnError, Step};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A report is a step's code and an errno. Written at once, it is read at once.
pub(super) const REPORT_LENGTH: usize = 8;

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
        let mut report = [0u8; REPORT_LENGTH];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut report)) {
            Ok(REPORT_LENGTH) => {
                let [a, b, c, d, e, f, g, h] = report;
                let step = Step::from_code(u32::from_ne_bytes([a, b, c, d])).unwrap_or(Step::Exec);
                Outcome::Failed(SpawnError { step, errno: i32::from_ne_bytes([e, f, g, h]) })
            }
            Err(Errno::AGAIN) => Outcome::Pending,
            // End of file. A pipe cannot give anything else.
            Ok(_) | Err(_) => Outcome::Executed,
        }
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
