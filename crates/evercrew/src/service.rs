//! What a server is made of.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use evercrew_worker::{self as worker, App, BoxError, Connection, Context, HttpOptions, Life, Tower};

use crate::hooks::{Observe, Prepare};
use crate::observer::Event;
use crate::toml;

/// What a worker does, within what stands around it; gives the exit code of its process.
pub(crate) type Work = Arc<dyn Fn(Life) -> u8 + Send + Sync>;
type Initialize = Arc<dyn Fn(&Context) -> Result<(), BoxError> + Send + Sync>;
type Hook = Arc<dyn Fn() + Send + Sync>;
type AtEnd = Arc<dyn Fn(&Context) + Send + Sync>;

/// Behind a service's name: the process that prepares for its workers.
pub(crate) const BEFORE_FORK: &str = ".before_fork";

/// A set of equal workers.
///
/// The methods of this type are the keys of a service in a configuration that programs need most; [`set`](Self::set)
/// is every other one.
#[derive(Clone)]
pub struct Service {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) listeners: Option<Vec<String>>,
    pub(crate) threads: usize,
    /// Keys and values as TOML.
    pub(crate) keys: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    /// Services that it starts after.
    pub(crate) after: Vec<String>,
    pub(crate) before_fork: Option<Prepare>,
    pub(crate) after_start: Option<Observe>,
    initialize: Option<Initialize>,
    reload: Option<Hook>,
    at_end: Option<AtEnd>,
}

/// Where the workers' program comes from.
#[derive(Clone)]
pub(crate) enum Kind {
    /// This one.
    Own {
        work: Work,
        /// Whether it is of no use without a listener.
        listens: bool,
        /// Whether it can be run by several threads.
        threads: bool,
    },
    /// Another one.
    Foreign(Vec<String>),
}

