//! Waiting for many descriptors.

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::time::Duration;

/// The most that one wait returns.
const EVENTS: usize = 64;

/// What to wait for. Hang-up and errors are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// There is something to read.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

impl Interest {
    /// Reading only.
    pub const READABLE: Self = Self { readable: true, writable: false };
    /// Writing only.
    pub const WRITABLE: Self = Self { readable: false, writable: true };
    /// Both.
    pub const BOTH: Self = Self { readable: true, writable: true };
    /// Only hang-up and errors.
    pub const NONE: Self = Self { readable: false, writable: false };
}

/// A descriptor that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The token it was added with.
    pub token: u64,
    /// A read would not block.
    pub readable: bool,
    /// A write would not block.
    pub writable: bool,
    /// The other end is closed (or an error waits to be read).
    pub hangup: bool,
}

/// Level-triggered readiness of many descriptors; closed on exec.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// A new, empty set.
    ///
    /// # Errors
    /// The kernel's: EMFILE, ENFILE.
    pub fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Watches `fd`. Remove it before it is closed: a duplicate elsewhere would keep it in the set.
    ///
    /// # Errors
    /// The kernel's: EEXIST, and EPERM for regular files.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.0, fd, EventData::new_u64(token), flags(interest))?)
    }

    /// Changes what is waited for, and the token.
    ///
    /// # Errors
    /// The kernel's: ENOENT.
    pub fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.0, fd, EventData::new_u64(token), flags(interest))?)
    }

    /// Watches `fd` no longer.
    ///
    /// # Errors
    /// The kernel's: ENOENT.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.0, fd)?)
    }

    /// Waits until something is ready, `timeout` at most (`None`: for ever), and puts up to 64 of them into `ready`,
    /// which is cleared first. Never returns before the timeout without a reason: to the nanosecond where the kernel
    /// allows it, rounded up to the millisecond elsewhere. An interruption returns with nothing.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        ready.clear();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        let count = match wait_precisely(self.0.as_fd(), &mut events, timeout) {
            // A filter of system calls that is older than the call hides it in one of these ways.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                wait_coarsely(self.0.as_fd(), &mut events, timeout)
            }
            result => result,
        };
        match count {
            Ok(count) => ready.extend(events.iter().take(count).map(|&event| Ready::from(event))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN | EventFlags::RDHUP, interest.readable);
    flags.set(EventFlags::OUT, interest.writable);
    flags
}

impl From<libc::epoll_event> for Ready {
    fn from(event: libc::epoll_event) -> Self {
        let is = |flags: libc::c_int| event.events & flags.unsigned_abs() != 0;
        let closed = is(libc::EPOLLHUP | libc::EPOLLERR);
        Self {
            token: event.u64,
            readable: is(libc::EPOLLIN | libc::EPOLLRDHUP) || closed,
            writable: is(libc::EPOLLOUT) || closed,
            hangup: closed,
        }
    }
}

fn wait_precisely(
    epoll: BorrowedFd<'_>,
    events: &mut [libc::epoll_event; EVENTS],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mask: *const libc::sigset_t = ptr::null();
    // SAFETY: writes up to EVENTS events to the array; the timeout is null or points to a local; no mask is changed.
    let count = unsafe {
        let fd = epoll.as_raw_fd();
        libc::syscall(libc::SYS_epoll_pwait2, fd, events.as_mut_ptr(), EVENTS, timeout, mask, size_of::<u64>())
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

fn wait_coarsely(
    epoll: BorrowedFd<'_>,
    events: &mut [libc::epoll_event; EVENTS],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let timeout = timeout.map_or(-1, milliseconds);
    // SAFETY: writes up to EVENTS events to the array.
    let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), EVENTS as libc::c_int, timeout) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Rounded up: to wake a little before a deadline would mean to ask again and again until it has come.
fn milliseconds(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::fs::File;
    use std::io::Write;

    #[test]
    fn readiness_comes_with_its_token_and_hang_up_is_told() {
        let epoll = Epoll::new().expect("epoll");
        let (reader, writer) = crate::pipe::pair().expect("pipe");
        epoll.add(&reader, 7, Interest::READABLE).expect("add");
        let mut ready = Vec::new();
        epoll.wait(&mut ready, Some(Duration::ZERO)).expect("wait");
        assert_eq!(ready, []);
        let mut writer = File::from(writer);
        writer.write_all(b"x").expect("write");
        epoll.wait(&mut ready, None).expect("wait");
        assert_eq!(ready, [Ready { token: 7, readable: true, writable: false, hangup: false }]);
        drop(writer);
        epoll.modify(&reader, 8, Interest::NONE).expect("modify");
        epoll.wait(&mut ready, None).expect("wait");
        assert_eq!(ready, [Ready { token: 8, readable: true, writable: true, hangup: true }]);
        epoll.remove(&reader).expect("remove");
        epoll.wait(&mut ready, Some(Duration::ZERO)).expect("wait");
        assert_eq!(ready, []);
    }

    #[test]
    fn it_never_wakes_before_the_deadline() {
        let epoll = Epoll::new().expect("epoll");
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        for timeout in [Duration::from_nanos(1), Duration::from_micros(300), Duration::from_micros(2_100)] {
            let begin = clock::mono();
            epoll.wait(&mut Vec::new(), Some(timeout)).expect("wait");
            assert!(clock::mono().since(begin) >= timeout);
            let begin = clock::mono();
            wait_coarsely(epoll.as_fd(), &mut events, Some(timeout)).expect("wait");
            assert!(clock::mono().since(begin) >= timeout);
        }
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::MAX), i32::MAX);
    }
}
