//! One client's connection: what it has sent, what it is owed, and who it is.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use evercrew_core::Mono;
use evercrew_core::jobs::LeaseNumber;
use evercrew_sys::epoll::Interest;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::answers::Answers;
use crate::handout::Form;
use crate::pace::Pace;

/// Bytes that every client may hold, however much others do.
pub(crate) const ALLOWANCE: usize = 4 << 10;
/// Answers, and jobs that are not on disk, that may wait before nothing more is taken from this client, in bytes.
const MOST_WAITING: usize = 1 << 20;
/// Most that is received ahead of a command that waits.
const MOST_AHEAD: usize = 256 << 10;

/// A client.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// What was received and is not carried out.
    pub(crate) input: Vec<u8>,
    /// How much of it is known to hold no line end.
    pub(crate) searched: usize,
    /// A line that was too long goes on: everything up to its end is dropped.
    pub(crate) skipping: bool,
    /// Why what it has sent is not carried out.
    pub(crate) hold: Hold,
    pub(crate) answers: Answers,
    /// A long line of it that has no end yet, by the order in which those began.
    pub(crate) long_line: Option<u64>,
    /// How it takes what is sent, and how it sends a long line.
    pub(crate) outflow: Pace,
    pub(crate) inflow: Pace,
    /// Somebody looks after a while whether it is slow.
    pub(crate) is_watched: bool,
    /// What it holds beyond its allowance, as it was counted last.
    pub(crate) counted: usize,
    /// It waits for a job, to be handed out like this; nothing that it sent after is carried out before.
    pub(crate) waiting: Option<Form>,
    /// The leases of what it got last, until it says anything more.
    pub(crate) handed_out: Vec<LeaseNumber>,
    /// Its own end is closed.
    pub(crate) finished: bool,
    /// It is closed once everything owed is sent.
    pub(crate) closing: bool,
    /// Our end is closed, and the other one is read out.
    pub(crate) lingers: bool,
    /// It was in the middle of something when the server was asked to stop.
    pub(crate) is_last_heard: bool,
    /// What the poller was told.
    pub(crate) interest: Interest,
    /// It is on this machine, as far as its address tells.
    pub(crate) is_local: bool,
    /// Who it said it is.
    pub(crate) standing: Standing,
}

/// Why a client's next command is not carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It has sent none.
    #[default]
    None,
    /// It has to be done with what it asked before.
    Itself,
    /// There is no room, here or in the batch that is open.
    Room,
    /// Nothing does any more: it goes on in this turn.
    Over,
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
    /// It is this worker, of this process if it said so.
    Worker(Arc<str>, i64),
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

/// How the room for all is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowd {
    /// There is room.
    Thin,
    /// There is none: nobody takes more than its allowance.
    Dense,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd, is_local: bool, standing: Standing) -> Self {
        Self {
            socket,
            input: Vec::new(),
            searched: 0,
            skipping: false,
            hold: Hold::None,
            answers: Answers::default(),
            long_line: None,
            outflow: Pace::default(),
            inflow: Pace::default(),
            is_watched: false,
            counted: 0,
            waiting: None,
            handed_out: Vec::new(),
            finished: false,
            closing: false,
            lingers: false,
            is_last_heard: false,
            interest: Interest::READABLE,
            is_local,
            standing,
        }
    }

    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    pub(crate) fn is_stranger(&self) -> bool {
        matches!(self.standing, Standing::Stranger { .. })
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

    /// Keeps what is not carried out, and no more memory for it than that.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.input.extend_from_slice(rest);
    }

    /// Bytes that it holds beyond what every client may.
    pub(crate) fn beyond(&self) -> usize {
        (self.input.capacity() + self.answers.held()).saturating_sub(2 * ALLOWANCE)
    }

    /// Whether its next command may be carried out, as far as it is up to itself.
    pub(crate) fn may_go_on(&self, crowd: Crowd) -> bool {
        let most = if crowd == Crowd::Dense { ALLOWANCE } else { MOST_WAITING };
        self.waiting.is_none() && !self.closing && !self.answers.is_full(most)
    }

    /// How much may be received from it; `is_chosen` when its long line goes on in any case.
    pub(crate) fn may_receive(&self, crowd: Crowd, is_chosen: bool) -> usize {
        let is_held = self.waiting.is_some() || self.hold != Hold::None;
        let most = match crowd {
            _ if self.closing || self.finished => 0,
            Crowd::Thin if !is_held => usize::MAX,
            Crowd::Thin => MOST_AHEAD,
            Crowd::Dense if !is_held && is_chosen => usize::MAX,
            Crowd::Dense => ALLOWANCE,
        };
        // What follows a held command lies in the kernel, and slows down its sender.
        if is_held || self.may_go_on(crowd) { most.saturating_sub(self.input.len()) } else { 0 }
    }

    /// Since when it has taken or sent too little of what it should.
    pub(crate) fn slow_since(&self) -> Option<Mono> {
        self.outflow.slow_since().into_iter().chain(self.inflow.slow_since()).min()
    }

    /// Sends what can be sent.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) fn send(&mut self, now: Mono) -> io::Result<()> {
        while self.answers.unsent() > 0 {
            match rustix::net::send(&self.socket, self.answers.rest(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(length) => {
                    self.answers.sent(length);
                    self.outflow.advance(length, now);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.outflow.begin(now);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.outflow.rest();
        Ok(())
    }

    /// What the poller has to tell of it.
    pub(crate) fn wanted(&self, crowd: Crowd, is_chosen: bool) -> Interest {
        Interest { readable: self.may_receive(crowd, is_chosen) > 0, writable: self.answers.unsent() > 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (Connection, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("pair");
        (Connection::new(ours.into(), true, Standing::Producer), theirs)
    }

    #[test]
    fn a_client_that_does_not_read_is_read_from_no_more() {
        let (mut connection, _client) = pair();
        let now = Mono::from_nanos(7);
        while connection.may_go_on(Crowd::Thin) {
            connection.answers.answer(|out| out.extend_from_slice(&[b'x'; 1000]));
            connection.send(now).expect("send");
        }
        assert_eq!(connection.slow_since(), Some(now));
        assert_eq!(connection.wanted(Crowd::Thin, true), Interest::WRITABLE);
    }

    #[test]
    fn who_waits_is_received_from_up_to_a_bound() {
        let (mut connection, _client) = pair();
        assert_eq!(connection.may_receive(Crowd::Thin, false), usize::MAX);
        assert_eq!(connection.may_receive(Crowd::Dense, false), ALLOWANCE);
        assert_eq!(connection.may_receive(Crowd::Dense, true), usize::MAX);
        for hold in [Hold::Itself, Hold::Room] {
            connection.hold = hold;
            assert_eq!(connection.may_receive(Crowd::Thin, false), MOST_AHEAD);
            assert_eq!(connection.may_receive(Crowd::Dense, true), ALLOWANCE);
        }
        connection.hold = Hold::None;
        connection.waiting = Some(Form::One);
        connection.input = vec![0; MOST_AHEAD];
        assert_eq!(connection.wanted(Crowd::Thin, false), Interest::NONE);
    }
}
