//! Accepting in a thread that blocks in `accept()`, with a permit from the runtime for each connection.
//!
//! A thread in `accept()` is woken alone and in turn, so that siblings share a listener fairly and no wakeup is in vain.
//! The permit makes the runtime part of it: a runtime that is blocked by a handler grants none, and the connection goes to
//! a sibling that can serve it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as permits;
use std::thread;
use std::time::Duration;

use evercrew_sys::accept;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::source::Accepted;

/// The thread does nothing but to wait.
const STACK: usize = 128 * 1024;
/// Pauses between two signals to a thread that has not answered yet.
const INTERRUPT_PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// The blocking thread of one listener.
#[derive(Debug)]
pub(super) struct Thread {
    permits: Option<permits::Sender<()>>,
    /// A permit is not used yet.
    granted: bool,
    accepted: mpsc::Receiver<Accepted>,
    stop: Arc<AtomicBool>,
    handle: accept::AcceptThread,
}

impl Thread {
    /// Starts it; it accepts nothing before the first permit.
    ///
    /// # Errors
    /// When there is no room for a thread.
    pub(super) fn start(listener: OwnedFd) -> io::Result<Self> {
        let (permit_sender, permits) = permits::channel();
        let (sender, accepted) = mpsc::channel(1);
        let (report, started) = permits::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::Builder::new().name("accept".to_owned()).stack_size(STACK).spawn(move || {
            let handle = accept::AcceptThread::current();
            let proceed = handle.is_ok();
            if report.send(handle).is_ok() && proceed {
                accept_with_permits(&listener, &permits, &sender, &stopped);
            }
        })?;
        let handle = started.recv().map_err(|_| io::Error::other("the accept thread ended at once"))??;
        Ok(Self { permits: Some(permit_sender), granted: false, accepted, stop, handle })
    }

    /// Allows one connection, if none is allowed.
    pub(super) fn grant(&mut self) {
        if let Some(permits) = &self.permits
            && !self.granted
        {
            self.granted = true;
            // A thread that is gone shows as the end of `accepted`.
            let _ = permits.send(());
        }
    }

    /// What came of the permit. None when the thread has ended.
    pub(super) async fn accepted(&mut self) -> Option<Accepted> {
        let accepted = self.accepted.recv().await;
        self.granted = false;
        accepted
    }

    /// Ends the thread. Returns the connection that it accepted in that very moment, if there is one.
    pub(super) async fn end(mut self) -> Option<OwnedFd> {
        self.stop.store(true, Ordering::SeqCst);
        self.permits = None;
        let mut last = None;
        let (mut pause, longest) = INTERRUPT_PAUSES;
        loop {
            // It may have looked at the flag just before: a signal that comes before the call is lost, so repeat.
            self.handle.interrupt();
            tokio::select! {
                biased;
                accepted = self.accepted.recv() => match accepted {
                    Some(Ok(connection)) => last = Some(connection),
                    Some(Err(_)) => {}
                    None => return last,
                },
                () = sleep(pause) => pause = (pause * 2).min(longest),
            }
        }
    }
}

/// The body of the thread: until the flag, or until the runtime is gone.
fn accept_with_permits(
    listener: &OwnedFd,
    permits: &permits::Receiver<()>,
    accepted: &mpsc::Sender<Accepted>,
    stop: &AtomicBool,
) {
    while permits.recv().is_ok() {
        let result = loop {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            match accept::accept(listener) {
                Ok(Some(connection)) => break Ok(connection),
                Ok(None) => {}
                Err(error) => break Err(error),
            }
        };
        if accepted.blocking_send(result).is_err() {
            return;
        }
    }
}
