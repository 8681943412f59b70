//! What runs jobs of one type.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::context::Context;
use super::failure::Failure;
use super::panics;

/// A job that runs.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// A handler with fields of its own.
///
/// # Examples
/// ```
/// use evercrew_jobs::{Context, Failure, Perform};
/// struct Mailer { server: String }
/// impl Perform for Mailer {
///     async fn perform(&self, context: Context) -> Result<(), Failure> {
///         let (to,): (String,) = context.args()?;
///         println!("{to} by {}", self.server);
///         Ok(())
///     }
/// }
/// ```
pub trait Perform: Send + Sync + 'static {
    /// Runs one job.
    fn perform(&self, context: Context) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Any handler.
pub(crate) trait Handler: Send + Sync {
    fn run(&self, context: Context) -> Running<'_>;
}

/// A closure from a job to what runs it.
pub(crate) struct Function<F>(pub(crate) F);

impl<F: Fn(Context) -> Running<'static> + Send + Sync> Handler for Function<F> {
    fn run(&self, context: Context) -> Running<'_> {
        (self.0)(context)
    }
}

/// A handler with fields.
pub(crate) struct Performer<P>(pub(crate) P);

impl<P: Perform> Handler for Performer<P> {
    fn run(&self, context: Context) -> Running<'_> {
        Box::pin(self.0.perform(context))
    }
}

/// A function of a job and its arguments.
pub(crate) fn typed<F, A, R, E>(function: F) -> Arc<dyn Handler>
where
    F: Fn(Context, A) -> R + Send + Sync + 'static,
    A: DeserializeOwned,
    R: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    Arc::new(Function(move |context: Context| -> Running<'static> {
        let running = context.args::<A>().map(|args| function(context, args));
        match running {
            Ok(running) => Box::pin(async move { running.await.map_err(Failure::of) }),
            Err(failure) => Box::pin(std::future::ready(Err(failure))),
        }
    }))
}

/// A function of a job alone.
pub(crate) fn raw<F, R, E>(function: F) -> Arc<dyn Handler>
where
    F: Fn(Context) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    Arc::new(Function(move |context: Context| -> Running<'static> {
        let running = function(context);
        Box::pin(async move { running.await.map_err(Failure::of) })
    }))
}

/// A function that blocks its thread.
///
/// Each job has a thread of its own: those of a runtime are waited for when it ends, and a worker that stops lets a
/// job go that does not end.
pub(crate) fn blocking<F, A, E>(function: F) -> Arc<dyn Handler>
where
    F: Fn(Context, A) -> Result<(), E> + Send + Sync + 'static,
    A: DeserializeOwned,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let function = Arc::new(function);
    Arc::new(Function(move |context: Context| -> Running<'static> {
        let function = Arc::clone(&function);
        Box::pin(async move {
            let runtime = tokio::runtime::Handle::current();
            let (sender, receiver) = oneshot::channel();
            let work = move || {
                let _inside = runtime.enter();
                let result = panics::catch(|| {
                    let args = context.args::<A>()?;
                    function(context, args).map_err(Failure::of)
                });
                // A worker that let the job go does not listen.
                let _ = sender.send(result.and_then(|result| result));
            };
            let thread = std::thread::Builder::new().name("job".to_owned()).spawn(work);
            thread.map_err(|error| Failure::new("NoThread", error))?;
            receiver.await.unwrap_or_else(|_| Err(Failure::new("NoThread", "the thread ended without a word")))
        })
    }))
}
