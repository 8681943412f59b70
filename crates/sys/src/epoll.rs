//! Waiting for many descriptors.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// What to wait for. Hang-up and errors are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// There is something to read.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

impl Interest {
    /// Reading only.
    pub const READABLE: Self = Self { readable: true, writable: false };
    /// Writing only.
    pub const WRITABLE: Self = Self { readable: false, writable: true };
    /// Both.
    pub const BOTH: Self = Self { readable: true, writable: true };
    /// Only hang-up and errors.
    pub const NONE: Self = Self { readable: false, writable: false };
}

/// A descriptor that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The token it was added with.
    pub token: u64,
    /// A read would not block.
    pub readable: bool,
    /// A write would not block.
    pub writable: bool,
    /// The other end is closed (or an error waits to be read).
    pub hangup: bool,
}

/// Level-triggered readiness of many descriptors; closed on exec.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// A new, empty set.
    ///
    /// # Errors
    /// The kernel's: EMFILE, ENFILE.
    pub fn new() -> io::Result<Self> {
        unimplemented!()
    }

    /// Watches `fd`. Remove it before it is closed: a duplicate elsewhere would keep it in the set.
    ///
    /// # Errors
    /// The kernel's: EEXIST, and EPERM for regular files.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let _ = (fd, token, interest);
        unimplemented!()
    }

    /// Changes what is waited for, and the token.
    ///
    /// # Errors
    /// The kernel's: ENOENT.
    pub fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let _ = (fd, token, interest);
        unimplemented!()
    }

    /// Watches `fd` no longer.
    ///
    /// # Errors
    /// The kernel's: ENOENT.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        let _ = fd;
        unimplemented!()
    }

    /// Waits until something is ready, `timeout` at most (`None`: for ever), and puts up to 64 of them into `ready`,
    /// which is cleared first. Never returns before the timeout without a reason: to the nanosecond where the kernel
    /// allows it, rounded up to the millisecond elsewhere. An interruption returns with nothing.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let _ = (ready, timeout);
        unimplemented!()
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
