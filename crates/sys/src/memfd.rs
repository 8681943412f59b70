//! Bytes in memory behind a descriptor, sealed so that nobody can change them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// A memfd that holds `bytes` and can never be changed again. `name` shows in /proc only.
///
/// # Errors
/// The kernel's; `InvalidInput` for a name with a zero byte or over 249 bytes.
pub fn sealed(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let _ = (name, bytes);
    unimplemented!()
}

/// All bytes of a sealed memfd. The file offset is neither used nor moved.
///
/// # Errors
/// `InvalidData` when it is not sealed against every change (its writer could change it under us) or holds more than
/// `limit` bytes; otherwise the kernel's.
pub fn read(fd: impl AsFd, limit: usize) -> io::Result<Vec<u8>> {
    let _ = (fd, limit);
    unimplemented!()
}
