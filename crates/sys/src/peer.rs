//! Who is at the other end of a unix socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

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
