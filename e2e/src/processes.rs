//! Real processes, held by pidfd.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_sys::process;

/// A process that cannot be mistaken for another.
#[derive(Debug)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    pidfd: OwnedFd,
}

impl Process {
    /// The process of this number, if there is one.
    pub fn try_open(pid: u32) -> Option<Self> {
        process::open(pid).ok().map(|pidfd| Self { pid, pidfd })
    }

    /// The process of this number.
    ///
    /// # Panics
    /// When there is none.
    pub fn open(pid: u32) -> Self {
        Self::try_open(pid).unwrap_or_else(|| panic!("there is no process {pid}"))
    }

    /// Sends a signal; one that is gone takes none.
    pub fn signal(&self, signal: Signal) {
        let _ = process::signal(self.pidfd.as_fd(), signal);
    }

    /// Whether it ends within this time.
    pub fn gone_within(&self, patience: Duration) -> bool {
        process::wait_exit(self.pidfd.as_fd(), patience).expect("wait for a process")
    }

    /// Whether it lives now.
    pub fn lives(&self) -> bool {
        !self.gone_within(Duration::ZERO)
    }

    /// Whether SIGSTOP has reached every thread of it within this time. No event tells a non-parent, so it looks.
    pub fn stopped_within(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let stopped = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
        };
        loop {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
            let states: Vec<bool> = tasks.map(stopped).collect();
            if !states.is_empty() && states.iter().all(|stopped| *stopped) {
                return true;
            }
            if Instant::now() > until {
                return false;
            }
            std::thread::yield_now();
        }
    }

    /// Its state and its arguments, for messages.
    pub fn title(&self) -> String {
        let read = |name: &str| std::fs::read(format!("/proc/{}/{name}", self.pid)).unwrap_or_default();
        let text = |name: &str| String::from_utf8_lossy(&read(name)).replace('\0', " ");
        let stat = text("stat");
        let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).unwrap_or("gone");
        format!("{} {state} {}", self.pid, text("cmdline"))
    }

    /// When it was started, in the kernel's ticks: with the pid, its identity.
    pub fn start_time(&self) -> Option<u64> {
        process::start_time(self.pid)
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count)
    }

    /// Its resident memory that is its own, in KiB.
    pub fn anonymous_kib(&self) -> u64 {
        self.status_number("RssAnon:")
    }

    /// Its resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_number("VmRSS:")
    }

    /// How many threads it has.
    pub fn threads(&self) -> u64 {
        self.status_number("Threads:")
    }

    /// How often it gave up the processor to wait: each is a wakeup later.
    pub fn voluntary_switches(&self) -> u64 {
        self.status_number("voluntary_ctxt_switches:")
    }

    fn status_number(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// Processor time it has used.
    pub fn cpu(&self) -> Duration {
        process::cpu_time(self.pid).unwrap_or_default()
    }

    /// Its children, zombies included.
    pub fn children(&self) -> Vec<u32> {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid)).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// How many of its children have ended and were not reaped.
    pub fn zombies(&self) -> usize {
        let is_zombie = |pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
        };
        self.children().iter().filter(|pid| is_zombie(pid)).count()
    }
}

/// Processes that carry this entry in their environment.
pub fn with_environment(entry: &str) -> Vec<u32> {
    process::processes_with_environment(entry).into_iter().map(|(pid, _)| pid).collect()
}
