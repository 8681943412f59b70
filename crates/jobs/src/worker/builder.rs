//! How a worker is begun.

use std::any::{Any, TypeId};
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::work::Settings;
use evercrew_wire::faktory::check_queue;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::context::Context;
use super::driver::Stopping;
use super::errors::WorkerError;
use super::handler::{self, Perform, Performer};
use super::handlers::{Handlers, Stack};
use super::link::Route;
use super::middleware::Middleware;
use super::talk::Voice;
use super::worker::Worker;
use crate::address::Address;
use crate::client::Client;
use crate::dial::{self, Identity};
use crate::plain::new_jid;

/// Most jobs that one worker runs at once.
const MOST_SLOTS: u32 = 10_000;
/// Most queues of one worker.
const MOST_QUEUES: usize = 256;

/// How a worker is begun: its handlers, its queues, and how it stops.
#[derive(Default)]
pub struct Builder {
    stack: Stack,
    settings: Settings,
    queues: Vec<String>,
    weights: Option<Vec<u32>>,
    address: Option<Address>,
    url: Option<String>,
    wid: Option<String>,
    hostname: Option<String>,
    labels: Vec<String>,
    stop: Option<Stopping>,
}

impl Builder {
    /// Runs jobs of this type by an async function of the job and its arguments, which are read from their array: a
    /// tuple, a list, or anything else that serde reads from one.
    #[must_use]
    pub fn handler<F, A, R, E>(mut self, kind: impl Into<String>, function: F) -> Self
    where
        F: Fn(Context, A) -> R + Send + Sync + 'static,
        A: DeserializeOwned,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.stack.by_kind.insert(kind.into(), handler::typed(function));
        self
    }

    /// Runs jobs of this type by an async function of the job alone; [`Context::raw_args`] has its arguments.
    #[must_use]
    pub fn raw_handler<F, R, E>(mut self, kind: impl Into<String>, function: F) -> Self
    where
        F: Fn(Context) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.stack.by_kind.insert(kind.into(), handler::raw(function));
        self
    }

    /// Runs jobs of this type by a function that blocks: each one has a thread of its own, in which
    /// `tokio::runtime::Handle::current()` is that of the worker.
    #[must_use]
    pub fn blocking_handler<F, A, E>(mut self, kind: impl Into<String>, function: F) -> Self
    where
        F: Fn(Context, A) -> Result<(), E> + Send + Sync + 'static,
        A: DeserializeOwned,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.stack.by_kind.insert(kind.into(), handler::blocking(function));
        self
    }

    /// Runs jobs of this type by a value with fields of its own.
    #[must_use]
    pub fn performer(mut self, kind: impl Into<String>, performer: impl Perform) -> Self {
        self.stack.by_kind.insert(kind.into(), Arc::new(Performer(performer)));
        self
    }

    /// Runs jobs of all other types; without it they fail with the type `NoHandler`.
    #[must_use]
    pub fn fallback<F, R, E>(mut self, function: F) -> Self
    where
        F: Fn(Context) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.stack.fallback = Some(handler::raw(function));
        self
    }

    /// Puts something around every job; what was added first sees it first.
    #[must_use]
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.stack.middleware.push(Arc::new(middleware));
        self
    }

    /// Shares a value with all handlers, which find it by its type: [`Context::state`].
    #[must_use]
    pub fn state<T: Any + Send + Sync>(mut self, state: T) -> Self {
        self.stack.states.insert(TypeId::of::<T>(), Arc::new(state));
        self
    }

    /// The queues to fetch from: a later one only when all before it are empty. `default` without.
    #[must_use]
    pub fn queues<S: Into<String>>(mut self, queues: impl IntoIterator<Item = S>) -> Self {
        self.queues = queues.into_iter().map(Into::into).collect();
        self.weights = None;
        self
    }

    /// The queues to fetch from, each as often the first one as its weight says, so that none starves.
    #[must_use]
    pub fn weighted_queues<S: Into<String>>(mut self, queues: impl IntoIterator<Item = (S, u32)>) -> Self {
        let (names, weights) = queues.into_iter().map(|(queue, weight)| (queue.into(), weight)).unzip();
        (self.queues, self.weights) = (names, Some(weights));
        self
    }

    /// How many jobs run at once; 10 without.
    #[must_use]
    pub fn concurrency(mut self, slots: u32) -> Self {
        self.settings.slots = slots;
        self
    }

    /// How many jobs are fetched beyond those that run; none without. They wait here while others may be idle.
    #[must_use]
    pub fn prefetch(mut self, jobs: u32) -> Self {
        self.settings.prefetch = jobs;
        self
    }

    /// How long running jobs may go on when the worker stops; 25 s without.
    #[must_use]
    pub fn grace(mut self, time: Duration) -> Self {
        self.settings.grace = time;
        self
    }

    /// How long they may go on after their token told them to end; 5 s without.
    #[must_use]
    pub fn last_words(mut self, time: Duration) -> Self {
        self.settings.last_words = time;
        self
    }

    /// How long a connection may take to open, its login included; 2 s without.
    #[must_use]
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.settings.open_patience = time;
        self
    }

    /// Stops the worker when this future ends.
    #[must_use]
    pub fn stop_when(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Some(Box::pin(stop));
        self
    }

    /// Where the server is; the environment tells without: FAKTORY_PROVIDER or FAKTORY_URL.
    #[must_use]
    pub fn address(mut self, address: Address) -> Self {
        self.address = Some(address);
        self
    }

    /// Where the server is: `tcp://:password@host:port`.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// The name by which the server knows this worker, of at least 8 characters and no other worker's; drawn without.
    #[must_use]
    pub fn wid(mut self, wid: impl Into<String>) -> Self {
        self.wid = Some(wid.into());
        self
    }

    /// The name of this machine; the kernel tells without.
    #[must_use]
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = Some(hostname.into());
        self
    }

    /// Words by which people tell workers apart.
    #[must_use]
    pub fn labels<S: Into<String>>(mut self, labels: impl IntoIterator<Item = S>) -> Self {
        self.labels = labels.into_iter().map(Into::into).collect();
        self
    }

    /// Only the handlers with what stands around them, for [`Client::inline`].
    pub fn handlers(self) -> Handlers {
        Handlers::new(self.stack)
    }

    /// The worker. Nothing is connected yet.
    ///
    /// # Errors
    /// [`WorkerError::Address`] and [`WorkerError::Settings`].
    pub fn build(self) -> Result<Worker, WorkerError> {
        let settings = |why: String| WorkerError::Settings(why);
        let handlers = Handlers::new(self.stack);
        if handlers.is_empty() {
            return Err(settings("it has no handler: add one with `handler`, or a `fallback`".to_owned()));
        }
        if self.settings.slots == 0 || self.settings.slots > MOST_SLOTS {
            return Err(settings(format!("its concurrency is a number from 1 to {MOST_SLOTS}")));
        }
        let queues = if self.queues.is_empty() { vec!["default".to_owned()] } else { self.queues };
        if queues.len() > MOST_QUEUES {
            return Err(settings(format!("it has at most {MOST_QUEUES} queues")));
        }
        queues
            .iter()
            .try_for_each(|queue| check_queue(queue))
            .map_err(|refused| settings(refused.text.into_owned()))?;
        let address = match (self.address, self.url) {
            (Some(address), _) => address,
            (None, Some(url)) => Address::parse(&url).map_err(WorkerError::Address)?,
            (None, None) => Address::from_environment().map_err(WorkerError::Address)?,
        };
        let drawn = || new_jid().map_err(|error| WorkerError::Settings(error.to_string()));
        let seed = u64::from_str_radix(&drawn()?[..16], 16).unwrap_or(0);
        let wid = self.wid.map_or_else(drawn, Ok)?;
        if wid.len() < 8 {
            return Err(settings(format!("its name has at least 8 characters, `{wid}` has {}", wid.len())));
        }
        let who = Identity {
            wid: Some(wid.clone()),
            hostname: self.hostname.unwrap_or_else(dial::hostname),
            labels: self.labels,
        };
        Ok(Worker {
            settings: Settings { weights: self.weights, seed, ..self.settings },
            client: Client::new(address.clone()),
            route: Route { address, who },
            voice: Voice { wid, queues },
            handlers,
            stop: self.stop,
            channel: mpsc::unbounded_channel(),
        })
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Builder({:?}, {:?})", self.queues, self.settings)
    }
}
