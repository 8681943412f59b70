//! What a handler knows.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evercrew_core::work::RunId;
use evercrew_wire::faktory::{Delivery, stamp};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::driver::Message;
use super::failure::Failure;
use super::token::Token;
use crate::client::{Client, ClientError, Progress};

/// What the program shares with its handlers, by type.
pub(crate) type States = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// What a handler knows: the job, whether it is to end, and what the program shares. Cloning it costs little.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    job: Delivery,
    token: Token,
    states: Arc<States>,
    client: Client,
    /// Where the worker hears of an extension; nowhere when the job was run without one.
    run: Option<(RunId, mpsc::UnboundedSender<Message>)>,
    begun: Instant,
}

impl Context {
    pub(crate) fn new(
        job: Delivery,
        token: Token,
        states: Arc<States>,
        client: Client,
        run: Option<(RunId, mpsc::UnboundedSender<Message>)>,
    ) -> Self {
        Self(Arc::new(Inner { job, token, states, client, run, begun: Instant::now() }))
    }

    /// The job's name.
    pub fn jid(&self) -> &str {
        &self.0.job.jid
    }

    /// The job's type.
    pub fn kind(&self) -> &str {
        &self.0.job.kind
    }

    /// The queue it came from.
    pub fn queue(&self) -> &str {
        &self.0.job.queue
    }

    /// Which attempt this is, as the server counts: the first one is 1.
    pub fn attempt(&self) -> u32 {
        self.0.job.failures.saturating_add(1)
    }

    /// The arguments as they were pushed, byte for byte: an array of JSON.
    pub fn raw_args(&self) -> &str {
        self.0.job.args.get()
    }

    /// The arguments, read.
    ///
    /// # Errors
    /// A failure of the type `Arguments` that says what is wrong with them.
    pub fn args<A: DeserializeOwned>(&self) -> Result<A, Failure> {
        let read = serde_json::from_str(self.raw_args());
        // No arguments are read as `()` too, which serde expects as null.
        let none = || serde_json::from_str("null").ok().filter(|_| self.has_no_args());
        read.or_else(|error| none().ok_or(error)).map_err(|error| Failure::new("Arguments", error))
    }

    fn has_no_args(&self) -> bool {
        self.raw_args().bytes().all(|byte| matches!(byte, b'[' | b']') || byte.is_ascii_whitespace())
    }

    /// What was pushed beside the arguments, an object of JSON.
    pub fn raw_custom(&self) -> Option<&str> {
        self.0.job.custom.as_ref().map(|custom| custom.get())
    }

    /// The whole job as the server sent it, with members that nobody knows here.
    pub fn raw_job(&self) -> &str {
        &self.0.job.text
    }

    /// How many lines of a backtrace are kept of this job.
    pub(crate) fn backtrace(&self) -> usize {
        self.0.job.backtrace
    }

    /// What the program shares of this type; see [`super::Builder::state`].
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let state = self.0.states.get(&TypeId::of::<T>())?;
        Arc::clone(state).downcast().ok()
    }

    /// Tells when the job is to end: its reservation is over, or the worker stops.
    pub fn token(&self) -> &Token {
        &self.0.token
    }

    /// When the reservation was to be over at the beginning.
    pub fn deadline(&self) -> Instant {
        self.0.begun + self.0.job.reserve_for
    }

    /// A client of the same server.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Tells how far the job is, in percent and in words. For servers that track jobs.
    ///
    /// # Errors
    /// [`ClientError`]; a server that does not track jobs refuses.
    pub async fn progress(&self, percent: u8, words: &str) -> Result<(), ClientError> {
        let progress = Progress {
            jid: self.jid().to_owned(),
            percent: Some(percent.min(100)),
            desc: Some(words.to_owned()),
            ..Progress::default()
        };
        self.client().set_progress(&progress).await
    }

    /// Keeps the job for so long from now on. For servers that track jobs; others refuse, and the reservation stays.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn extend(&self, time: Duration) -> Result<(), ClientError> {
        let until = Instant::now() + time;
        let wall = (SystemTime::now() + time).duration_since(UNIX_EPOCH).unwrap_or_default();
        let progress = Progress {
            jid: self.jid().to_owned(),
            reserve_until: Some(stamp::text(u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX))),
            ..Progress::default()
        };
        self.client().set_progress(&progress).await?;
        if let Some((run, worker)) = &self.0.run {
            // A worker that is no more has nothing to extend.
            let _ = worker.send(Message::Extended(*run, until));
        }
        Ok(())
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({} {})", self.kind(), self.jid())
    }
}
