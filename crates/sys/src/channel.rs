//! Records with descriptors between two processes: SOCK_SEQPACKET.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The longest record.
pub const RECORD_LIMIT: usize = 64 * 1024;

/// The most descriptors that [`Channel::send`] takes in one record (the kernel's limit is 253).
pub const DESCRIPTOR_LIMIT: usize = 200;

/// What [`Channel::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A record.
    Message,
    /// The other end is closed, and everything it sent was received.
    Closed,
}

/// One end of a pair of connected sockets that keep the bounds of records: closed on exec, non-blocking.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// Two connected ends.
///
/// # Errors
/// The kernel's: EMFILE, ENFILE.
pub fn pair() -> io::Result<(Channel, Channel)> {
    unimplemented!()
}

impl Channel {
    /// Sends one record, whole or not at all.
    ///
    /// # Errors
    /// `WouldBlock` when the other end does not read; `BrokenPipe` or `ConnectionReset` when it is closed;
    /// `InvalidInput` for an empty record, one over [`RECORD_LIMIT`] or more than [`DESCRIPTOR_LIMIT`] descriptors.
    pub fn send(&self, record: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let _ = (record, descriptors);
        unimplemented!()
    }

    /// Receives one record: `record` is replaced by its bytes, `descriptors` by its open files (closed on exec).
    ///
    /// # Errors
    /// `WouldBlock` when none waits; `InvalidData` when the record was longer than [`RECORD_LIMIT`] or its descriptors
    /// did not all arrive (no free number left): the record is gone and its descriptors are closed.
    pub fn receive(&self, record: &mut Vec<u8>, descriptors: &mut Vec<OwnedFd>) -> io::Result<Received> {
        let _ = (record, descriptors);
        unimplemented!()
    }

    /// Another handle of this same end: for a copy that is kept for somebody.
    ///
    /// # Errors
    /// The kernel's: EMFILE.
    pub fn duplicate(&self) -> io::Result<Self> {
        Ok(Self(crate::descriptor::duplicate(&self.0)?))
    }
}

impl From<OwnedFd> for Channel {
    /// Takes up an end that came over a channel or through an exec. It should be non-blocking.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::os::fd::AsRawFd for Channel {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}
