//! Accepting in the runtime itself, from a non-blocking listener.
//!
//! The runtime stands in the line of the listener's epoll waiters only while it may take a connection: it is woken alone,
//! and after each connection it goes to the end of the line. So siblings share a listener as fairly as threads that block
//! in `accept()` do, and a runtime that is blocked or full stands in nobody's way, for a third less of processor time.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use evercrew_sys::line::{Line, accept_now, is_nonblocking};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::source::Accepted;

/// The listener as the runtime watches it.
#[derive(Debug)]
struct Listener(OwnedFd);

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A listener's queue of connections.
#[derive(Debug)]
pub(super) struct Queue {
    watch: AsyncFd<Listener>,
    line: Line,
    waits: bool,
}

impl Queue {
    /// Begins; it waits for nothing yet. Call it in a runtime.
    ///
    /// # Errors
    /// When the runtime cannot watch it, or its epoll is not found.
    pub(super) fn new(listener: OwnedFd) -> io::Result<Self> {
        // Its successor is an unsafe function for types that may close the descriptor early; this one owns it.
        #[allow(deprecated)]
        let watch = AsyncFd::with_interest(Listener(listener), Interest::READABLE)?;
        let line = Line::of(&watch.get_ref().0)?;
        line.leave(&watch.get_ref().0)?;
        Ok(Self { watch, line, waits: false })
    }

    /// Goes to the end of the line, if it does not wait already.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn join(&mut self) -> io::Result<()> {
        if !self.waits {
            self.line.join(&self.watch.get_ref().0)?;
            self.waits = true;
        }
        Ok(())
    }

    fn leave(&mut self) {
        if self.waits {
            // It was there, so it can be taken out.
            let _ = self.line.leave(&self.watch.get_ref().0);
            self.waits = false;
        }
    }

    /// The next connection. None when the listener is a blocking one by now.
    pub(super) async fn accepted(&mut self) -> Option<Accepted> {
        loop {
            let mut ready = match self.watch.readable().await {
                Ok(ready) => ready,
                Err(error) => return Some(Err(error)),
            };
            ready.clear_ready();
            if !is_nonblocking(&self.watch.get_ref().0) {
                self.leave();
                return None;
            }
            match accept_now(&self.watch.get_ref().0) {
                // A sibling took it.
                Ok(None) => {}
                Ok(Some(connection)) => {
                    self.leave();
                    return Some(Ok(connection));
                }
                Err(error) => {
                    self.leave();
                    return Some(Err(error));
                }
            }
        }
    }

    /// The listener once more.
    ///
    /// # Errors
    /// The kernel's, when it has no descriptor for it.
    pub(super) fn listener(&self) -> io::Result<OwnedFd> {
        self.watch.get_ref().0.try_clone()
    }

    /// Leaves for ever. What it may have been woken for is taken now: no sibling is woken for it any more.
    pub(super) fn end(mut self) -> Option<OwnedFd> {
        let waited = self.waits;
        self.leave();
        // The runtime takes it out itself when it is dropped.
        let _ = self.line.join(&self.watch.get_ref().0);
        let listener = &self.watch.get_ref().0;
        if waited && is_nonblocking(listener) { accept_now(listener).ok().flatten() } else { None }
    }
}
