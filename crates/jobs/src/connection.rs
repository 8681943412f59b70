//! One client's connection: what it has sent, what it is owed, and in which order.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::jobs::LeaseNumber;
use evercrew_sys::epoll::Interest;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::handout::Form;

/// Answers that may wait to be read before nothing more is taken from this client, in bytes.
const MOST_UNREAD: usize = 1 << 20;
/// Answers that may be owed at once before nothing more is taken.
const MOST_OWED: usize = 16_384;
/// How long a client may leave its answers unread.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A client.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// What was received and makes up no whole line yet.
    pub(crate) input: Vec<u8>,
    /// How much of it is known to hold no line end.
    pub(crate) searched: usize,
    /// A line that was too long goes on: everything up to its end is dropped.
    pub(crate) skipping: bool,
    /// What it has sent waits to be carried out until it may go on.
    pub(crate) held_up: bool,
    output: Vec<u8>,
    sent: usize,
    /// Answers in the order of their commands, from the first one that is owed.
    owed: VecDeque<Option<Vec<u8>>>,
    /// The number of the first of them.
    first: u64,
    /// Since when the client has not taken what is sent.
    pub(crate) stuck_since: Option<Mono>,
    /// It waits for a job, to be handed out like this; nothing that it sent after is carried out before.
    pub(crate) waiting: Option<Form>,
    /// The leases of what it got last, until it says anything more.
    pub(crate) handed_out: Vec<LeaseNumber>,
    /// Its own end is closed.
    pub(crate) finished: bool,
    /// It is closed once everything owed is sent.
    pub(crate) closing: bool,
    /// What the poller was told.
    pub(crate) interest: Interest,
    /// It is on this machine, as far as its address tells.
    pub(crate) is_local: bool,
    /// Who it said it is.
    pub(crate) standing: Standing,
}

/// How far a client has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has not said who it is; `salt` and `rounds` of the challenge it was given.
    Stranger {
        /// Empty without a password.
        salt: String,
        /// 0 without a password.
        rounds: u32,
    },
    /// It may push, and ask.
    Producer,
    /// It is this worker.
    Worker(Arc<str>),
}

/// What reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes.
    Some(usize),
    /// None for the moment.
    Nothing,
    /// It has closed its end.
    End,
    /// The connection is broken.
    Broken,
}

/// A place in the order of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owed(pub(crate) u64);

impl Connection {
    pub(crate) fn new(socket: OwnedFd, is_local: bool, standing: Standing) -> Self {
        Self {
            socket,
            input: Vec::new(),
            searched: 0,
            skipping: false,
            held_up: false,
            output: Vec::new(),
            sent: 0,
            owed: VecDeque::new(),
            first: 0,
            stuck_since: None,
            waiting: None,
            handed_out: Vec::new(),
            finished: false,
            closing: false,
            interest: Interest::READABLE,
            is_local,
            standing,
        }
    }

    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Receives into `bytes`.
    pub(crate) fn receive(&self, bytes: &mut [u8]) -> Received {
        match rustix::io::retry_on_intr(|| rustix::net::recv(&self.socket, &mut *bytes, RecvFlags::DONTWAIT)) {
            Ok((_, 0)) => Received::End,
            Ok((_, length)) => Received::Some(length),
            Err(Errno::AGAIN) => Received::Nothing,
            Err(_) => Received::Broken,
        }
    }

    /// Where the next answer goes that can be given at once; it waits behind those that are owed.
    pub(crate) fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.owed.is_empty() {
            write(&mut self.output);
        } else {
            let mut answer = Vec::new();
            write(&mut answer);
            self.owed.push_back(Some(answer));
        }
    }

    /// A place for an answer that comes later.
    pub(crate) fn owe(&mut self) -> Owed {
        self.owed.push_back(None);
        Owed(self.first + self.owed.len() as u64 - 1)
    }

    /// Gives an answer that was owed.
    pub(crate) fn settle(&mut self, owed: Owed, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(index) = owed.0.checked_sub(self.first).and_then(|index| usize::try_from(index).ok()) else { return };
        if index == 0 {
            // The common case needs no copy.
            if self.owed.pop_front().is_some() {
                write(&mut self.output);
                self.first += 1;
            }
            while let Some(Some(_)) = self.owed.front() {
                let answer = self.owed.pop_front().flatten().unwrap_or_default();
                self.output.extend_from_slice(&answer);
                self.first += 1;
            }
        } else if let Some(place @ None) = self.owed.get_mut(index) {
            let mut answer = Vec::new();
            write(&mut answer);
            *place = Some(answer);
        }
    }

    /// Whether any answer is owed or not sent.
    pub(crate) fn is_owed(&self) -> bool {
        !self.owed.is_empty() || self.sent < self.output.len()
    }

    /// Whether more may be read from it.
    pub(crate) fn may_read(&self) -> bool {
        !self.closing && self.output.len() - self.sent < MOST_UNREAD && self.owed.len() < MOST_OWED
    }

    /// Whether its next command may be carried out.
    pub(crate) fn may_go_on(&self) -> bool {
        self.waiting.is_none() && self.may_read()
    }

    /// Bytes that are not sent.
    pub(crate) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Sends what can be sent.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) fn send(&mut self, now: Mono) -> io::Result<()> {
        while self.sent < self.output.len() {
            let rest = &self.output[self.sent..];
            match rustix::net::send(&self.socket, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(length) => {
                    self.sent += length;
                    self.stuck_since = None;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.stuck_since.get_or_insert(now);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.stuck_since = None;
        self.sent = 0;
        self.output.clear();
        // One large answer does not stay in memory for as long as the client does.
        if self.output.capacity() > 16 << 10 {
            self.output = Vec::new();
        }
        Ok(())
    }

    /// What the poller has to tell of it.
    pub(crate) fn wanted(&self) -> Interest {
        Interest { readable: self.may_read() && !self.finished, writable: self.sent < self.output.len() }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (Connection, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("pair");
        (Connection::new(ours.into(), true, Standing::Producer), theirs)
    }

    #[test]
    fn answers_leave_in_the_order_of_their_commands() {
        let (mut connection, mut client) = pair();
        let say = |text: &'static str| move |out: &mut Vec<u8>| out.extend_from_slice(text.as_bytes());
        connection.answer(say("1 "));
        let second = connection.owe();
        connection.answer(say("3 "));
        let fourth = connection.owe();
        connection.settle(fourth, say("4 "));
        let fifth = connection.owe();
        connection.send(Mono::from_nanos(0)).expect("send");
        assert!(connection.is_owed());
        connection.settle(second, say("2 "));
        connection.settle(second, say("never "));
        connection.settle(fifth, say("5 "));
        connection.send(Mono::from_nanos(0)).expect("send");
        assert!(!connection.is_owed());
        drop(connection);
        let mut read = String::new();
        client.read_to_string(&mut read).expect("read");
        assert_eq!(read, "1 2 3 4 5 ");
    }

    #[test]
    fn a_client_that_does_not_read_is_read_from_no_more() {
        let (mut connection, _client) = pair();
        let now = Mono::from_nanos(7);
        while connection.may_read() {
            connection.answer(|out| out.extend_from_slice(&[b'x'; 1000]));
            connection.send(now).expect("send");
        }
        assert_eq!(connection.stuck_since, Some(now));
        assert_eq!(connection.wanted(), Interest::WRITABLE);
        let (mut connection, _client) = pair();
        while connection.may_read() {
            connection.owe();
        }
        assert_eq!(connection.owed.len(), MOST_OWED);
    }
}
