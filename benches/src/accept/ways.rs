//! The ways to accept.

use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::net::{SocketFlags, accept_with};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A thread blocks in accept and takes one connection for each permit of the loop.
    Thread,
    /// The listener is in every worker's epoll.
    Epoll,
    /// The same with EPOLLEXCLUSIVE.
    Exclusive,
    /// The same, and whoever accepted goes to the end of the line.
    Rotating,
    /// Each worker has a socket of its own.
    Reuseport,
}

impl Way {
    pub(crate) const ALL: [Self; 5] = [Self::Thread, Self::Epoll, Self::Exclusive, Self::Rotating, Self::Reuseport];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Epoll => "epoll",
            Self::Exclusive => "exclusive",
            Self::Rotating => "rotating",
            Self::Reuseport => "reuseport",
        }
    }
}

/// Where a worker's connections come from. Its event is number 0.
pub(crate) struct Source {
    way: Way,
    listener: OwnedFd,
    thread: Option<Thread>,
}

struct Thread {
    permits: Sender<()>,
    accepted: Arc<Mutex<Vec<TcpStream>>>,
    event: Arc<OwnedFd>,
}

impl Source {
    pub(crate) fn new(way: Way, listener: OwnedFd, epoll: &OwnedFd) -> Self {
        let data = epoll::EventData::new_u64(0);
        let mut thread = None;
        match way {
            Way::Thread => {
                let event = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("an eventfd"));
                epoll::add(epoll, &event, data, epoll::EventFlags::IN | epoll::EventFlags::ET).expect("watch it");
                let accepted = Arc::new(Mutex::new(Vec::new()));
                let (permits, allowed) = channel();
                let body = (listener.try_clone().expect("a copy"), Arc::clone(&accepted), Arc::clone(&event));
                std::thread::spawn(move || accept_allowed(&body.0, &allowed, &body.1, &body.2));
                permits.send(()).expect("the thread lives");
                thread = Some(Thread { permits, accepted, event });
            }
            Way::Epoll | Way::Reuseport => {
                epoll::add(epoll, &listener, data, epoll::EventFlags::IN).expect("watch it");
            }
            Way::Exclusive | Way::Rotating => {
                let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
                epoll::add(epoll, &listener, data, flags).expect("watch it");
            }
        }
        Self { way, listener, thread }
    }

    /// What an event brings: one connection, or none.
    pub(crate) fn take(&mut self, epoll: &OwnedFd) -> Vec<TcpStream> {
        if let Some(thread) = &self.thread {
            let mut count = [0; 8];
            let _ = rustix::io::read(&*thread.event, &mut count);
            return std::mem::take(&mut *thread.accepted.lock().expect("nobody panicked"));
        }
        let taken = accept(&self.listener);
        if taken.is_some() && self.way == Way::Rotating {
            let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
            epoll::delete(epoll, &self.listener).expect("it is watched");
            epoll::add(epoll, &self.listener, epoll::EventData::new_u64(0), flags).expect("watch it");
        }
        taken.into_iter().collect()
    }

    /// The loop is free for the next one.
    pub(crate) fn allow(&self) {
        if let Some(thread) = &self.thread {
            let _ = thread.permits.send(());
        }
    }
}

fn accept(listener: impl AsFd) -> Option<TcpStream> {
    accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).ok().map(TcpStream::from)
}

fn accept_allowed(listener: &OwnedFd, allowed: &Receiver<()>, accepted: &Mutex<Vec<TcpStream>>, event: &OwnedFd) {
    while allowed.recv().is_ok() {
        let connection = loop {
            if let Some(connection) = accept(listener) {
                break connection;
            }
        };
        accepted.lock().expect("nobody panicked").push(connection);
        let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
    }
}
