//! Which step of a start failed, and why.

use std::fmt;
use std::io;

macro_rules! steps {
    ($($variant:ident = $code:literal $name:literal, $doc:literal;)+) => {
        /// A step of starting a process, in the order they are taken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Step { $(#[doc = $doc] $variant = $code),+ }

        impl Step {
            /// Every step.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable name: `exec`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The stable number.
            pub const fn code(self) -> u32 {
                self as u32
            }
        }
    };
}

steps! {
    Pipe = 1 "pipe", "The report pipe could not be made (in the parent).";
    Fork = 2 "fork", "There is no child (in the parent).";
    Session = 3 "setsid", "A session of its own.";
    ProcessGroup = 4 "setpgid", "A process group of its own.";
    Cgroup = 5 "cgroup", "The move into its cgroup.";
    Descriptors = 6 "descriptors", "Descriptors at their numbers, all others closed.";
    Nice = 7 "nice", "The nice value.";
    OomScore = 8 "oom-score-adj", "The OOM score adjustment.";
    Limits = 9 "limits", "Resource limits.";
    Groups = 10 "groups", "Supplementary groups.";
    Gid = 11 "gid", "The group.";
    Uid = 12 "uid", "The user.";
    Umask = 13 "umask", "The file mode mask (cannot fail).";
    Directory = 14 "chdir", "The working directory.";
    DeathSignal = 15 "death-signal", "The parent-death signal.";
    Signals = 16 "signals", "Dispositions and mask.";
    Exec = 17 "exec", "The program itself.";
}

impl Step {
    /// The step with that [`Step::code`].
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|step| step.code() == code)
    }

    /// The step with that [`Step::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|step| step.name() == name)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A process that could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// The step that failed.
    pub step: Step,
    /// The kernel's reason.
    pub errno: i32,
}

impl SpawnError {
    /// The same start may work a moment later: the kernel was short of processes, memory or descriptors.
    pub const fn is_transient(&self) -> bool {
        matches!(self.errno, libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE)
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, io::Error::from_raw_os_error(self.errno))
    }
}

impl std::error::Error for SpawnError {}
