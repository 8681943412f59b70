//! Accepting in a thread that blocks and can be interrupted.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Lets SIGURG interrupt a blocking call without any other effect. Once for the process.
///
/// # Errors
/// The kernel's.
pub fn interrupt_handler_install() -> io::Result<()> {
    unimplemented!()
}

/// A thread that can be interrupted in [`accept`].
#[derive(Clone, Copy, Debug)]
pub struct AcceptThread {
    tid: i32,
}

impl AcceptThread {
    /// The calling thread, in which SIGURG is unblocked from then on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn current() -> io::Result<Self> {
        unimplemented!()
    }

    /// Interrupts its blocking call, if it is in one. Repeat it until the thread answered: it may have been just
    /// before the call. Returns false when the thread has ended.
    pub fn interrupt(&self) -> bool {
        let _ = self.tid;
        unimplemented!()
    }
}

/// Waits for one connection: closed on exec, non-blocking. `None` when interrupted.
///
/// A listener that another process made non-blocking is waited for by poll. Connections that died in the queue are
/// skipped.
///
/// # Errors
/// The kernel's: EMFILE, ENFILE, ENOMEM (try again later), EINVAL when it does not listen.
pub fn accept(listener: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let _ = listener;
    unimplemented!()
}
