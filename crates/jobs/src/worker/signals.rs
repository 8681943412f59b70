//! Signals to a process that is a worker.

use std::convert::Infallible;
use std::future::Future;
use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::worker::Remote;

/// The signal that a terminal sends to have a process stand still.
const TSTP: i32 = 20;
/// The signal that has it go on.
const CONT: i32 = 18;

/// Tells the worker what signals say, for as long as this is polled.
pub(crate) fn watch(worker: Remote) -> io::Result<impl Future<Output = Infallible>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quiet = signal(SignalKind::from_raw(TSTP))?;
    let mut resume = signal(SignalKind::from_raw(CONT))?;
    Ok(async move {
        let mut is_stopping = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => is_stopping = stop(&worker, is_stopping),
                _ = interrupt.recv() => is_stopping = stop(&worker, is_stopping),
                _ = quiet.recv() => worker.pause(),
                _ = resume.recv() => worker.resume(),
            }
        }
    })
}

fn stop(worker: &Remote, is_stopping: bool) -> bool {
    if is_stopping {
        worker.stop_at_once();
    } else {
        worker.stop();
    }
    true
}
