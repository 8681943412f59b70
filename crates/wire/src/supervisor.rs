//! Supervisor ↔ manager, one SOCK_SEQPACKET channel.
//!
//! A record is one JSON object, ≤ [`MAX_RECORD`] bytes inline (the shells put a larger one into a sealed memfd), with
//! at most [`MAX_DESCRIPTORS`] file descriptors beside it; each message says which descriptors it expects.
//! Every record to the manager is numbered; the manager answers [`ToSupervisor::Ack`] once it has handled it *and*
//! deposited what follows from it. Exits and signals are kept until then and told again to the next manager.

use serde::{Deserialize, Serialize};

pub use crate::above::{Above, Inherited};
pub use crate::bounds::Bounds;
pub use crate::inventory::{Inventory, Purpose, Status, Worker};
pub use crate::stops::StopSignals;
use crate::{Error, Text};

/// The protocol's one number. A new manager speaks every number since the first; fields are only added.
pub const VERSION: u32 = 1;
/// Largest record sent inline, in bytes.
pub const MAX_RECORD: usize = 64 * 1024;
/// Largest record at all (by memfd), in bytes.
pub const MAX_LARGE_RECORD: usize = 64 * 1024 * 1024;
/// Most descriptors in one record.
pub const MAX_DESCRIPTORS: usize = 200;

/// What the manager asks of the supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToSupervisor {
    /// Open a listener; answered with [`ToManager::Bound`]. Opening one that is open with the same address is no error.
    Bind(Bind),
    /// Close a listener and remove a unix socket's file.
    Unbind {
        /// Which one.
        listener: String,
    },
    /// Make a process; answered with [`ToManager::Spawned`] or [`ToManager::SpawnFailed`].
    Spawn(Box<Spawn>),
    /// Send a signal to a process of ours. CONT follows every signal but STOP, so that a stopped process can act on it.
    Signal {
        /// Which worker.
        worker: u64,
        /// The signal's name without `SIG`.
        signal: String,
        /// To whom.
        scope: Scope,
        /// An operator's own: it is no part of a stop, is not remembered as the last one of it, and is not followed by
        /// CONT.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        aside: bool,
        /// Written to its command pipe in the signal's place, if it has one that takes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        word: Option<String>,
    },
    /// Which lines of its own log the supervisor writes from here on: a level's name.
    LogLevel {
        /// `debug`.
        level: String,
    },
    /// What the next manager needs. Descriptors: the state (sealed memfd), then the configuration if `configuration`.
    Deposit {
        /// Whether a second descriptor carries a new configuration deposit.
        configuration: bool,
        /// Least wait before a manager is started in the place of one that died, in milliseconds.
        #[serde(default)]
        restart_wait_ms: u64,
        /// Which signals of other processes ask for a stop.
        #[serde(default, skip_serializing_if = "StopSignals::is_usual")]
        stops: StopSignals,
        /// [`Wishes`](crate::deposit::Wishes) where they changed: for a manager that the state is withheld from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wishes: Option<String>,
    },
    /// Text for the service manager above us (`NOTIFY_SOCKET`).
    Notify {
        /// Lines of `KEY=value`.
        text: String,
    },
    /// Close an [`Inherited`] socket that was kept for this engine and that it has no use for any more.
    Disown {
        /// Its number.
        number: u32,
    },
    /// Start a manager from the attached binary beside this one, and let it take over once it has shown that it can;
    /// answered with [`ToManager::Freeze`] or [`ToManager::GoOn`].
    Upgrade {
        /// How long it may take to show that it can, in milliseconds.
        patience_ms: u64,
    },
    /// A manager on trial has built everything from the inventory and could work.
    Ready,
    /// Connections that go on: their descriptors, in the order of the [`handover`](crate::handover) that follows.
    Connections,
    /// This manager does nothing more: its deposit has left, and the descriptor is the [`handover`](crate::handover).
    Left,
    /// It cannot leave what it has, and goes on.
    Kept {
        /// Why, in words.
        reason: String,
    },
    /// A manager that was handed on has taken in everything and waits for [`ToManager::Commit`].
    Applied,
    /// Every record up to this number is handled.
    Ack {
        /// The number.
        n: u64,
    },
    /// End the engine: every worker still there is killed, sockets are removed.
    Exit {
        /// The supervisor's exit code.
        code: u8,
        /// Printed on stderr when not empty.
        #[serde(default)]
        message: String,
    },
}

