//! From the first permit to the last connection, in one thread of a worker.

use evercrew_core::Level;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::accept::accept_until_drain;
use crate::context::Context;
use crate::drain::Limits;
use crate::error::WorkerError;
use crate::http::Family;
use crate::notices;
use crate::pulse::Pulse;
use crate::serving::Serving;

/// The semaphore that counts connections takes no more.
const MOST_CONNECTIONS: u32 = 1 << 24;

/// A listener that was inherited.
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) fd: OwnedFd,
    pub(crate) family: Family,
}

impl Listener {
    /// The same one for another thread.
    ///
    /// # Errors
    /// The kernel's, when it has no descriptor for it.
    pub(crate) fn another(&self) -> Result<Self, WorkerError> {
        let fd = self.fd.try_clone().map_err(|error| WorkerError::Start("sharing a listener with a thread", error))?;
        Ok(Self { name: self.name.clone(), fd, family: self.family })
    }
}

/// Serves until a stop, and drains.
///
/// # Errors
/// When a listener fails.
pub(crate) async fn live<S: Serving>(
    context: &Context,
    listeners: Vec<Listener>,
    serving: S,
    pulse: Pulse,
) -> Result<(), WorkerError> {
    let most = serving.most().clamp(1, MOST_CONNECTIONS);
    let places = Arc::new(Semaphore::new(most as usize));
    let mut accepting = JoinSet::new();
    let (started, mut all_started) = mpsc::channel::<()>(1);
    for listener in listeners {
        accepting.spawn(accept(listener, Arc::clone(&places), serving.clone(), started.clone()));
    }
    drop(started);
    let mut beside = JoinSet::new();
    beside.spawn(serving.watch());
    beside.spawn(async move {
        // Ends when every sender is dropped: each accept thread runs, or has failed and ends the process.
        let _ = all_started.recv().await;
        pulse.beat().await;
    });
    tokio::select! {
        biased;
        () = context.stop().wait_for_immediate() => {
            notices::stopping();
            return Ok(());
        }
        () = context.stop().wait() => {}
        failure = first_failure(&mut accepting) => return Err(failure),
    }
    let rest = async {
        while accepting.join_next().await.is_some() {}
        // Whoever hears it may rely on that no connection is taken from the queue any more.
        notices::stopping();
        // Every place is free once every connection is closed.
        let _ = places.acquire_many(most).await;
    };
    tokio::select! {
        biased;
        () = rest => {}
        () = serving.drain().run(Limits::default()) => {
            let left = most as usize - places.available_permits();
            notices::line(Level::Warn, format_args!("{left} connections were not finished in time and are cut"));
        }
        () = context.stop().wait_for_immediate() => {}
    }
    Ok(())
}

async fn accept<S: Serving>(
    listener: Listener,
    places: Arc<Semaphore>,
    serving: S,
    started: mpsc::Sender<()>,
) -> Result<(), WorkerError> {
    let Listener { name, fd, family } = listener;
    let stages = serving.drain().watch();
    let turning = serving.clone();
    let turn_away = move |fd: OwnedFd| turning.turn_away(fd, family);
    let begin = move |fd: OwnedFd, place, word| {
        let served = serving.serve(fd, family, word);
        tokio::spawn(async move {
            served.await;
            drop(place);
        });
    };
    accept_until_drain(fd, places, stages, || drop(started), begin, turn_away)
        .await
        .map_err(|error| WorkerError::Accept(name, error))
}

/// Waits until a listener fails; for ever when none does.
async fn first_failure(accepting: &mut JoinSet<Result<(), WorkerError>>) -> WorkerError {
    while let Some(ended) = accepting.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(error) => return WorkerError::Start("accepting", io::Error::other(error)),
        }
    }
    std::future::pending().await
}
