//! Resource limits.

use rustix::process::{Rlimit, getrlimit, setrlimit};
use std::io;

/// No limit.
pub const INFINITY: u64 = u64::MAX;

macro_rules! resources {
    ($($variant:ident = $name:literal, $number:ident, $doc:literal;)+) => {
        /// What can be limited (`getrlimit(2)`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Resource { $(#[doc = $doc] $variant),+ }

        impl Resource {
            /// Every resource.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name configuration uses: `nofile`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The kernel's number.
            pub const fn number(self) -> u32 {
                // glibc gives the constants another type than musl.
                #[allow(clippy::unnecessary_cast)]
                match self { $(Self::$variant => libc::$number as u32),+ }
            }
        }
    };
}

resources! {
    AddressSpace = "as", RLIMIT_AS, "Bytes of virtual memory.";
    Core = "core", RLIMIT_CORE, "Bytes of a core file.";
    Cpu = "cpu", RLIMIT_CPU, "Seconds of processor time.";
    Data = "data", RLIMIT_DATA, "Bytes of the data segment.";
    FileSize = "fsize", RLIMIT_FSIZE, "Bytes of a written file.";
    MemoryLock = "memlock", RLIMIT_MEMLOCK, "Bytes locked in memory.";
    MessageQueue = "msgqueue", RLIMIT_MSGQUEUE, "Bytes in POSIX message queues.";
    Nice = "nice", RLIMIT_NICE, "Ceiling of the nice value, as 20 minus it.";
    OpenFiles = "nofile", RLIMIT_NOFILE, "One more than the highest descriptor.";
    Processes = "nproc", RLIMIT_NPROC, "Processes and threads of the user.";
    ResidentSet = "rss", RLIMIT_RSS, "Bytes in memory (without effect since Linux 2.4.30).";
    RealtimePriority = "rtprio", RLIMIT_RTPRIO, "Ceiling of the real-time priority.";
    RealtimeTime = "rttime", RLIMIT_RTTIME, "Microseconds of real-time work without a blocking call.";
    SignalsPending = "sigpending", RLIMIT_SIGPENDING, "Queued signals of the user.";
    Stack = "stack", RLIMIT_STACK, "Bytes of the main thread's stack.";
}

impl Resource {
    /// The resource of that name (`nofile`).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|resource| resource.name() == name)
    }
}

/// One limit to be set; [`INFINITY`] lifts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is limited.
    pub resource: Resource,
    /// The limit in force.
    pub soft: u64,
    /// How far the process may raise it by itself.
    pub hard: u64,
}

/// Raises the soft limit of open files to the hard one. Returns (soft limit before, hard limit), so that workers can
/// be given the old one: programs that use `select` or close every possible descriptor suffer from a huge one.
///
/// # Errors
/// The kernel's.
pub fn raise_nofile() -> io::Result<(u64, u64)> {
    let resource = rustix::process::Resource::Nofile;
    let old = getrlimit(resource);
    if old.current != old.maximum {
        setrlimit(resource, Rlimit { current: old.maximum, maximum: old.maximum })?;
    }
    Ok((old.current.unwrap_or(INFINITY), old.maximum.unwrap_or(INFINITY)))
}

/// The hard limit of this resource in this process.
pub fn hard(resource: Resource) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: one of the kernel's own numbers, and a structure that it fills.
    let read = unsafe { libc::prlimit(0, resource.number() as _, std::ptr::null(), &raw mut limit) };
    if read == 0 { limit.rlim_max } else { INFINITY }
}

/// The (soft, hard) limit of open files of this process.
pub fn nofile() -> (u64, u64) {
    let limit = getrlimit(rustix::process::Resource::Nofile);
    (limit.current.unwrap_or(INFINITY), limit.maximum.unwrap_or(INFINITY))
}
