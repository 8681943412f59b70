//! Pipes.

use crate::descriptor;
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// A blocking pipe as (read end, write end), both closed on exec.
///
/// # Errors
/// The kernel's: EMFILE, ENFILE.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

/// Asks for a buffer of `bytes`, and takes what the kernel gives: unprivileged users have a limit
/// (`/proc/sys/fs/pipe-max-size`) and a quota. Returns the size the pipe has after that, `None` when it refused.
pub fn enlarge(fd: impl AsFd, bytes: usize) -> Option<usize> {
    fcntl_setpipe_size(fd, bytes).ok()
}

/// The most that one [`discard`] reads.
const DISCARDED_AT_ONCE: u64 = 1 << 20;

/// Reads what is in a pipe, up to a mebibyte, and throws it away. Never waits; the reading end is non-blocking from
/// then on. Returns how many bytes it was.
///
/// # Errors
/// The kernel's, when nothing could be read but that.
pub fn discard(fd: impl AsFd) -> io::Result<u64> {
    let mut buffer = [0; 16 * 1024];
    let mut count = 0;
    descriptor::set_nonblocking(&fd, true)?;
    while count < DISCARDED_AT_ONCE {
        match retry_on_intr(|| rustix::io::read(&fd, &mut buffer)) {
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(read) => count += read as u64,
            Err(_) if count > 0 => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(count)
}
