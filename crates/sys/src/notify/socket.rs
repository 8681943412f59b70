//! The socket that one worker notifies us by.

use super::message::Message;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A bound datagram socket: non-blocking, closed on exec.
#[derive(Debug)]
pub struct NotifySocket(OwnedFd);

impl NotifySocket {
    /// Binds at `path` with mode 0600, owned by `owner` (uid, gid) if given. A socket file that is already there is
    /// replaced: the directory must be ours alone. The file is not removed on drop: the socket may outlive us by exec.
    ///
    /// # Errors
    /// The kernel's; `InvalidInput` for a path over 107 bytes.
    pub fn bind(path: &Path, owner: Option<(u32, u32)>) -> io::Result<Self> {
        let _ = (path, owner);
        unimplemented!()
    }

    /// The next notification, `None` when none waits. One that is longer than 4 KiB is skipped.
    ///
    /// # Errors
    /// The kernel's.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        unimplemented!()
    }
}

impl From<OwnedFd> for NotifySocket {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<NotifySocket> for OwnedFd {
    fn from(socket: NotifySocket) -> Self {
        socket.0
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
