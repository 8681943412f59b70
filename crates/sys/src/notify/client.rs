//! Notifying whoever started us.

use std::ffi::OsStr;
use std::io;

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
    let _ = (address, message);
    unimplemented!()
}
