//! What programs hold.

use std::fmt;

use evercrew_core::work::Settings;
use tokio::sync::mpsc;

use super::builder::Builder;
use super::driver::{Driver, Message, Order, Stopping};
use super::errors::{Report, WorkerError};
use super::handlers::Handlers;
use super::link::Route;
use super::runs::Runs;
use super::talk::Voice;
use crate::client::Client;

/// A worker: fetches jobs from a queue server and runs them, until it is to stop.
///
/// # Examples
/// ```no_run
/// use evercrew_jobs::{Context, Failure, Worker};
/// async fn send_mail(_: Context, (to,): (String,)) -> Result<(), Failure> {
///     println!("to {to}");
///     Ok(())
/// }
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let worker = Worker::builder().handler("SendMail", send_mail).queues(["mail"]).concurrency(20).build()?;
/// let report = worker.run_to_completion().await?;
/// println!("{} jobs done", report.done);
/// # Ok(()) }
/// ```
pub struct Worker {
    pub(crate) settings: Settings,
    pub(crate) route: Route,
    pub(crate) voice: Voice,
    pub(crate) handlers: Handlers,
    pub(crate) client: Client,
    pub(crate) stop: Option<Stopping>,
    pub(crate) channel: (mpsc::UnboundedSender<Message>, mpsc::UnboundedReceiver<Message>),
}

impl Worker {
    /// Begins a worker.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A way to tell the worker something while it runs.
    pub fn remote(&self) -> Remote {
        Remote(self.channel.0.clone())
    }

    /// The name by which the server knows this worker.
    pub fn wid(&self) -> &str {
        &self.voice.wid
    }

    /// Works until it is to stop: by its stop future, its [`Remote`], or the server. What then runs may end within the
    /// grace and is told to the server; see [`Builder::grace`].
    ///
    /// A server that cannot be reached, or goes away, is waited for. Dropping what this returns lets running jobs go; the
    /// server has them back when their reservation, or this worker's silence, is over.
    ///
    /// # Errors
    /// [`WorkerError::Denied`].
    pub async fn run(mut self) -> Result<Report, WorkerError> {
        let stop = self.stop.take();
        self.driver().run(stop).await
    }

    /// Runs one job, and waits until the server has its result. Without one, it waits as long as one fetch does.
    ///
    /// # Errors
    /// [`WorkerError::Denied`].
    pub async fn run_one(mut self) -> Result<Report, WorkerError> {
        self.settings.most_jobs = Some(1);
        self.settings.until_empty = true;
        self.run().await
    }

    /// As [`Worker::run`], and stops at SIGTERM and SIGINT; a second one ends it at once. SIGTSTP has it fetch nothing,
    /// SIGCONT go on.
    ///
    /// # Errors
    /// [`WorkerError`], also when signals cannot be watched.
    pub async fn run_to_completion(self) -> Result<Report, WorkerError> {
        let signals = super::signals::watch(self.remote()).map_err(|error| WorkerError::Settings(error.to_string()))?;
        tokio::select! {
            result = self.run() => result,
            never = signals => match never {},
        }
    }

    fn driver(self) -> Driver {
        let runs = Runs::new(self.handlers, self.client, self.channel.0.clone());
        Driver::new(self.settings, self.route, self.voice, runs, self.channel)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({} at {}, {:?})", self.voice.wid, self.route.address, self.handlers)
    }
}

/// Tells a worker something while it runs. A worker that has ended hears nothing.
#[derive(Clone, Debug)]
pub struct Remote(mpsc::UnboundedSender<Message>);

impl Remote {
    /// Finish what is begun, then end.
    pub fn stop(&self) {
        self.tell(Order::Stop);
    }

    /// End at once: running jobs are told as failed.
    pub fn stop_at_once(&self) {
        self.tell(Order::StopAtOnce);
    }

    /// Fetch nothing until told otherwise.
    pub fn pause(&self) {
        self.tell(Order::Pause);
    }

    /// Fetch again.
    pub fn resume(&self) {
        self.tell(Order::Resume);
    }

    fn tell(&self, order: Order) {
        let _ = self.0.send(Message::Order(order));
    }
}
