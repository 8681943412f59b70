//! What a manager starts from, as the supervisor holds it.

use serde::{Deserialize, Serialize};

use crate::Text;
use crate::above::{Above, Inherited};
use crate::supervisor::{Kept, Label};

/// What a manager is started for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To be the manager.
    #[default]
    Work,
    /// To show that it could be: nothing is read, nothing is asked for, but [`Ready`](crate::supervisor::ToSupervisor::Ready).
    Trial,
    /// To go on where another one has stopped, once it is told so. A last descriptor carries the
    /// [`handover`](crate::handover).
    Handover,
}

impl Purpose {
    fn is_work(&self) -> bool {
        *self == Self::Work
    }
}

/// The engine as the supervisor knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// [`VERSION`](crate::supervisor::VERSION) of the supervisor.
    pub version: u32,
    /// Its pid.
    pub supervisor: u32,
    /// How many managers there have been, this one included.
    pub generation: u32,
    /// How the last manager ended, in words; empty for the first one.
    #[serde(default)]
    pub last_words: String,
    /// Whether a second descriptor carries the state deposit.
    pub state: bool,
    /// Whether state was withheld because managers kept dying on it.
    #[serde(default)]
    pub poisoned: bool,
    /// What the manager is for.
    #[serde(default, skip_serializing_if = "Purpose::is_work")]
    pub purpose: Purpose,
    /// Why the state is that of before an upgrade, where the one after it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<String>,
    /// Soft and hard limit of open files that the engine was started with.
    pub nofile: (u64, u64),
    /// The highest worker identity that was ever used.
    #[serde(default)]
    pub highest_worker: u64,
    /// The engine's directories among the cgroups, whether they were made or not; in each a worker's own has its number
    /// for a name. That of cgroup2 is the first, if there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cgroups: Vec<Text>,
    /// The last wishes that a manager left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wishes: Option<String>,
    /// The service manager above us, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<Above>,
    /// Sockets that it left us and that no listener is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inherited: Vec<Inherited>,
}

/// A process of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// Its identity.
    pub worker: u64,
    /// Whose it is.
    pub label: Label,
    /// Its pid.
    pub pid: u32,
    /// CLOCK_MONOTONIC, nanoseconds, when it was made.
    pub started: u64,
    /// Its program runs (else exec is still under way).
    pub executed: bool,
    /// It has ended; an `Exited` follows.
    #[serde(default)]
    pub ended: bool,
    /// The last signal it was sent on a manager's behalf: a manager may have died between deciding and sending.
    #[serde(default)]
    pub signalled: Option<String>,
    /// The descriptors beside this record.
    pub kept: Vec<Kept>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// With this exit code.
    Code(u8),
    /// By the signal of this number.
    Signal(i32),
}
