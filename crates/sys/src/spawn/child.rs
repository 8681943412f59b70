//! What the child does between fork and exec.
//!
//! The memory is a copy of a parent that may have had other threads, any of which may have held any lock: nothing
//! here allocates, takes a lock or panics; it makes raw system calls over what was prepared before the fork. Calls go
//! by `syscall` because a C library's setuid would try to reach threads that do not exist here.

use super::error::Step;
use super::plan::{Credentials, Group, Plan, Program};
use super::prepared::Prepared;
use crate::limits::Limit;
use crate::signal;
use libc::{c_int, c_long};
use std::convert::Infallible;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

/// The status of a child whose start failed.
const FAILED: c_int = 127;

type Attempt<T> = Result<T, (Step, i32)>;

/// Takes every step and executes the program; reports over `report` the one that failed.
pub(super) fn run(prepared: &mut Prepared<'_>, report: RawFd, in_cgroup: bool) -> ! {
    let mut report = report;
    let Err((step, errno)) = steps(prepared, &mut report, in_cgroup);
    let mut message = [0u8; super::outcome::REPORT_LENGTH];
    let halves = step.code().to_ne_bytes().into_iter().chain(errno.to_ne_bytes());
    for (place, byte) in message.iter_mut().zip(halves) {
        *place = byte;
    }
    // SAFETY: writes from a local array of that length.
    unsafe { libc::syscall(libc::SYS_write, report, message.as_ptr(), message.len()) };
    exit()
}

fn exit() -> ! {
    loop {
        // SAFETY: ends the process; nothing of its memory is used afterwards.
        unsafe { libc::syscall(libc::SYS_exit_group, FAILED) };
    }
}

fn steps(prepared: &mut Prepared<'_>, report: &mut RawFd, in_cgroup: bool) -> Attempt<Infallible> {
    let plan = prepared.plan;
    match prepared.group() {
        // SAFETY: setsid takes no pointer.
        Group::Session => done(Step::Session, unsafe { libc::syscall(libc::SYS_setsid) })?,
        // SAFETY: setpgid takes no pointer.
        Group::Own => done(Step::ProcessGroup, unsafe { libc::syscall(libc::SYS_setpgid, 0, 0) })?,
        Group::Inherit => 0,
    };
    if let (Some(cgroup), false) = (&plan.cgroup, in_cgroup) {
        join_cgroup(cgroup.as_raw_fd())?;
    }
    for cgroup in &plan.joined {
        join_cgroup(cgroup.as_raw_fd())?;
    }
    let program = place_descriptors(prepared, report)?;
    take_on(plan, prepared.oom_score_adj.as_deref())?;
    if let Some(death) = plan.parent_death {
        watch_parent(signal::number(death), prepared.parent)?;
    }
    reset_signals()?;
    execute(prepared, program)
}

/// What a process may use, whom it runs as and where. Later steps may be forbidden by earlier ones, never the other way.
pub(super) fn take_on(plan: &Plan, oom_score_adj: Option<&CStr>) -> Attempt<()> {
    if let Some(nice) = plan.nice {
        // SAFETY: setpriority takes no pointer.
        done(Step::Nice, unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS as c_long, 0, nice) })?;
    }
    if let Some(text) = oom_score_adj {
        write_file(Step::OomScore, libc::AT_FDCWD, c"/proc/self/oom_score_adj", text.to_bytes())?;
    }
    for limit in &plan.limits {
        set_limit(limit)?;
    }
    if let Some(credentials) = &plan.credentials {
        become_user(credentials)?;
    }
    if let Some(umask) = plan.umask {
        // SAFETY: umask takes no pointer.
        done(Step::Umask, unsafe { libc::syscall(libc::SYS_umask, umask) })?;
    }
    if let Some(directory) = &plan.directory {
        // SAFETY: the path is a C string that lives in the plan.
        done(Step::Directory, unsafe { libc::syscall(libc::SYS_chdir, directory.as_ptr()) })?;
    }
    Ok(())
}

/// The error of the last call when `result` is negative.
fn done(step: Step, result: c_long) -> Attempt<c_long> {
    if result < 0 {
        // SAFETY: the location of this thread's errno is always valid.
        return Err((step, unsafe { *libc::__errno_location() }));
    }
    Ok(result)
}

/// For hierarchies of version 1, and where the child could not be created in its cgroup (a kernel or a filter without
/// clone3).
fn join_cgroup(directory: RawFd) -> Attempt<()> {
    write_file(Step::Cgroup, directory, c"cgroup.procs", b"0")
}

fn write_file(step: Step, directory: RawFd, name: &CStr, text: &[u8]) -> Attempt<()> {
    // SAFETY: the name is a C string; no mode is needed without O_CREAT.
    let opened =
        unsafe { libc::syscall(libc::SYS_openat, directory, name.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC, 0) };
    let fd = done(step, opened)?;
    // SAFETY: writes from a live slice of that length.
    done(step, unsafe { libc::syscall(libc::SYS_write, fd, text.as_ptr(), text.len()) })?;
    // SAFETY: closes the descriptor opened above, which nobody else knows.
    unsafe { libc::syscall(libc::SYS_close, fd) };
    Ok(())
}