/// A listener to open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Its name; the key everywhere else.
    pub listener: String,
    /// Where.
    pub address: Address,
    /// Length of the accept queue.
    pub backlog: u32,
    /// Permission bits of a unix socket.
    #[serde(default)]
    pub mode: Option<u32>,
    /// One of several sockets on its address (SO_REUSEPORT).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse_port: bool,
    /// Whether it is non-blocking, for all that share it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nonblocking: bool,
    /// The number of the [`Inherited`] socket that it is to be, instead of a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited: Option<u32>,
    /// Who owns a unix socket's file (user, group), where it is not the supervisor's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<(u32, u32)>,
    /// The name that the service manager above keeps it under for the next engine, where it is to (`FDSTORE=1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
}

/// A socket address, already resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Address {
    /// TCP over IPv4 or IPv6.
    Tcp(std::net::SocketAddr),
    /// A unix stream socket's path.
    Unix(Text),
}

/// Whom a signal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The process itself.
    Process,
    /// Its process group.
    Group,
}

/// Whose process it is; opaque to the supervisor, told back in the inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// `web.1`.
    pub name: String,
    /// `web`.
    pub service: String,
    /// From 1.
    pub slot: u32,
    /// From 1.
    pub generation: u32,
    /// Version of the service's command.
    pub epoch: u64,
}

/// A process to make. Names, users and groups are resolved: the supervisor gets numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spawn {
    /// Its identity, never used before.
    pub worker: u64,
    /// Whose it is.
    pub label: Label,
    /// What is executed.
    pub program: Program,
    /// argv.
    pub arguments: Vec<Text>,
    /// `KEY=value`, complete.
    pub environment: Vec<Text>,
    /// Entries of the environment that hold the child's own pid: a name, or `NAME=text` with `{pid}` in it.
    #[serde(default)]
    pub pid_variables: Vec<String>,
    /// Working directory.
    pub directory: Text,
    /// Its descriptors, all of them.
    pub descriptors: Vec<Descriptor>,
    /// A notify socket of its own.
    #[serde(default)]
    pub notify: Option<NotifySocket>,
    /// SIGKILL when the supervisor dies.
    pub die_with_supervisor: bool,
    /// Resource limits by name (`nofile`): soft and hard.
    #[serde(default)]
    pub limits: Vec<(String, u64, u64)>,
    /// Whom it runs as, where not as the supervisor.
    #[serde(default)]
    pub credentials: Option<Credentials>,
    /// Permissions that its files are made without.
    #[serde(default)]
    pub umask: Option<u32>,
    /// Its nice value.
    #[serde(default)]
    pub nice: Option<i32>,
    /// How gladly the kernel kills it for want of memory.
    #[serde(default)]
    pub oom_score_adj: Option<i32>,
    /// What it may use together with its descendants, where the kernel can be had to hold it.
    #[serde(default, skip_serializing_if = "Bounds::is_none")]
    pub bounds: Bounds,
    /// What the supervisor sends when it has to stop the worker on its own.
    pub stop_signal: String,
    /// How long it then waits before KILL.
    pub stop_grace_ms: u64,
}

/// Whom a process runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its supplementary groups, exactly.
    pub groups: Vec<u32>,
}

/// What is executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// An absolute path.
    Path(Text),
    /// The engine's own binary: the first attached descriptor.
    Attached,
}

/// One descriptor of a new process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Its number in the process.
    pub number: i32,
    /// Where it comes from.
    pub source: Source,
}

/// Where a descriptor comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// `/dev/null`.
    Null,
    /// The supervisor's own descriptor of this number.
    Inherit(i32),
    /// A listener by name.
    Listener(String),
    /// The write end of a new pipe; the supervisor keeps the read end as [`Kept::Output`] or [`Kept::Error`].
    Output,
    /// As `Output`, for stderr.
    Error,
    /// One end of a new SOCK_SEQPACKET pair; the other is kept as [`Kept::Link`].
    Link,
    /// The write end of a new pipe whose read end is kept as [`Kept::Ready`]: a newline on it means ready.
    Ready,
    /// One end of a new stream pair; the other is kept as [`Kept::Command`].
    Command,
}

