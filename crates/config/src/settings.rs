//! What a configuration means.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use evercrew_core::fleet::Policy;

use crate::error::Problem;
use crate::places::Places;

/// Everything a configuration says, checked, with every default filled in and every path absolute.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The engine itself.
    pub engine: Engine,
    /// The sockets, in the order of the file.
    pub listeners: Vec<Listener>,
    /// The services, in the order of the file; `ServiceId(n)` is the one at index n.
    pub services: Vec<Service>,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Warning>,
    /// Where things stand in the text; equal for all, as a moved line changes no meaning.
    pub(crate) places: Places,
}

/// Something that is allowed but probably not meant.
pub type Warning = Problem;

/// `[engine]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Where the control socket, the lock, the state and the logs are. Absolute.
    pub directory: PathBuf,
    /// When the engine ends by itself.
    pub exit: Exit,
}

/// When the engine ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Only when it is told to.
    Never,
    /// When every service has finished.
    AllDone,
    /// When a service has failed.
    AnyFailed,
}

/// `[listen.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: Address,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix stream socket at an absolute path.
    Unix(PathBuf),
}

/// `[service.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// What its workers run.
    pub program: Program,
    /// The listeners handed to each worker, as descriptors 3, 4, …
    pub listen: Vec<String>,
    /// The workers' working directory. Absolute.
    pub directory: PathBuf,
    /// Variables added to the environment.
    pub env: BTreeMap<String, String>,
    /// Inherit nothing from the engine's environment.
    pub clear_env: bool,
    /// How a worker says that it can work.
    pub ready: Ready,
    /// How often a worker is asked to beat; `Some` exactly when `policy.heartbeat` is.
    pub heartbeat_interval: Option<Duration>,
    /// What the fleet decides by.
    pub policy: Policy,
}

/// What a worker runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// Program and arguments, never empty. A program with a `/` is absolute; one without is looked for on PATH.
    Command(Vec<String>),
    /// A worker that is part of the engine's own binary.
    Builtin(Builtin),
}

/// A worker that is part of the engine's own binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// An HTTP server that greets.
    Hello,
}

/// How a worker says that it can work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Not at all: it counts as ready from exec on.
    Exec,
    /// READY=1 on NOTIFY_SOCKET.
    Notify,
    /// A newline on this descriptor.
    Fd(u16),
}

impl Settings {
    /// The service with this name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// The listener with this name.
    pub fn listener(&self, name: &str) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.name == name)
    }
}
