//! What a notification says.

use std::os::fd::OwnedFd;
use std::time::Duration;

/// One notification. Fields that are not known are ignored; a malformed field counts as absent.
#[derive(Debug, Default)]
pub struct Message {
    /// `READY=1`.
    pub ready: bool,
    /// `STOPPING=1`.
    pub stopping: bool,
    /// `RELOADING=1`.
    pub reloading: bool,
    /// `MONOTONIC_USEC=`, which comes with `RELOADING=1`.
    pub monotonic: Option<Duration>,
    /// `WATCHDOG=1`: a heartbeat.
    pub watchdog: bool,
    /// `WATCHDOG=trigger`: the process asks to be treated as hung.
    pub watchdog_trigger: bool,
    /// `WATCHDOG_USEC=`: the heartbeat timeout the process wants.
    pub watchdog_timeout: Option<Duration>,
    /// `STATUS=`, cut to 1 KiB, invalid bytes replaced.
    pub status: Option<String>,
    /// `EXTEND_TIMEOUT_USEC=`.
    pub extend: Option<Duration>,
    /// `MAINPID=`.
    pub main_pid: Option<u32>,
    /// The descriptors of `BARRIER=1`. Dropping them is the answer: do it when everything before it was handled.
    pub barrier: Vec<OwnedFd>,
    /// The sender's pid as the kernel says, 0 when unknown.
    pub sender_pid: u32,
}
