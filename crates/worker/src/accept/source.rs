//! Where connections come from: a thread that blocks in `accept()`, or the queue of a non-blocking listener.

use std::io;
use std::os::fd::OwnedFd;

use evercrew_sys::line::is_nonblocking;

use super::queue::Queue;
use super::thread::Thread;

/// What came of one permit.
pub(super) type Accepted = io::Result<OwnedFd>;

/// One listener's connections, each by a permit of the runtime.
#[derive(Debug)]
pub(super) enum Source {
    Thread(Thread),
    Queue(Queue),
}

impl Source {
    /// Begins; nothing is accepted before the first permit. Call it in a runtime.
    ///
    /// # Errors
    /// When there can be no thread, or no watch.
    pub(super) fn start(listener: OwnedFd) -> io::Result<Self> {
        if is_nonblocking(&listener) {
            return Queue::new(listener).map(Self::Queue);
        }
        Thread::start(listener).map(Self::Thread)
    }

    /// Allows one connection, if none is allowed.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn allow(&mut self) -> io::Result<()> {
        match self {
            Self::Thread(thread) => {
                thread.grant();
                Ok(())
            }
            Self::Queue(queue) => queue.join(),
        }
    }

    /// The connection that was allowed. Nothing is lost when this is dropped. None when the thread has ended.
    pub(super) async fn accepted(&mut self) -> Option<Accepted> {
        if let Self::Queue(queue) = self {
            if let Some(accepted) = queue.accepted().await {
                return Some(accepted);
            }
            // Somebody who shares the listener has made it a blocking one.
            let mut thread = match queue.listener().and_then(Thread::start) {
                Ok(thread) => thread,
                Err(error) => return Some(Err(error)),
            };
            thread.grant();
            *self = Self::Thread(thread);
        }
        match self {
            Self::Thread(thread) => thread.accepted().await,
            Self::Queue(_) => None,
        }
    }

    /// Ends it. Returns the connection that it accepted in that very moment, if there is one.
    pub(super) async fn end(self) -> Option<OwnedFd> {
        match self {
            Self::Thread(thread) => thread.end().await,
            Self::Queue(queue) => queue.end(),
        }
    }
}
