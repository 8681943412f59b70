//! How a server ends, and how one client is let go: what was begun is finished, and what was answered arrives.

use std::collections::VecDeque;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::jobs::{Asker, Event};
use evercrew_sys::epoll::Interest;
use evercrew_wire::faktory::reply;
use rustix::net::Shutdown;

use crate::connection::{Hold, Received};
use crate::error::Error;
use crate::intake::ONE_READ;
use crate::server::Server;
use crate::sessions::SessionId;

/// How long a server that stops waits for clients to take what they are owed.
const DRAIN: Duration = Duration::from_secs(5);
/// How long a client may take to close its end when ours is closed.
const LINGER: Duration = Duration::from_secs(1);

/// The end of a server, and those that were let go and have not gone.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// It was asked to stop: how long clients may take.
    drain_until: Option<Mono>,
    lingering: VecDeque<(Mono, SessionId)>,
}

impl Ending {
    /// When [`Server::let_go`] is due.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.lingering.front().map(|(until, _)| *until).into_iter().chain(self.drain_until).min()
    }

    pub(crate) fn is_begun(&self) -> bool {
        self.drain_until.is_some()
    }
}

impl Server {
    /// Accepts nobody more. What clients have sent by now is carried out and answered, whoever waits is told that there is
    /// nothing, and whoever came in just now may still say who it is and ask one thing.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        if self.ending.is_begun() {
            return Ok(());
        }
        self.ending.drain_until = Some(self.now.after(DRAIN));
        self.watch_door(Interest::NONE)?;
        for id in self.sessions.ids() {
            self.tell(Event::Left(Asker(id.0)));
            if let Some(connection) = self.sessions.get_mut(id)
                && connection.waiting.take().is_some()
            {
                connection.answers.answer(reply::nothing);
                connection.is_last_heard = true;
            }
            self.receive(id);
            if let Some(connection) = self.sessions.get_mut(id) {
                connection.is_last_heard |= connection.hold != Hold::None || connection.answers.is_owed();
                connection.closing |= !connection.is_stranger();
            }
            self.dirty.push(id);
        }
        Ok(())
    }

    /// A client was heard though the server stops.
    pub(crate) fn hear_last(&mut self, id: SessionId, has_asked: bool) {
        if let Some(connection) = self.sessions.get_mut(id) {
            connection.is_last_heard = true;
            connection.closing |= has_asked && !connection.is_stranger();
        }
    }

    /// Whether nothing is left to be done for anybody.
    pub(crate) fn is_done(&self) -> bool {
        let is_written = self.in_flight.is_none() && self.changes.is_empty() && self.debts.is_empty();
        self.ending.is_begun() && is_written && self.sessions.count() == 0
    }

    /// Everything is sent: our end is closed. The other one is read to its end, for a socket that is closed with something
    /// unread in it takes back what it sent.
    pub(crate) fn part(&mut self, id: SessionId) {
        let is_stopping = self.ending.is_begun();
        let Some(connection) = self.sessions.get_mut(id) else { return };
        if connection.lingers {
            return;
        }
        let needs_none = connection.finished || is_stopping && !connection.is_last_heard;
        if needs_none || rustix::net::shutdown(connection.socket(), Shutdown::Write).is_err() {
            return self.close(id);
        }
        connection.lingers = true;
        connection.input = Vec::new();
        connection.interest = Interest::READABLE;
        if self.epoll.modify(connection.socket(), id.0, Interest::READABLE).is_err() {
            return self.close(id);
        }
        self.ending.lingering.push_back((self.now.after(LINGER), id));
        self.account(id);
    }

    /// Reads what somebody sends who is not listened to any more.
    pub(crate) fn read_out(&mut self, id: SessionId) {
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.resize(ONE_READ, 0);
        let received = self.sessions.get_mut(id).map(|connection| connection.receive(&mut bytes));
        self.scratch = bytes;
        if matches!(received, Some(Received::End | Received::Broken)) {
            self.close(id);
        }
    }

    /// What is due: clients that do not close their end, and everybody when a server that stops has waited long enough.
    pub(crate) fn let_go(&mut self) {
        let now = self.now;
        while let Some((_, id)) = self.ending.lingering.front().copied().filter(|(until, _)| now >= *until) {
            self.ending.lingering.pop_front();
            self.close(id);
        }
        if let Some(until) = self.ending.drain_until
            && now >= until
            && self.sessions.count() > 0
        {
            for id in self.sessions.ids() {
                self.close(id);
            }
        }
    }
}
