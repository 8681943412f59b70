//! What a configuration means.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use evercrew_core::Level;
use evercrew_core::fleet::{EndWhen, Policy};
use evercrew_core::operator::Preset;

use crate::error::Problem;
use crate::places::Places;
use crate::queue::Queue;

/// Everything a configuration says, checked, with every default filled in and every path absolute.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The engine itself.
    pub engine: Engine,
    /// What becomes of lines: the engine's own, and by default the workers'.
    pub log: Log,
    /// Who may use the control socket.
    pub control: Control,
    /// Where metrics are served.
    pub metrics: Metrics,
    /// The sockets, in the order of the file.
    pub listeners: Vec<Listener>,
    /// The services, in the order of the file and then that of the queue server; `ServiceId(n)` is the one at index n.
    pub services: Vec<Service>,
    /// The queue server; it is among the services, and its listener among the listeners.
    pub queue: Option<Queue>,
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
    pub exit: EndWhen,
    /// How long the supervisor waits before it starts a manager again that died.
    pub manager_restart_wait: Duration,
    /// The file that the supervisor writes its pid to. Absolute.
    pub pid_file: Option<PathBuf>,
    /// What signals to the engine mean.
    pub signals: Preset,
    /// The user that manager and logger run as, and workers of services without one; `None` is who starts the engine.
    pub user: Option<String>,
    /// The group likewise; `None` is the user's own.
    pub group: Option<String>,
    /// Permissions that files of manager and logger are made without.
    pub umask: Option<u32>,
}

/// `[control]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Whose members may use the control socket.
    pub group: Option<String>,
    /// Those of them who may do everything.
    pub admins: Vec<String>,
    /// Those of them who may only look.
    pub viewers: Vec<String>,
}

/// `[metrics]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Where they are served.
    pub listen: Option<Address>,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where the files are. Absolute.
    pub directory: PathBuf,
    /// What the engine says of itself at least.
    pub level: Level,
    /// What becomes of the engine's own lines, and of those of services that do not say.
    pub style: LogStyle,
}

/// What becomes of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogStyle {
    /// Which files there are.
    pub files: LogFiles,
    /// How a line stands in a file.
    pub format: LogFormat,
    /// Bytes at which a new file is begun.
    pub max_size: u64,
    /// Age at which a new file is begun; `None` is never.
    pub max_age: Option<Duration>,
    /// Files kept beside the one that is written.
    pub keep: u32,
    /// Whether those are compressed.
    pub compress: bool,
    /// Whether lines go to standard output too.
    pub terminal: bool,
}

/// Which log files there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFiles {
    /// One for each worker.
    Worker,
    /// One for each service.
    Service,
    /// None.
    None,
}

/// How a line stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, worker, stream and text.
    Text,
    /// An object a line.
    Json,
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
    /// Whether the workers share one queue.
    pub mode: ListenMode,
    /// Whether the socket is non-blocking, for all that share it.
    pub nonblocking: bool,
}

impl Listener {
    /// How many sockets it is, each with a queue of its own. It never depends on anything that may change while workers
    /// run: a queue that only some of them have could be left without one.
    pub fn queues(&self) -> usize {
        match self.mode {
            ListenMode::Shared => 1,
            ListenMode::ReusePort => 4,
        }
    }
}

/// How many queues of connections a listener has. Every worker takes from all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenMode {
    /// One.
    Shared,
    /// Four sockets on one address; the kernel spreads connections over them. TCP and builtin workers only.
    ReusePort,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix stream socket at an absolute path.
    Unix(PathBuf),
}

