//! Who comes in, and for how long one may be there without having said who it is.

use std::collections::VecDeque;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_sys::epoll::Interest;
use evercrew_wire::faktory::{Refusal, reply};

use crate::challenge;
use crate::connection::{Connection, Standing};
use crate::error::Error;
use crate::server::{Server, token};
use crate::sessions::SessionId;

/// How long a client may take to say who it is.
const LOGIN: Duration = Duration::from_secs(2);
/// How long one may take when others wait to come in.
const GRACE: Duration = Duration::from_millis(500);
/// Clients that may be there without having said who they are.
const MOST_STRANGERS: usize = 64;
/// How long no client is accepted for want of descriptors.
const BREATH: Duration = Duration::from_millis(100);
/// Clients accepted before others are served again.
const AT_ONCE: usize = 64;

/// Those that have not said who they are.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    /// With since when they are here.
    here: VecDeque<(Mono, SessionId)>,
    count: usize,
    /// While nobody is accepted: until when.
    closed_until: Option<Mono>,
}

impl Strangers {
    /// When [`Server::admit`] is due.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        let login = self.here.front().map(|(since, _)| since.after(LOGIN));
        login.into_iter().chain(self.closed_until).min()
    }
}

impl Server {
    /// Accepts whoever waits, as far as there is room.
    pub(crate) fn accept(&mut self) -> Result<(), Error> {
        for _ in 0..AT_ONCE {
            if !self.has_room() {
                return self.watch_door(Interest::NONE);
            }
            match self.door.accept() {
                Ok(Some((socket, is_local))) => self.welcome(socket, is_local)?,
                Ok(None) => break,
                // No descriptor is free: they wait in the backlog until one is.
                Err(_) => {
                    self.strangers.closed_until = Some(self.now.after(BREATH));
                    self.watch_door(Interest::NONE)?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether one more may come in that has not said who it is. A flood of those keeps nobody out for longer than it
    /// takes to end the oldest of them.
    fn has_room(&mut self) -> bool {
        if self.strangers.count < MOST_STRANGERS {
            return true;
        }
        while let Some((since, oldest)) = self.strangers.here.front().copied() {
            if !self.is_stranger(oldest) {
                self.strangers.here.pop_front();
            } else if self.now.since(since) >= GRACE {
                self.strangers.here.pop_front();
                self.lost(oldest);
                return true;
            } else {
                self.strangers.closed_until = Some(since.after(GRACE));
                return false;
            }
        }
        true
    }

    pub(crate) fn watch_door(&self, interest: Interest) -> Result<(), Error> {
        let changed = self.epoll.modify(&self.door, token::DOOR, interest);
        changed.map_err(|error| Error::System("watching the listener", error))
    }

    fn welcome(&mut self, socket: std::os::fd::OwnedFd, is_local: bool) -> Result<(), Error> {
        self.count.connections += 1;
        let drawn = challenge::draw(self.config.password.as_ref());
        let (salt, rounds) = drawn.map_err(|error| Error::System("drawing a salt", error))?;
        let mut connection = Connection::new(socket, is_local, Standing::Stranger { salt: salt.clone(), rounds });
        if self.sessions.count() >= self.config.connections {
            let refusal = Refusal::error(format!("too many connections: {} are served", self.config.connections));
            connection.answers.answer(|out| reply::refused(out, &refusal));
            // It fits into an empty buffer; whoever does not get it is refused all the same.
            let _ = connection.send(self.now);
            return Ok(());
        }
        connection.answers.answer(|out| reply::hi(out, (rounds > 0).then_some((rounds, salt.as_str()))));
        let interest = connection.interest;
        let id = self.sessions.insert(connection);
        let Some(connection) = self.sessions.get_mut(id) else { return Ok(()) };
        if self.epoll.add(connection.socket(), id.0, interest).is_err() {
            self.sessions.remove(id);
            return Ok(());
        }
        self.strangers.here.push_back((self.now, id));
        self.strangers.count += 1;
        self.dirty.push(id);
        Ok(())
    }

    fn is_stranger(&mut self, id: SessionId) -> bool {
        self.sessions.get_mut(id).is_some_and(|connection| connection.is_stranger())
    }

    /// A client has said who it is, or is gone before it did.
    pub(crate) fn no_stranger_more(&mut self) {
        self.strangers.count = self.strangers.count.saturating_sub(1);
        if self.strangers.closed_until.is_some() {
            self.strangers.closed_until = Some(self.now);
        }
    }

    /// What is due: strangers that said nothing, and a door that can be opened again.
    pub(crate) fn admit(&mut self) -> Result<(), Error> {
        let now = self.now;
        let late = |(since, _): &(Mono, SessionId)| now >= since.after(LOGIN);
        while let Some((_, id)) = self.strangers.here.front().copied().filter(late) {
            self.strangers.here.pop_front();
            if self.is_stranger(id) {
                self.lost(id);
            }
        }
        if self.strangers.closed_until.is_some_and(|until| self.now >= until) && !self.ending.is_begun() {
            self.strangers.closed_until = None;
            self.watch_door(Interest::READABLE)?;
        }
        Ok(())
    }
}
