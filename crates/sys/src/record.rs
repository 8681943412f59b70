//! Records of any size over a [`Channel`]: small ones inline, larger ones in a sealed memfd.
//!
//! The first byte says which: `I` and the payload follows, `M` and the first descriptor holds it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::channel::{Channel, Received};
use crate::memfd;

/// Largest payload sent inline: well under what a socket of this kind takes at once.
const INLINE: usize = 60 * 1024;

/// Sends one record.
///
/// # Errors
/// `WouldBlock` when the channel is full (nothing was sent); the kernel's.
pub fn send(channel: &Channel, payload: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if payload.len() <= INLINE {
        let mut record = Vec::with_capacity(payload.len() + 1);
        record.push(b'I');
        record.extend_from_slice(payload);
        return channel.send(&record, descriptors);
    }
    let body = memfd::sealed("evercrew-record", payload)?;
    let mut all = Vec::with_capacity(descriptors.len() + 1);
    all.push(body.as_fd());
    all.extend_from_slice(descriptors);
    channel.send(b"M", &all)
}

/// Receives one record into `payload` and `descriptors`, both cleared first.
///
/// # Errors
/// `WouldBlock` when none waits; `InvalidData` when it is none of ours or larger than `limit`; the kernel's.
pub fn receive(
    channel: &Channel,
    limit: usize,
    payload: &mut Vec<u8>,
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<Received> {
    descriptors.clear();
    let received = channel.receive(payload, descriptors)?;
    if received == Received::Closed {
        return Ok(received);
    }
    match payload.first() {
        Some(b'I') => {
            payload.remove(0);
        }
        Some(b'M') if !descriptors.is_empty() => *payload = memfd::read(descriptors.remove(0), limit)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "a record of neither kind")),
    }
    Ok(received)
}