/// A datagram socket for sd_notify messages, bound by the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifySocket {
    /// Its path.
    pub path: Text,
    /// Who may write to it, where it is not the supervisor's own user.
    #[serde(default)]
    pub owner: Option<(u32, u32)>,
}

/// A descriptor that the supervisor keeps for a worker, in the order of the message's descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// The process itself.
    Pidfd,
    /// Read end of its stdout.
    Output,
    /// Read end of its stderr.
    Error,
    /// Our end of its link.
    Link,
    /// Read end of its readiness pipe.
    Ready,
    /// Its notify socket.
    Notify,
    /// Our end of its command pipe.
    Command,
}

/// A numbered record from the supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    /// Its number, rising by one, from 1 for each manager.
    pub n: u64,
    /// What happened.
    #[serde(flatten)]
    pub record: ToManager,
}

/// What the supervisor tells the manager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToManager {
    /// The first record. Descriptors: the configuration deposit, then the state deposit if there is one.
    Inventory(Inventory),
    /// A listener that is open (inventory, or the answer to a `Bind` that succeeded). Descriptor: the listener.
    Bound {
        /// Its name.
        listener: String,
        /// Where.
        address: Address,
    },
    /// A listener could not be opened.
    BindFailed {
        /// Its name.
        listener: String,
        /// Where.
        address: Address,
        /// The kernel's number.
        errno: i32,
        /// In words.
        message: String,
    },
    /// A process of ours (inventory). Descriptors: those of `kept`.
    Worker(Worker),
    /// The inventory is complete; what follows happened since.
    InventoryEnd,
    /// The program runs. Descriptors: those of `kept`.
    Spawned(Worker),
    /// No process came of it.
    SpawnFailed {
        /// Which worker.
        worker: u64,
        /// The step that failed.
        step: String,
        /// The kernel's number.
        errno: i32,
        /// Whether another try can help.
        transient: bool,
    },
    /// The process ended; its group was killed and it was reaped.
    Exited {
        /// Which worker.
        worker: u64,
        /// How.
        status: Status,
        /// User CPU time.
        user_us: u64,
        /// System CPU time.
        system_us: u64,
        /// Largest resident set.
        max_rss_kib: u64,
        /// CLOCK_MONOTONIC, nanoseconds, when it was noticed.
        at: u64,
        /// How many of its processes the kernel has killed for want of memory, where that is counted.
        #[serde(default, skip_serializing_if = "is_zero")]
        oom_kills: u64,
    },
    /// A signal came to the supervisor.
    SignalReceived {
        /// Its name.
        signal: String,
        /// Who sent it, 0 for the kernel.
        pid: u32,
        /// That process's user.
        uid: u32,
        /// Sent by the kernel, the terminal above all; so is a HUP of a lost terminal, whoever sent it.
        from_kernel: bool,
        /// CLOCK_MONOTONIC, nanoseconds, when it was read.
        at: u64,
    },
    /// Leave everything and do nothing more: the next manager is ready.
    Freeze,
    /// Nothing comes of the upgrade: this manager goes on.
    GoOn {
        /// Which way it failed, in words.
        reason: String,
        /// What the binary last wrote.
        #[serde(default)]
        words: String,
    },
    /// As [`ToSupervisor::Connections`], on their way to the next manager.
    Connections,
    /// The duty is this manager's from here on.
    Commit,
    /// Somebody waits at the control socket: only the acknowledgement is asked for.
    CallerWaits,
    /// A line of the supervisor's own, which is on its standard error already: for the engine's log.
    Said {
        /// `warn`.
        level: String,
        /// In words.
        text: String,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ToSupervisor {
    /// As JSON.
    ///
    /// # Errors
    /// When serialization fails, which only a bug can cause.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(Error::new("encode a record to the supervisor"))
    }

    /// From JSON.
    ///
    /// # Errors
    /// When the bytes are no record of this protocol.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(Error::new("decode a record to the supervisor"))
    }
}

impl Numbered {
    /// As JSON.
    ///
    /// # Errors
    /// When serialization fails, which only a bug can cause.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(Error::new("encode a record to the manager"))
    }

    /// From JSON.
    ///
    /// # Errors
    /// When the bytes are no record of this protocol.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(Error::new("decode a record to the manager"))
    }
}
