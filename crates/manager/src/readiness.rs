//! Descriptors of our own under tokio.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::unix::AsyncFd;

/// Watches a duplicate of `fd`, so that its owner may close it at any time.
///
/// # Errors
/// The kernel's, when no descriptor is left.
#[allow(
    deprecated,
    reason = "an OwnedFd of our own stays open as long as the watch; the constructor that says so is unsafe, which only sys may be"
)]
pub(crate) fn watch(fd: impl AsFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(evercrew_sys::descriptor::duplicate(fd)?)
}
