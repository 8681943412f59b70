//! Records with descriptors between two processes: SOCK_SEQPACKET.

use crate::ancillary;
use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg, socketpair,
};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
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
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    Ok((Channel(one), Channel(other)))
}

impl Channel {
    /// Sends one record, whole or not at all.
    ///
    /// # Errors
    /// `WouldBlock` when the other end does not read; `BrokenPipe` or `ConnectionReset` when it is closed;
    /// `InvalidInput` for an empty record, one over [`RECORD_LIMIT`] or more than [`DESCRIPTOR_LIMIT`] descriptors.
    pub fn send(&self, record: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let invalid = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        // An empty record would look like the end of the channel.
        if record.is_empty() || record.len() > RECORD_LIMIT {
            return invalid(format!("a record has 1 to {RECORD_LIMIT} bytes, not {}", record.len()));
        }
        if descriptors.len() > DESCRIPTOR_LIMIT {
            return invalid(format!("a record has up to {DESCRIPTOR_LIMIT} descriptors, not {}", descriptors.len()));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        retry_on_intr(|| sendmsg(&self.0, &[IoSlice::new(record)], &mut control, flags))?;
        Ok(())
    }

    /// Receives one record: `record` is replaced by its bytes, `descriptors` by its open files (closed on exec).
    ///
    /// # Errors
    /// `WouldBlock` when none waits; `InvalidData` when the record was longer than [`RECORD_LIMIT`] or its descriptors
    /// did not all arrive (no free number left): the record is gone and its descriptors are closed.
    pub fn receive(&self, record: &mut Vec<u8>, descriptors: &mut Vec<OwnedFd>) -> io::Result<Received> {
        descriptors.clear();
        record.resize(RECORD_LIMIT, 0);
        let received = ancillary::receive(&self.0, record, descriptors);
        record.truncate(received.as_ref().map_or(0, |datagram| datagram.length));
        let datagram = received?;
        if datagram.truncated {
            record.clear();
            descriptors.clear();
            let text = "a record was too long, or its descriptors did not all arrive";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(if datagram.length == 0 { Received::Closed } else { Received::Message })
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
