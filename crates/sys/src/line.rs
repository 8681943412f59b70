//! The line of those who wait for a listener's connections by epoll: one is woken for each, and who took one goes to the
//! end.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::epoll;
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

/// A place in the line, in an epoll that a runtime owns and watches the listener with.
#[derive(Debug)]
pub struct Line {
    epoll: OwnedFd,
    /// What the runtime knows the listener by.
    data: u64,
}

impl Line {
    /// The place of a listener that a runtime of this process watches. It is still that of the runtime, which is woken
    /// for every connection: call [`leave`](Self::leave), then [`join`](Self::join).
    ///
    /// # Errors
    /// When no epoll of this process watches it, or the kernel does not say.
    pub fn of(listener: impl AsFd) -> io::Result<Self> {
        let wanted = listener.as_fd().as_raw_fd();
        for entry in fs::read_dir("/proc/self/fdinfo")? {
            let entry = entry?;
            let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
            // Other threads open and close meanwhile.
            let Ok(text) = fs::read_to_string(entry.path()) else { continue };
            let Some(data) = text.lines().find_map(|line| watched(line, wanted)) else { continue };
            // SAFETY: that it watches the listener, whose number nobody else can have while it is borrowed, was just read
            // of it; the runtime that watches it keeps it open as long as it does.
            let epoll = unsafe { BorrowedFd::borrow_raw(number) };
            return Ok(Self { epoll: epoll.try_clone_to_owned()?, data });
        }
        Err(io::Error::other("no epoll watches the listener"))
    }

    /// Goes to the end of the line. An event comes at once when there is a connection already.
    ///
    /// # Errors
    /// The kernel's.
    pub fn join(&self, listener: impl AsFd) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET | epoll::EventFlags::EXCLUSIVE;
        Ok(epoll::add(&self.epoll, listener, epoll::EventData::new_u64(self.data), flags)?)
    }

    /// Is woken for no connection any more.
    ///
    /// # Errors
    /// The kernel's.
    pub fn leave(&self, listener: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, listener)?)
    }
}

/// What the epoll whose `fdinfo` has this line knows the descriptor by.
fn watched(line: &str, wanted: RawFd) -> Option<u64> {
    let mut words = line.strip_prefix("tfd:")?.split_whitespace();
    if words.next()?.parse() != Ok(wanted) {
        return None;
    }
    words.find(|word| *word == "data:")?;
    u64::from_str_radix(words.next()?, 16).ok()
}

/// Whether accepting from this listener never blocks, as far as nobody who shares it changes that.
pub fn is_nonblocking(listener: impl AsFd) -> bool {
    fcntl_getfl(listener).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK))
}

/// The next connection of a non-blocking listener, if there is one: closed on exec, non-blocking.
///
/// # Errors
/// The kernel's: EMFILE, ENFILE, ENOMEM (try again later), EINVAL when it does not listen.
pub fn accept_now(listener: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let listener = listener.as_fd();
    loop {
        match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(connection) => return Ok(Some(connection)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) if crate::accept::is_of_the_connection(error) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use rustix::event::Timespec;

    use super::*;

    fn waits(epoll: &OwnedFd) -> Option<u64> {
        let mut events = Vec::with_capacity(4);
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        epoll::wait(epoll, rustix::buffer::spare_capacity(&mut events), Some(&now)).expect("an epoll");
        events.first().map(|event| event.data.u64())
    }

    #[test]
    fn a_place_is_found_left_and_joined_and_one_connection_wakes_one() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a flag");
        assert!(is_nonblocking(&listener) && Line::of(&listener).is_err());
        let copies: Vec<TcpListener> = (0..2).map(|_| listener.try_clone().expect("a descriptor")).collect();
        let places: Vec<(OwnedFd, Line)> = copies
            .iter()
            .zip([0x1234_5678_9abc_u64, 7])
            .map(|(copy, data)| {
                let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
                epoll::add(&epoll, copy, epoll::EventData::new_u64(data), epoll::EventFlags::IN).expect("watched");
                let line = Line::of(copy).expect("it is watched");
                assert_eq!(line.data, data);
                (epoll, line)
            })
            .collect();
        let (one, other) = (&places[0], &places[1]);
        other.1.leave(&copies[1]).expect("it is there");
        let _client = TcpStream::connect(listener.local_addr().expect("its address")).expect("it listens");
        assert_eq!((waits(&one.0), waits(&other.0)), (Some(0x1234_5678_9abc), None));
        // What has come before is told to who joins.
        other.1.join(&copies[1]).expect("it was left");
        assert_eq!((waits(&other.0), waits(&other.0)), (Some(7), None));
        assert!(accept_now(&listener).expect("a listener").is_some());
        assert!(accept_now(&listener).expect("a listener").is_none());
    }
}