/// Puts every declared descriptor at its number and marks all others above 2 to be closed by the exec. Returns the
/// program's descriptor, if it is one.
///
/// All sources (and the report pipe and the program) are first duplicated above the highest target, so that no move
/// overwrites a source of another.
fn place_descriptors(prepared: &mut Prepared<'_>, report: &mut RawFd) -> Attempt<Option<RawFd>> {
    let floor = prepared.floor;
    *report = stage(*report, floor)?;
    let program = match prepared.program() {
        Program::Descriptor(fd) => Some(stage(fd.as_raw_fd(), floor)?),
        Program::Path(_) => None,
    };
    for movement in &mut prepared.moves {
        movement.staged = stage(movement.source, floor)?;
    }
    for movement in &prepared.moves {
        // SAFETY: dup3 takes no pointer; the target is above no staged number, and the child owns its whole table.
        done(Step::Descriptors, unsafe { libc::syscall(libc::SYS_dup3, movement.staged, movement.target, 0) })?;
    }
    for (first, last) in &prepared.gaps {
        let flags = libc::CLOSE_RANGE_CLOEXEC;
        // SAFETY: close_range takes no pointer; it only marks, so the report pipe stays open until the exec.
        done(Step::Descriptors, unsafe { libc::syscall(libc::SYS_close_range, *first, *last, flags) })?;
    }
    Ok(program)
}

fn stage(fd: RawFd, floor: RawFd) -> Attempt<RawFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes a number.
    let staged = unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_DUPFD_CLOEXEC, c_long::from(floor)) };
    done(Step::Descriptors, staged).map(|fd| fd as RawFd)
}

fn set_limit(limit: &Limit) -> Attempt<()> {
    let new = libc::rlimit64 { rlim_cur: limit.soft, rlim_max: limit.hard };
    let nothing: *mut libc::rlimit64 = ptr::null_mut();
    // SAFETY: reads a local of the kernel's layout; the old limit is not asked for.
    let result = unsafe { libc::syscall(libc::SYS_prlimit64, 0, limit.resource.number(), &raw const new, nothing) };
    done(Step::Limits, result).map(|_| ())
}

fn become_user(credentials: &Credentials) -> Attempt<()> {
    let groups = &credentials.groups;
    // SAFETY: reads that many group numbers from a live vector.
    done(Step::Groups, unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    let gid = credentials.gid;
    // SAFETY: setresgid takes no pointer.
    done(Step::Gid, unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    let uid = credentials.uid;
    // SAFETY: setresuid takes no pointer.
    done(Step::Uid, unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })?;
    Ok(())
}

/// Sets the parent-death signal, and ends here if the parent died before that: nobody is left to report to.
fn watch_parent(number: c_int, parent: c_int) -> Attempt<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a number.
    let set = unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, number as c_long, 0, 0, 0) };
    done(Step::DeathSignal, set)?;
    // SAFETY: getppid takes nothing and cannot fail.
    if unsafe { libc::syscall(libc::SYS_getppid) } != c_long::from(parent) {
        exit();
    }
    Ok(())
}

/// Every disposition to the default, then an empty mask. Raw, so that the C library's own real-time signals are
/// included.
fn reset_signals() -> Attempt<()> {
    reset_dispositions();
    set_mask(&0).map_err(|errno| (Step::Signals, errno))?;
    Ok(())
}

/// Every disposition to the default, those of KILL and STOP (which have none) excepted.
pub(super) fn reset_dispositions() {
    /// At least as large as the kernel's `struct sigaction`; all zero it means: default, no flags, empty mask.
    const DEFAULT: [u64; 8] = [0; 8];
    let nothing: *mut u64 = ptr::null_mut();
    for number in 1..=64 {
        // SAFETY: reads a constant at least as large as the kernel's structure; the old action is not asked for.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, number, DEFAULT.as_ptr(), nothing, size_of::<u64>()) };
    }
}

/// Sets this thread's mask (bit n-1 is signal n) and returns the old one.
pub(super) fn set_mask(mask: &u64) -> Result<u64, i32> {
    let mut old = 0u64;
    // SAFETY: reads and writes 8 bytes each, the size that is passed.
    let result = unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, ptr::from_ref(mask), &raw mut old, size_of::<u64>())
    };
    // SAFETY: the location of this thread's errno is always valid.
    if result < 0 { Err(unsafe { *libc::__errno_location() }) } else { Ok(old) }
}

fn execute(prepared: &mut Prepared<'_>, program: Option<RawFd>) -> Attempt<Infallible> {
    // SAFETY: getpid takes nothing and cannot fail.
    let pid = unsafe { libc::syscall(libc::SYS_getpid) } as u32;
    for variable in &mut prepared.pid_variables {
        variable.write(pid);
    }
    let (arguments, environment) = (prepared.arguments.as_ptr(), prepared.environment.as_ptr());
    let result = match (prepared.program(), program) {
        (Program::Path(path), _) => {
            // SAFETY: a C string and two arrays that end with null, all alive in the plan and in `prepared`.
            unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), arguments, environment) }
        }
        (Program::Descriptor(_), program) => {
            let fd = program.unwrap_or(-1);
            // SAFETY: as above; the empty path means the descriptor itself.
            unsafe { libc::syscall(libc::SYS_execveat, fd, c"".as_ptr(), arguments, environment, libc::AT_EMPTY_PATH) }
        }
    };
    done(Step::Exec, result)?;
    // An exec that succeeds does not return.
    Err((Step::Exec, libc::EINVAL))
}