/// Workers that answer HTTP/1.1 with a service of tower, like `axum::Router`. `app` is called once in each worker, and
/// once for each of its threads.
///
/// ```
/// use axum::{Router, routing::get};
///
/// let service = evercrew::http("web", || Router::new().route("/", get(|| async { "hello" }))).workers(4);
/// ```
pub fn http<S>(name: impl Into<String>, app: impl Fn() -> S + Send + Sync + 'static) -> Service
where
    Tower<S>: App + Sync,
{
    http_with(name, HttpOptions::default(), move |_| app())
}

/// [`http`] with limits and deadlines of its own, and an app that knows its worker.
///
/// ```
/// use axum::{Router, routing::get};
/// use evercrew::HttpOptions;
///
/// let options = HttpOptions { body_size: Some(1024 * 1024), ..HttpOptions::default() };
/// let service = evercrew::http_with("web", options, |context| {
///     let name = context.identity().name.clone();
///     Router::new().route("/", get(move || async move { name }))
/// });
/// ```
pub fn http_with<S>(
    name: impl Into<String>,
    options: HttpOptions,
    app: impl Fn(&Context) -> S + Send + Sync + 'static,
) -> Service
where
    Tower<S>: App + Sync,
{
    let app = Arc::new(app);
    let work = move |life| {
        let app = Arc::clone(&app);
        worker::serve_http(life, options.clone(), move |context| Tower(app(context)))
    };
    Service::own(name, true, true, work)
}

/// Workers that give each connection to a task: the plain accept loop, for any protocol. On a stop nothing new is
/// accepted; [`Connection::draining`] tells a task to finish, and what is left 25 s later is cut.
///
/// ```
/// use tokio::io::AsyncWriteExt;
///
/// let service = evercrew::connections("time", |mut connection, context| async move {
///     // A client that is gone needs no answer.
///     let _ = connection.write_all(context.identity().name.as_bytes()).await;
/// });
/// ```
pub fn connections<F>(
    name: impl Into<String>,
    handle: impl Fn(Connection, Context) -> F + Clone + Send + Sync + 'static,
) -> Service
where
    F: Future<Output = ()> + Send + 'static,
{
    Service::own(name, true, true, move |life| worker::serve_connections(life, handle.clone()))
}

/// Workers that run a function of the program until it returns: 0 is the exit code for `Ok`, 1 for an error. It should
/// return soon after [`Context::stop`] is set, and call [`Context::progress`] or [`Context::wait_for_set`] more often
/// than the heartbeat's timeout.
///
/// ```
/// use std::time::Duration;
///
/// let service = evercrew::custom("sweeper", |context| {
///     while !context.wait_for_set(Duration::from_secs(60)) {
///         // Sweep.
///     }
///     Ok(())
/// });
/// ```
pub fn custom(
    name: impl Into<String>,
    run: impl Fn(Context) -> Result<(), BoxError> + Send + Sync + 'static,
) -> Service {
    let run = Arc::new(run);
    Service::own(name, false, true, move |life| {
        let run = Arc::clone(&run);
        worker::run(life, move |context| run(context))
    })
}

/// [`custom`] for a task, which runs on a runtime of one thread. That beats by itself, as long as nothing blocks it.
///
/// ```
/// let service = evercrew::task("waiter", |context| async move {
///     context.stop().wait().await;
///     Ok(())
/// });
/// ```
pub fn task<F>(name: impl Into<String>, task: impl Fn(Context) -> F + Send + Sync + 'static) -> Service
where
    F: Future<Output = Result<(), BoxError>> + 'static,
{
    let task = Arc::new(task);
    Service::own(name, false, false, move |life| {
        let task = Arc::clone(&task);
        worker::run_task(life, move |context| task(context))
    })
}

/// Workers that run another program, never by a shell.
///
/// ```
/// let service = evercrew::command("ticker", ["sh", "-c", "while sleep 1; do date; done"]);
/// ```
pub fn command<T: Into<String>>(name: impl Into<String>, command: impl IntoIterator<Item = T>) -> Service {
    Service::new(name, Kind::Foreign(command.into_iter().map(Into::into).collect()))
}

impl Service {
    fn own(
        name: impl Into<String>,
        listens: bool,
        threads: bool,
        work: impl Fn(Life) -> u8 + Send + Sync + 'static,
    ) -> Self {
        // Words, questions and answers come and go on it.
        Self::new(name, Kind::Own { work: Arc::new(work), listens, threads }).set("command_pipe", "true")
    }

    fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            kind,
            listeners: None,
            threads: 1,
            keys: BTreeMap::new(),
            env: BTreeMap::new(),
            after: Vec::new(),
            before_fork: None,
            after_start: None,
            initialize: None,
            reload: None,
            at_end: None,
        }
    }

    /// How many processes. 1.
    #[must_use]
    pub fn workers(self, workers: u32) -> Self {
        self.set("workers", workers.to_string())
    }

    /// How many threads each process serves with, each with a runtime of its own. 1. A thread that is stuck is found, and
    /// its whole process replaced.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// On which listeners, by their names. Otherwise it is the one of the service's own name, or the only one.
    #[must_use]
    pub fn on<T: Into<String>>(mut self, listeners: impl IntoIterator<Item = T>) -> Self {
        self.listeners = Some(listeners.into_iter().map(Into::into).collect());
        self
    }

    /// A variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Starts when these services are ready, and stops before them.
    #[must_use]
    pub fn after<T: AsRef<str>>(mut self, services: impl IntoIterator<Item = T>) -> Self {
        self.after = services.into_iter().map(|service| service.as_ref().to_owned()).collect();
        self
    }

    /// How long a worker may take to stop before it is killed. 30 s.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        let grace = toml::duration(grace);
        self.set("stop", format!("{{ signal = \"TERM\", grace = {grace}, then = \"KILL\" }}"))
    }

    /// How often a worker has to show that it comes on, and after which silence it is killed. 5 s and 30 s.
    #[must_use]
    pub fn heartbeat(self, interval: Duration, timeout: Duration) -> Self {
        let (interval, timeout) = (toml::duration(interval), toml::duration(timeout));
        self.set("heartbeat", format!("{{ interval = {interval}, timeout = {timeout} }}"))
    }

    /// After how many requests a worker is replaced, half of it more or less, differently for each.
    #[must_use]
    pub fn recycle_requests(self, requests: u32) -> Self {
        self.set("recycle", format!("{{ requests = {requests}, jitter = 0.5 }}"))
    }

    /// Any key of a service, as the configuration reference has it, with its value as TOML: `.set("nice", "5")`.
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.keys.insert(key.into(), value.into());
        self
    }

    /// Runs to success before the first worker of each version of this service, at a start, a rollout and a reload that
    /// changes it, in a process of its own: migrations, or files that all workers need. What fails here is tried again,
    /// or stops the rollout; what serves goes on.
    #[must_use]
    pub fn before_fork(mut self, hook: impl Fn() -> Result<(), BoxError> + Send + Sync + 'static) -> Self {
        self.before_fork = Some(Arc::new(hook));
        self
    }

    /// Runs each time a worker of this service has been started and is ready, in the process that
    /// [observes](crate::Builder::on_event), with that event.
    #[must_use]
    pub fn after_start(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.after_start = Some(Arc::new(hook));
        self
    }

    /// Runs once in each process, before it is ready and before it has another thread: connections and caches that the
    /// work needs. What fails here ends the process with 1.
    #[must_use]
    pub fn initialize(mut self, hook: impl Fn(&Context) -> Result<(), BoxError> + Send + Sync + 'static) -> Self {
        self.initialize = Some(Arc::new(hook));
        self
    }

    /// Runs in each process when it is asked to reload, in a thread that serves nobody.
    #[must_use]
    pub fn on_reload(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.reload = Some(Arc::new(hook));
        self
    }

    /// Runs in each process after its work has ended.
    #[must_use]
    pub fn at_end(mut self, hook: impl Fn(&Context) + Send + Sync + 'static) -> Self {
        self.at_end = Some(Arc::new(hook));
        self
    }

    /// Runs this service in this process, as a worker of whoever started it, by the conventions of LISTEN_FDS and
    /// NOTIFY_SOCKET: another engine, or systemd. Gives the exit code of the process: 0 after a stop that was asked for, 78
    /// when it was started wrongly or is a foreign program, 1 when something failed.
    ///
    /// Call it on the main thread, before there are others: it takes the inherited descriptors and blocks all signals.
    pub fn serve(self) -> u8 {
        match self.kind.clone() {
            Kind::Own { work, .. } => work(self.life()),
            Kind::Foreign(_) => 78,
        }
    }

    /// What stands around the work in one process.
    pub(crate) fn life(&self) -> Life {
        let (initialize, reload, at_end) = (self.initialize.clone(), self.reload.clone(), self.at_end.clone());
        Life {
            threads: self.threads,
            initialize: initialize.map(|hook| Box::new(move |context: &Context| hook(context)) as Box<_>),
            reload: reload.map(|hook| Box::new(move || hook()) as Box<_>),
            end: at_end.map(|hook| Box::new(move |context: &Context| hook(context)) as Box<_>),
            guest: None,
        }
    }

    /// As a table of a configuration.
    pub(crate) fn table(&self, listeners: &[String]) -> String {
        let mut table = format!("[service.{}]\n", toml::string(&self.name));
        let mut put = |key: &str, value: &str| table.push_str(&format!("{key} = {value}\n"));
        match &self.kind {
            Kind::Own { .. } => put("builtin", &toml::string(&self.name)),
            Kind::Foreign(command) => put("command", &toml::strings(command)),
        }
        if !listeners.is_empty() {
            put("listen", &toml::strings(listeners));
        }
        if !self.after.is_empty() {
            put("after", &toml::strings(&self.after));
        }
        if self.before_fork.is_some() {
            put("before_start", &format!("[[{}]]", toml::string(&format!("builtin:{}{BEFORE_FORK}", self.name))));
        }
        for (key, value) in &self.keys {
            put(key, value);
        }
        if !self.env.is_empty() {
            let variables =
                self.env.iter().map(|(name, value)| format!("{} = {}", toml::string(name), toml::string(value)));
            put("env", &format!("{{ {} }}", variables.collect::<Vec<_>>().join(", ")));
        }
        table
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.name).field("keys", &self.keys).finish_non_exhaustive()
    }
}
