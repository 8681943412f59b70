//! Starting a process: fork with a pidfd, a fixed order of steps, exec, and a pipe that tells which step failed.
//!
//! The child is created in its cgroup. The order of its steps: session or group, (cgroup,) descriptors, nice, OOM score, limits, groups, gid, uid, umask,
//! directory, parent-death signal, parent check, dispositions and mask, pid variables, exec. Descriptors come before
//! limits since a low `nofile` would refuse the numbers they need; the parent-death signal comes after the user since
//! a change of user clears it.

mod child;
mod enter;
mod error;
mod fork;
mod outcome;
mod plan;
mod prepared;
mod program;

use prepared::Prepared;
use std::io;
use std::os::fd::AsFd;

pub use enter::enter;
pub use error::{SpawnError, Step};
pub use outcome::{Child, ExecOutcome, Outcome};
pub use plan::{Credentials, Group, Plan, Program};
pub use program::{FindError, find_program};

/// Starts the process that `plan` describes.
///
/// Returns as soon as the child exists: it never waits for the exec, whose result comes by [`Child::outcome`]. The
/// parent's memory is shared copy-on-write, so the cost grows with the parent's size: call it from a small process.
/// PDEATHSIG fires when the *thread* that called this ends.
///
/// # Errors
/// When there is no child: `Step::Fork` with the kernel's reason, `Step::Pipe` when no descriptor was left,
/// `Step::Cgroup` when it could not be created in its cgroup, EINVAL for a target that is negative or named twice.
pub fn spawn(plan: &Plan) -> Result<Child, SpawnError> {
    let mut prepared = Prepared::new(plan)?;
    let pipe_failure =
        |error: io::Error| SpawnError { step: Step::Pipe, errno: error.raw_os_error().unwrap_or(libc::EINVAL) };
    let (reader, writer) = crate::pipe::pair().map_err(pipe_failure)?;
    crate::descriptor::set_nonblocking(&reader, true).map_err(pipe_failure)?;
    let (pid, pidfd) = fork::fork(&mut prepared, writer.as_fd())?;
    Ok(Child { pid, pidfd, outcome: ExecOutcome(reader) })
}
