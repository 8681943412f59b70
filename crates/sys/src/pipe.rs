//! Pipes.

use crate::descriptor;
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, tee};
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

/// Copies what waits in the pipe `from` to `buffer`, as much as fits, and leaves it there: also for another process,
/// should this one end. 0 at its end.
///
/// # Errors
/// `WouldBlock` when nothing waits; the kernel's, when there is no descriptor for the copy.
pub fn peek(from: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (read, write) = pair()?;
    let length = rustix::io::retry_on_intr(|| tee(&from, &write, buffer.len(), SpliceFlags::NONBLOCK))?;
    let mut copied = 0;
    while copied < length {
        let rest = buffer.get_mut(copied..length).unwrap_or_default();
        copied += rustix::io::retry_on_intr(|| rustix::io::read(&read, &mut *rest))?;
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    #[test]
    fn what_is_peeked_at_can_still_be_read() {
        let (read, write) = pair().expect("a pipe");
        let mut buffer = [0; 4];
        assert_eq!(peek(&read, &mut buffer).expect_err("empty").kind(), io::ErrorKind::WouldBlock);
        File::from(write).write_all(b"ready\n").expect("write");
        for _ in 0..2 {
            assert_eq!(peek(&read, &mut buffer).expect("peek"), 4);
            assert_eq!(&buffer, b"read");
        }
        let mut text = String::new();
        let mut file = File::from(read);
        file.read_to_string(&mut text).expect("read");
        assert_eq!(text, "ready\n");
        assert_eq!(peek(&file, &mut buffer).expect("the end"), 0);
    }
}
