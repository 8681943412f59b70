//! Notifying whoever started us.

use crate::listener::unix_address;
use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    sendmsg_addr, socket_with,
};
use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// As many as anybody sends with a notification.
const DESCRIPTORS: usize = 16;

/// Sends `message` (lines of `NAME=value`) to the socket that NOTIFY_SOCKET names. Returns false when it names none.
///
/// # Errors
/// The kernel's; `WouldBlock` when the receiver does not read.
pub fn send(message: &str) -> io::Result<bool> {
    match std::env::var_os("NOTIFY_SOCKET") {
        Some(address) if !address.is_empty() => send_to(&address, message).map(|()| true),
        _ => Ok(false),
    }
}

/// Sends `message` to the socket at `address`: an absolute path, or `@name` in the abstract namespace. Never blocks.
///
/// # Errors
/// The kernel's; `WouldBlock` when the receiver does not read; `InvalidInput` for any other address.
pub fn send_to(address: &OsStr, message: &str) -> io::Result<()> {
    send_with(address, message, &[])
}

/// As [`send_to`], with descriptors beside the message: the write end of a pipe with `BARRIER=1`, which the receiver
/// closes once it has handled everything that was sent before.
///
/// # Errors
/// As [`send_to`].
pub fn send_with(address: &OsStr, message: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidInput, text.to_owned());
    let bytes = address.as_bytes();
    let target = match bytes.first() {
        Some(b'/') => unix_address(Path::new(address))?,
        Some(b'@') => SocketAddrUnix::new_abstract_name(&bytes[1..])?,
        _ => return Err(invalid("a notify socket is an absolute path or @name")),
    };
    if descriptors.len() > DESCRIPTORS {
        return Err(invalid("too many descriptors in one notification"));
    }
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let text = [IoSlice::new(message.as_bytes())];
    retry_on_intr(|| sendmsg_addr(&socket, &target, &text, &mut control, flags))?;
    Ok(())
}
