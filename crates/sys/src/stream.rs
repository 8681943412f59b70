//! A pair of connected stream sockets: one end ours, the other a program's.

use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown, socketpair,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::descriptor;

/// Our end, which never blocks, and a program's, which does. Both are closed on exec.
///
/// # Errors
/// The kernel's: EMFILE, ENFILE.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    descriptor::set_nonblocking(&ours, true)?;
    Ok((ours, theirs))
}

/// Sends a line of at most 32 KiB, whole or not at all.
///
/// # Errors
/// `WouldBlock` when the other end does not read; `BrokenPipe` or `ConnectionReset` when it is closed.
pub fn send_line(socket: impl AsFd, line: &[u8]) -> io::Result<()> {
    let sent = retry_on_intr(|| send(&socket, line, SendFlags::NOSIGNAL | SendFlags::DONTWAIT))?;
    // The kernel takes what fits into one buffer of its own at once or not at all.
    if sent == line.len() { Ok(()) } else { Err(io::Error::from(io::ErrorKind::WriteZero)) }
}

/// Receives what is there; 0 at the end.
///
/// # Errors
/// `WouldBlock` when nothing is there.
pub fn receive(socket: impl AsFd, bytes: &mut [u8]) -> io::Result<usize> {
    let received = retry_on_intr(|| recv(&socket, &mut *bytes, RecvFlags::DONTWAIT));
    Ok(received.map(|(count, _)| count)?)
}

/// The other end reads what was written, and then the end.
///
/// # Errors
/// `NotConnected` when the other end is gone.
pub fn end_writing(socket: impl AsFd) -> io::Result<()> {
    Ok(shutdown(&socket, Shutdown::Write)?)
}

/// Bytes that were written and that the other end has not taken yet: TCP counts what was not acknowledged.
///
/// # Errors
/// The kernel's.
pub fn untaken(socket: impl AsFd) -> io::Result<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: TIOCOUTQ, which is SIOCOUTQ, writes one int to where the pointer leads.
    if unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut count) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_the_other_end_has_not_taken_is_counted() {
        let (ours, theirs) = pair().expect("a pair");
        assert_eq!(untaken(&ours).expect("a count"), 0);
        send_line(&ours, &[b'a'; 1000]).expect("room");
        assert!(untaken(&ours).expect("a count") >= 1000);
        receive(&theirs, &mut [0; 1000]).expect("a line");
        assert_eq!(untaken(&ours).expect("a count"), 0);
    }

    #[test]
    fn a_line_arrives_whole_or_is_refused_and_never_waits() {
        let (ours, theirs) = pair().expect("a pair");
        let mut sent = 0;
        let refused = loop {
            match send_line(&ours, b"RELOAD\n") {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(ours);
        let mut text = String::new();
        UnixStream::from(theirs).read_to_string(&mut text).expect("read");
        assert_eq!((text.lines().count(), text.replace("RELOAD\n", "").as_str()), (sent, ""));
    }

    #[test]
    fn a_closed_end_is_told() {
        let (ours, theirs) = pair().expect("a pair");
        drop(theirs);
        assert_eq!(send_line(&ours, b"DUMP\n").expect_err("closed").kind(), io::ErrorKind::BrokenPipe);
    }
}
