//! Pipes.

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
