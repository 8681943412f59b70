//! What stands around handlers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::context::Context;
use super::failure::Failure;
use super::handler::{Handler, Running};
use super::panics::{self, Caught};

/// Something that stands around every job: it sees the job before its handler, and what came of it.
///
/// # Examples
/// ```
/// use evercrew_jobs::{Context, Middleware, Next, Running};
/// struct Said;
/// impl Middleware for Said {
///     fn around<'a>(&'a self, context: Context, next: Next<'a>) -> Running<'a> {
///         Box::pin(async move {
///             let name = context.jid().to_owned();
///             let result = next.run(context).await;
///             println!("{name}: {}", if result.is_ok() { "done" } else { "failed" });
///             result
///         })
///     }
/// }
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Runs the job by way of `next`, or does not.
    fn around<'a>(&'a self, context: Context, next: Next<'a>) -> Running<'a>;
}

/// What is left to run of a job: more middleware, and its handler.
pub struct Next<'a> {
    pub(crate) rest: &'a [Arc<dyn Middleware>],
    pub(crate) handler: &'a dyn Handler,
}

impl<'a> Next<'a> {
    /// Runs it.
    pub fn run(self, context: Context) -> Running<'a> {
        match self.rest.split_first() {
            Some((first, rest)) => first.around(context, Next { rest, handler: self.handler }),
            // Middleware sees a panic as the failure that is told.
            None => match panics::catch(|| self.handler.run(context)) {
                Ok(running) => Box::pin(Caught(running)),
                Err(failure) => Box::pin(std::future::ready(Err(failure))),
            },
        }
    }
}

impl std::fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Next({} more)", self.rest.len())
    }
}

/// Fails a job that takes longer, with the type `Timeout`. A handler that blocks its thread is let go, and runs on.
#[derive(Clone, Copy, Debug)]
pub struct Timeout(pub Duration);

impl Middleware for Timeout {
    fn around<'a>(&'a self, context: Context, next: Next<'a>) -> Running<'a> {
        Box::pin(async move {
            match tokio::time::timeout(self.0, next.run(context)).await {
                Ok(result) => result,
                Err(_) => Err(Failure::new("Timeout", format!("the job took longer than {:?}", self.0))),
            }
        })
    }
}

/// Counts jobs and their time. Clones count together: keep one, and give the worker another.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    done: AtomicU64,
    failed: AtomicU64,
    running: AtomicU64,
    micros: AtomicU64,
}

impl Counts {
    /// Jobs that were done.
    pub fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// Jobs that failed.
    pub fn failed(&self) -> u64 {
        self.0.failed.load(Ordering::Relaxed)
    }

    /// Jobs that run.
    pub fn running(&self) -> u64 {
        self.0.running.load(Ordering::Relaxed)
    }

    /// The time that all ended jobs took together.
    pub fn time(&self) -> Duration {
        Duration::from_micros(self.0.micros.load(Ordering::Relaxed))
    }
}

/// A job that is counted as running until this is dropped, also when it is let go.
struct Counted<'a>(&'a Numbers, Instant);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        let micros = u64::try_from(self.1.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Middleware for Counts {
    fn around<'a>(&'a self, context: Context, next: Next<'a>) -> Running<'a> {
        Box::pin(async move {
            self.0.running.fetch_add(1, Ordering::Relaxed);
            let counted = Counted(&self.0, Instant::now());
            let result = next.run(context).await;
            let counter = if result.is_ok() { &self.0.done } else { &self.0.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            drop(counted);
            result
        })
    }
}
