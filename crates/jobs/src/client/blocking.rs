//! The client for programs without a runtime.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use super::{ClientError, Filter, Info, Job, Place};
use crate::address::Address;

/// A client that blocks its caller until there is an answer. It can be cloned, and used by any number of threads.
///
/// Its connections live in a thread of its own, so it works inside of a runtime as well, where it blocks the thread that
/// calls it. Dropping it waits for nothing.
///
/// # Examples
/// ```no_run
/// # fn f() -> Result<(), evercrew_jobs::ClientError> {
/// let client = evercrew_jobs::blocking::Client::from_environment()?;
/// client.push(evercrew_jobs::Job::new("SendMail", ("ada@example.com",)))?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    client: super::Client,
    home: Arc<Home>,
}

/// Where the connections live.
#[derive(Debug)]
struct Home {
    runtime: Option<Runtime>,
}

impl Drop for Home {
    fn drop(&mut self) {
        // Dropping a runtime waits for it, and panics inside of another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Client {
    /// A client of the server at this address. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ClientError::NoRuntime`], when no thread can be made.
    pub fn new(address: Address) -> Result<Self, ClientError> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("jobs-client").enable_io().enable_time();
        let runtime = builder.build().map_err(|_| ClientError::NoRuntime)?;
        Ok(Self { client: super::Client::new(address), home: Arc::new(Home { runtime: Some(runtime) }) })
    }

    /// A client of the server that the environment names, as [`super::Client::from_environment`] does.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn from_environment() -> Result<Self, ClientError> {
        Self::new(Address::from_environment().map_err(ClientError::Address)?)
    }

    /// A client of the server with this URL.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn from_url(url: &str) -> Result<Self, ClientError> {
        Self::new(Address::parse(url).map_err(ClientError::Address)?)
    }

    /// Pushes a job.
    ///
    /// # Errors
    /// [`ClientError`], as of [`super::Client::push`].
    pub fn push(&self, job: Job) -> Result<(), ClientError> {
        self.wait(|client| async move { client.push(job).await })
    }

    /// Pushes many jobs; gives those that were refused, by name, and why.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn push_many(&self, jobs: Vec<Job>) -> Result<Vec<(String, String)>, ClientError> {
        self.wait(|client| async move { client.push_many(jobs).await })
    }

    /// How the server stands.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn info(&self) -> Result<Info, ClientError> {
        self.wait(|client| async move { client.info().await })
    }

    /// Puts these jobs of a set into their queues.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn requeue(&self, place: Place, filter: Filter) -> Result<(), ClientError> {
        self.wait(|client| async move { client.requeue(place, filter).await })
    }

    /// Waits for anything else that the client can do.
    ///
    /// # Errors
    /// Those of what is done, and [`ClientError::NoRuntime`].
    pub fn wait<T, F>(&self, work: impl FnOnce(super::Client) -> F) -> Result<T, ClientError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ClientError>> + Send + 'static,
    {
        let Some(runtime) = &self.home.runtime else { return Err(ClientError::NoRuntime) };
        // A runtime's own way to wait refuses to be used inside of another one.
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let work = work(self.client.clone());
        runtime.spawn(async move { drop(sender.send(work.await)) });
        receiver.recv().unwrap_or(Err(ClientError::NoRuntime))
    }
}
