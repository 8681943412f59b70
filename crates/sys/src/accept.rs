//! Accepting in a thread that blocks and can be interrupted.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use std::io;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr;

/// Lets SIGURG interrupt a blocking call without any other effect. Once for the process.
///
/// # Errors
/// The kernel's.
pub fn interrupt_handler_install() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: plain numbers and pointers, all of which may be zero.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler does nothing, so it may run at any moment. Without SA_RESTART the call it interrupts ends.
    if unsafe { libc::sigaction(libc::SIGURG, &raw const action, ptr::null_mut()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A thread that can be interrupted in [`accept`].
#[derive(Clone, Copy, Debug)]
pub struct AcceptThread {
    tid: i32,
}

impl AcceptThread {
    /// The calling thread, in which SIGURG is unblocked from then on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn current() -> io::Result<Self> {
        // SAFETY: the set is a local that sigemptyset initializes; the old mask is not asked for.
        let result = unsafe {
            let mut set: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGURG);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut())
        };
        if result != 0 {
            return Err(io::Error::from_raw_os_error(result));
        }
        Ok(Self { tid: rustix::thread::gettid().as_raw_nonzero().get() })
    }

    /// Interrupts its blocking call, if it is in one. Repeat it until the thread answered: it may have been just
    /// before the call. Returns false when the thread has ended.
    pub fn interrupt(&self) -> bool {
        let process = rustix::process::getpid().as_raw_nonzero().get();
        // SAFETY: tgkill takes no pointer. Should the number be another thread's of ours by now, that one runs a
        // handler that does nothing.
        unsafe { libc::syscall(libc::SYS_tgkill, process, self.tid, libc::SIGURG) == 0 }
    }
}

/// Waits for one connection: closed on exec, non-blocking. `None` when interrupted.
///
/// A listener that another process made non-blocking is waited for by poll. Connections that died in the queue are
/// skipped.
///
/// # Errors
/// The kernel's: EMFILE, ENFILE, ENOMEM (try again later), EINVAL when it does not listen.
pub fn accept(listener: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let listener = listener.as_fd();
    loop {
        match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(connection) => return Ok(Some(connection)),
            Err(Errno::INTR) => return Ok(None),
            Err(Errno::AGAIN) => match poll(&mut [PollFd::from_borrowed_fd(listener, PollFlags::IN)], None) {
                Ok(_) => {}
                Err(Errno::INTR) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
            Err(error) if is_of_the_connection(error) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// An error that the new connection already had, not the listener (`accept(2)`).
pub(crate) fn is_of_the_connection(error: Errno) -> bool {
    [
        Errno::CONNABORTED,
        Errno::NETDOWN,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::HOSTDOWN,
        Errno::NONET,
        Errno::HOSTUNREACH,
        Errno::NETUNREACH,
    ]
    .contains(&error)
}
