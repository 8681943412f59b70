//! One datagram with what the kernel sends beside its bytes. rustix has `recvmsg` too, but its credentials hold the
//! sender's pid to be non-zero, which it is not across pid namespaces.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The most descriptors that the kernel puts into one message (SCM_MAX_FD).
const DESCRIPTORS: usize = 253;

/// Room for that many and for the sender's credentials.
const CONTROL_LENGTH: usize = 2048;

const _: () = {
    // SAFETY: CMSG_SPACE only calculates.
    let descriptors = unsafe { libc::CMSG_SPACE((DESCRIPTORS * size_of::<RawFd>()) as libc::c_uint) };
    // SAFETY: CMSG_SPACE only calculates.
    let credentials = unsafe { libc::CMSG_SPACE(size_of::<libc::ucred>() as libc::c_uint) };
    assert!((descriptors + credentials) as usize <= CONTROL_LENGTH);
};

/// `cmsghdr` wants the alignment of a word.
#[repr(align(8))]
struct Control([u8; CONTROL_LENGTH]);

/// What came with a datagram.
#[derive(Debug)]
pub(crate) struct Datagram {
    /// Bytes written to the buffer.
    pub(crate) length: usize,
    /// Bytes or descriptors were lost: the buffer was too small, or no descriptor number was free.
    pub(crate) truncated: bool,
    /// The sender's pid, where SO_PASSCRED is set; 0 when it is not visible from here.
    pub(crate) sender_pid: u32,
}

/// Receives one datagram without blocking. Its descriptors (closed on exec) are added to `descriptors`.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<Datagram> {
    take(socket, buffer, descriptors, 0)
}

/// As [`receive`], and leaves it where it is; the descriptors are copies.
pub(crate) fn peek(socket: impl AsFd, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<Datagram> {
    take(socket, buffer, descriptors, libc::MSG_PEEK)
}

fn take(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
    how: libc::c_int,
) -> io::Result<Datagram> {
    let socket = socket.as_fd();
    let mut control = Control([0; CONTROL_LENGTH]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: plain numbers and pointers, all of which may be zero.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_LENGTH as _;
    let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT | how;
    let length = loop {
        // SAFETY: the header points to live locals and the caller's buffer, with their lengths.
        match usize::try_from(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) }) {
            Ok(length) => break length,
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    };
    let truncated = header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    let sender_pid = collect(&header, descriptors);
    Ok(Datagram { length: length.min(buffer.len()), truncated, sender_pid })
}

/// Takes the descriptors that the kernel put into the control buffer, and returns the sender's pid.
fn collect(header: &libc::msghdr, descriptors: &mut Vec<OwnedFd>) -> u32 {
    let mut sender_pid = 0;
    // SAFETY: the header is the one the kernel has filled in; the CMSG functions stay inside of its control buffer.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, so inside of the control buffer, aligned for a header.
        let (level, kind, length) =
            unsafe { ((*message).cmsg_level, (*message).cmsg_type, (*message).cmsg_len as usize) };
        // SAFETY: CMSG_LEN only calculates; CMSG_DATA points behind a header that is inside of the buffer.
        let (head, data) = unsafe { (libc::CMSG_LEN(0) as usize, libc::CMSG_DATA(message)) };
        let payload = length.saturating_sub(head);
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                for index in 0..payload / size_of::<RawFd>() {
                    // SAFETY: the payload holds that many numbers of descriptors which the kernel has just opened
                    // for us and nobody else knows.
                    let fd = unsafe { OwnedFd::from_raw_fd(data.cast::<RawFd>().add(index).read_unaligned()) };
                    descriptors.push(fd);
                }
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if payload >= size_of::<libc::ucred>() => {
                // SAFETY: the payload is as large as the structure, which is plain numbers.
                let credentials = unsafe { data.cast::<libc::ucred>().read_unaligned() };
                sender_pid = u32::try_from(credentials.pid).unwrap_or(0);
            }
            _ => {}
        }
        // SAFETY: as for the first one.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    sender_pid
}
