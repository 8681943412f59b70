//! Who is at the other end of a unix socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use crate::process as processes;

/// The process that connected (or listened), as it was at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its pid then; 0 when it lives in a pid namespace that is not visible from here.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// SO_PEERCRED of a connected unix socket.
///
/// # Errors
/// The kernel's: not a unix socket.
pub fn credentials(fd: impl AsFd) -> io::Result<Peer> {
    let fd = fd.as_fd();
    // rustix has this call, but holds the pid to be non-zero, which it is not across pid namespaces.
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the two pointers are to locals of the type and size that SO_PEERCRED writes.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut peer).cast(), &raw mut length)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Peer { pid: u32::try_from(peer.pid).unwrap_or(0), uid: peer.uid, gid: peer.gid })
}

/// The process at the other end, held: its number cannot become another's meanwhile. Seen from who connected it is the
/// one that listens. `None` when it is gone, or cannot be seen from this pid namespace.
///
/// # Errors
/// The kernel's: not a unix socket, no free descriptor.
pub fn process(fd: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let fd = fd.as_fd();
    let mut pidfd: libc::c_int = -1;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the two pointers are to locals of the type and size that SO_PEERPIDFD writes.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERPIDFD, (&raw mut pidfd).cast(), &raw mut length)
    };
    if result == 0 {
        // SAFETY: the kernel has just opened it for us.
        return Ok(Some(unsafe { OwnedFd::from_raw_fd(pidfd) }));
    }
    let error = io::Error::last_os_error();
    let pid = match error.raw_os_error() {
        // Before Linux 6.5: by its number.
        Some(libc::ENOPROTOOPT) => credentials(fd)?.pid,
        Some(libc::ESRCH | libc::EINVAL | libc::ENODATA) => return Ok(None),
        _ => return Err(error),
    };
    match pid {
        0 => Ok(None),
        pid => match processes::open(pid) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            opened => opened.map(Some),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::time::Duration;

    #[test]
    fn who_connected_sees_who_listens() {
        let home = tempfile::tempdir().expect("directory");
        let path = home.path().join("s");
        let listener = UnixListener::bind(&path).expect("listen");
        let stream = UnixStream::connect(&path).expect("connect");
        let pidfd = super::process(&stream).expect("ask").expect("it lives");
        assert_eq!(credentials(&stream).expect("ask").pid, std::process::id());
        assert!(!processes::wait_exit(pidfd.as_fd(), Duration::ZERO).expect("wait"));
        drop(listener);
        assert!(super::process(std::fs::File::open("/dev/null").expect("open")).is_err(), "no socket");
    }
}
