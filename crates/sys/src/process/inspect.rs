//! What /proc tells of a process.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// When the process started, in clock ticks since boot: with [`boot_id`] and the pid it names a process for ever.
pub fn start_time(pid: u32) -> Option<u64> {
    let _ = pid;
    unimplemented!()
}

/// Bytes of memory that are resident.
pub fn memory(pid: u32) -> Option<u64> {
    let _ = pid;
    unimplemented!()
}

/// Processor time used so far, in user mode and in the kernel.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let _ = pid;
    unimplemented!()
}

/// Whether a process has this number now (a zombie has).
pub fn exists(pid: u32) -> bool {
    let _ = pid;
    unimplemented!()
}

/// The kernel's identifier of this boot.
///
/// # Errors
/// When /proc is not there.
pub fn boot_id() -> io::Result<String> {
    unimplemented!()
}

/// The children of this process, zombies included, in no order.
pub fn children_of_self() -> Vec<u32> {
    unimplemented!()
}

/// The value of the variable `name` in the environment that the process was started with, if we may read it.
pub fn environment_entry(pid: u32, name: &str) -> Option<String> {
    let _ = (pid, name);
    unimplemented!()
}

/// Every living process, this one excepted, that was started with the environment entry `entry` (`NAME=value`), each
/// with a pidfd that is certain to be of that process. Those whose environment we may not read are not found.
pub fn processes_with_environment(entry: &str) -> Vec<(u32, OwnedFd)> {
    let _ = entry;
    unimplemented!()
}
