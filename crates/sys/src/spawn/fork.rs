//! The fork itself.

use super::child;
use super::error::{SpawnError, Step};
use super::prepared::Prepared;
use libc::{c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// The kernel's `struct clone_args`.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Start the child in the cgroup `CloneArguments::cgroup`.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Every signal.
const ALL: u64 = u64::MAX;

/// Forks, and runs the child. Returns (pid, pidfd) in the parent.
///
/// All signals are blocked from before the fork until the child has reset its dispositions: a handler of the parent
/// must never run in the child.
pub(super) fn fork(prepared: &mut Prepared<'_>, report: BorrowedFd<'_>) -> Result<(u32, OwnedFd), SpawnError> {
    let mask = child::set_mask(&ALL).map_err(|errno| SpawnError { step: Step::Fork, errno })?;
    let mut pidfd: RawFd = -1;
    let (pid, in_cgroup) = clone(prepared, &mut pidfd);
    if pid == 0 {
        child::run(prepared, report.as_raw_fd(), in_cgroup);
    }
    let error = io::Error::last_os_error();
    // Setting a mask that was in force cannot fail.
    let _ = child::set_mask(&mask);
    match u32::try_from(pid) {
        // SAFETY: the kernel has just opened the pidfd for us.
        Ok(pid) => Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) })),
        Err(_) => Err(failure(error.raw_os_error().unwrap_or(libc::EINVAL), prepared.plan.cgroup.is_some())),
    }
}

/// clone3 into the cgroup; where that call does not exist (container filters hide it), clone and let the child move.
fn clone(prepared: &Prepared<'_>, pidfd: &mut RawFd) -> (c_long, bool) {
    let mut arguments = CloneArguments {
        flags: libc::CLONE_PIDFD as u64,
        pidfd: ptr::from_mut(pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArguments::default()
    };
    if let Some(cgroup) = &prepared.plan.cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: the structure has the kernel's layout and the passed size; without CLONE_VM the child has a copy of
    // this memory and stack, so both returns are ordinary ones. What runs in the child is held to `child`'s rules.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArguments>()) };
    if pid >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS) {
        return (pid, prepared.plan.cgroup.is_some());
    }
    let flags = c_long::from(libc::CLONE_PIDFD | libc::SIGCHLD);
    let nothing: *mut c_int = ptr::null_mut();
    // SAFETY: as above; a null stack means a copy of this one, and with CLONE_PIDFD the third argument is where the
    // kernel writes the pidfd. The last two are unused on both architectures.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, nothing, ptr::from_mut(pidfd), nothing, nothing) };
    (pid, false)
}

fn failure(errno: i32, with_cgroup: bool) -> SpawnError {
    let error = SpawnError { step: Step::Fork, errno };
    if with_cgroup && !error.is_transient() { SpawnError { step: Step::Cgroup, errno } } else { error }
}