impl Address {
    /// As it is written in a file.
    pub fn text(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(path) => format!("unix:{}", path.display()),
        }
    }
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
    /// Variables added to the environment: those of `env_file`, and over them those of `env`.
    pub env: BTreeMap<String, String>,
    /// Inherit nothing from the engine's environment.
    pub clear_env: bool,
    /// Whether it takes words on a pipe of its own: the first descriptor after its listeners.
    pub command_pipe: bool,
    /// The user that workers run as, by name or number; `None` is the engine's own.
    pub user: Option<String>,
    /// The group that workers run as, by name or number; `None` is the user's own.
    pub group: Option<String>,
    /// Permissions that files of the workers are made without; `None` is the engine's own.
    pub umask: Option<u32>,
    /// What the workers may use.
    pub limits: Limits,
    /// PORT of slot 1; slot n gets `port + n - 1`.
    pub port: Option<u16>,
    /// Commands that run to success before the first worker of a generation, with programs as in
    /// [`Program::Command`].
    pub before_start: Vec<Vec<String>>,
    /// Memory, in bytes, at which a worker is replaced; shortened by `policy.recycle.jitter` as the age is.
    pub recycle_memory: Option<u64>,
    /// Requests after which a builtin worker is replaced; shortened likewise.
    pub recycle_requests: Option<u32>,
    /// What builtin workers are told of HTTP; what is `None` is left to them.
    pub http: Http,
    /// What becomes of the workers' output.
    pub log: LogStyle,
    /// How a worker says that it can work.
    pub ready: Ready,
    /// How often a worker is asked to beat; `Some` exactly when `policy.heartbeat` is.
    pub heartbeat_interval: Option<Duration>,
    /// Files below `directory` that `up --watch` looks at, as patterns; all if there are none.
    pub watch: Vec<String>,
    /// What the fleet decides by.
    pub policy: Policy,
}

/// Limits and deadlines of HTTP; the reference page tells what each means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Http {
    pub head_size: Option<u64>,
    pub target_size: Option<u64>,
    pub header_count: Option<u32>,
    pub body_size: Option<u64>,
    pub head_time: Option<Duration>,
    pub idle: Option<Duration>,
    pub body_rate: Option<u32>,
    pub body_grace: Option<Duration>,
    pub write_stall: Option<Duration>,
    pub requests: Option<u32>,
    pub connections: Option<u32>,
    pub per_address: Option<u32>,
    pub health_paths: Option<Vec<String>>,
    pub access_log: Option<String>,
    pub request_id: Option<bool>,
}

/// What the workers of a service may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Resource limits as (name, soft, hard), each name of [`Limits::NAMES`] at most once; `u64::MAX` is no limit.
    pub resources: Vec<(String, u64, u64)>,
    /// The nice value, -20 to 19.
    pub nice: Option<i32>,
    /// How gladly the kernel kills for want of memory, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Bytes of memory of a worker and its descendants together; over it the kernel kills one of them.
    pub memory: Option<u64>,
    /// Processes and threads of a worker, itself and its descendants included.
    pub pids: Option<u32>,
    /// Thousandths of a processor for a worker and its descendants together.
    pub cpus: Option<u32>,
}

/// What a worker runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// Program and arguments, never empty. A program with a `/` is absolute; one without is looked for on PATH.
    Command(Vec<String>),
    /// A worker of this name that is part of the program itself, one of [`Host::builtins`](crate::Host).
    Builtin(String),
    /// The queue server, as [`Settings::queue`] says.
    Queue,
}

/// How a worker says that it can work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Not at all: it counts as ready from exec on.
    Exec,
    /// READY=1 on NOTIFY_SOCKET.
    Notify,
    /// A newline on this descriptor.
    Fd(u16),
    /// A line of its output that this regular expression (of the crate `regex-lite`) is found in.
    Output(String),
    /// A TCP connection to its own port on 127.0.0.1 is accepted. Only with [`Service::port`].
    Connect,
    /// GET of this path on its own port on 127.0.0.1 is answered with 2xx or 3xx. Only with [`Service::port`].
    Http(String),
}

impl Limits {
    /// The names of `resources`: those of `setrlimit(2)` in lower case.
    pub const NAMES: &'static [&'static str] = &[
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "memlock",
        "msgqueue",
        "nofile",
        "nproc",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];

    /// The (soft, hard) limit of the resource with this name.
    pub fn resource(&self, name: &str) -> Option<(u64, u64)> {
        self.resources.iter().find(|(known, _, _)| known == name).map(|(_, soft, hard)| (*soft, *hard))
    }
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
