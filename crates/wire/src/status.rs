//! How things stand: the content of the reply to `status`.

use serde::{Deserialize, Serialize};

/// The engine with its services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// The engine's version.
    pub version: String,
    /// The outermost process.
    pub supervisor: Supervisor,
    /// The process that decides.
    pub manager: Manager,
    /// Of the configuration in force.
    pub revision: u64,
    /// The engine's directory.
    #[serde(default)]
    pub directory: String,
    /// Where services listen.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// The directory of the workers' output.
    #[serde(default)]
    pub logs: String,
    /// The services that were asked for, or all.
    pub services: Vec<Service>,
}

/// The outermost process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Supervisor {
    /// Its pid, in its own pid namespace.
    pub pid: u32,
}

/// The process that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manager {
    /// Its pid.
    pub pid: u32,
    /// How many managers there were since `up`, it included.
    pub generation: u64,
}

/// A socket that services listen on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// `127.0.0.1:8080` or `unix:PATH`.
    pub address: String,
    /// The services that use it.
    pub services: Vec<String>,
}

/// A service with its workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Service {
    /// Its name.
    pub name: String,
    /// `starting`, `ready`, `degraded`, `failed`, `stopping`, `stopped` or `finished`.
    pub state: String,
    /// Workers that are wanted.
    pub wanted: u32,
    /// Workers that are ready.
    pub ready: u32,
    /// Whether a rollout runs.
    #[serde(default)]
    pub rolling: bool,
    /// The version of the configuration that new workers run.
    #[serde(default)]
    pub revision: u64,
    /// How far a rollout is.
    #[serde(default)]
    pub rollout: Option<Rollout>,
    /// One entry for each process, and one for each wanted slot without one.
    pub workers: Vec<Worker>,
}

/// How far a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rollout {
    /// Slots that are done.
    pub done: u32,
    /// Of so many.
    pub total: u32,
    /// Whether it waits to be resumed.
    pub paused: bool,
}

/// A worker, or a slot without one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Worker {
    /// Its numbered place.
    pub slot: u32,
    /// `web.1`.
    pub name: String,
    /// Its process; `None` where there is none.
    pub pid: Option<u32>,
    /// How many processes its slot had.
    pub generation: u64,
    /// The version of the configuration it runs.
    #[serde(default)]
    pub revision: u64,
    /// `starting`, `ready`, `draining`, `stopping`, `backoff`, `failed` or `stopped`.
    pub state: String,
    /// Since when it is in that state: RFC 3339, UTC.
    pub since: String,
    /// How long its process runs.
    pub uptime_seconds: Option<f64>,
    /// Unplanned restarts of its slot.
    pub restarts: u64,
    /// Resident memory.
    pub memory_bytes: Option<u64>,
    /// Of one processor, since the last look.
    pub cpu_percent: Option<f64>,
    /// How the process before it ended.
    pub last_exit: Option<LastExit>,
    /// What it said of itself (`STATUS=`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LastExit {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it: `SIGKILL`.
    pub signal: Option<String>,
    /// Why: `unasked`, `heartbeat`, `rollout`, …
    pub reason: String,
    /// When: RFC 3339, UTC.
    pub at: String,
}
