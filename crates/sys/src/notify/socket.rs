//! The socket that one worker notifies us by.

use super::message::Message;
use crate::ancillary::{self, Datagram};
use crate::listener::unix_address;
use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// What systemd takes at most, too.
const MESSAGE_LIMIT: usize = 4096;

/// A notification as it came.
#[derive(Debug)]
pub struct Raw {
    /// Its lines.
    pub text: String,
    /// What came with it.
    pub descriptors: Vec<OwnedFd>,
    /// The sender's pid as the kernel says, 0 when unknown.
    pub sender_pid: u32,
}

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
        let address = unix_address(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        sockopt::set_socket_passcred(&fd, true)?;
        // The file is created with no more rights than the socket has.
        fchmod(&fd, Mode::RUSR | Mode::WUSR)?;
        match rustix::net::bind(&fd, &address) {
            Err(Errno::ADDRINUSE) if is_socket(path) => {
                std::fs::remove_file(path)?;
                rustix::net::bind(&fd, &address)?;
            }
            result => result?,
        }
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::lchown(path, Some(uid), Some(gid))?;
        }
        Ok(Self(fd))
    }

    /// The next notification, `None` when none waits. One that is longer than 4 KiB, or whose descriptors
    /// did not all arrive, says nothing.
    ///
    /// # Errors
    /// The kernel's.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        self.take(|socket, text, descriptors| ancillary::receive(socket, text, descriptors))
    }

    /// As [`NotifySocket::receive`], and leaves it to be received: also by another process, should this one end.
    ///
    /// # Errors
    /// The kernel's.
    pub fn peek(&self) -> io::Result<Option<Message>> {
        self.take(|socket, text, descriptors| ancillary::peek(socket, text, descriptors))
    }

    /// As [`NotifySocket::receive`], for who keeps descriptors and wants the lines as they are.
    ///
    /// # Errors
    /// The kernel's.
    pub fn receive_raw(&self) -> io::Result<Option<Raw>> {
        let mut text = [0; MESSAGE_LIMIT];
        let mut descriptors = Vec::new();
        match ancillary::receive(self.0.as_fd(), &mut text, &mut descriptors) {
            Ok(datagram) => {
                let text = String::from_utf8_lossy(text.get(..datagram.length).unwrap_or_default()).into_owned();
                Ok(Some(Raw { text, descriptors, sender_pid: datagram.sender_pid }))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn take(
        &self,
        how: impl Fn(BorrowedFd<'_>, &mut [u8], &mut Vec<OwnedFd>) -> io::Result<Datagram>,
    ) -> io::Result<Option<Message>> {
        let mut text = [0; MESSAGE_LIMIT];
        let mut descriptors = Vec::new();
        let datagram = match how(self.0.as_fd(), &mut text, &mut descriptors) {
            Ok(datagram) => datagram,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = if datagram.truncated { &[] } else { text.get(..datagram.length).unwrap_or_default() };
        Ok(Some(Message { sender_pid: datagram.sender_pid, ..Message::parse(text, descriptors) }))
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
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
