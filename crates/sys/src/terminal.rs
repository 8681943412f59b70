//! Output that never blocks: terminals, pipes and sockets that nobody reads must not stop a supervisor.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;

/// A way to write to an inherited output without ever blocking and without changing it for those who share it.
#[derive(Debug)]
pub struct Output {
    fd: OwnedFd,
}

impl Output {
    /// Opens a way of our own to the file behind `fd`.
    ///
    /// # Errors
    /// The kernel's: EMFILE.
    pub fn open(fd: impl AsFd) -> io::Result<Self> {
        let _ = fd;
        unimplemented!()
    }

    /// Writes as much as fits now.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits; otherwise the kernel's.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let _ = (bytes, &self.fd);
        unimplemented!()
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        unimplemented!()
    }
}

/// Lines on standard error. What does not fit is dropped and counted, and a later line says how many.
#[derive(Debug)]
pub struct Stderr {
    state: Mutex<()>,
}

impl Stderr {
    /// Standard error of this process.
    ///
    /// # Errors
    /// The kernel's: it is closed, or no descriptor is left.
    pub fn new() -> io::Result<Self> {
        unimplemented!()
    }

    /// Lines over `fd` instead.
    ///
    /// # Errors
    /// The kernel's: no descriptor is left.
    pub fn over(fd: impl AsFd) -> io::Result<Self> {
        let _ = fd;
        unimplemented!()
    }

    /// Writes `text` and a newline, or drops it. A line that only began to fit is finished by the next call.
    pub fn line(&self, text: &str) {
        let _ = (text, &self.state);
        unimplemented!()
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        unimplemented!()
    }
}
