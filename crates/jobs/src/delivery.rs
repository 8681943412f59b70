//! What is owed goes out, and whoever is done or broken is let go.

use std::mem;

use evercrew_core::jobs::{Asker, Event};

use crate::connection::{Crowd, Hold};
use crate::server::Server;
use crate::sessions::SessionId;

impl Server {
    /// Sends what is owed, closes what is done, and tells the poller what is waited for.
    pub(crate) fn flush(&mut self) {
        let mut dirty = mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            let Some(connection) = self.sessions.get_mut(id) else { continue };
            if connection.send(self.now).is_err() {
                self.lost(id);
                continue;
            }
            let is_done = connection.closing || connection.finished && connection.hold == Hold::None;
            if is_done && !connection.answers.is_owed() {
                self.part(id);
                continue;
            }
            self.account(id);
            self.tell_poller(id);
            self.watch_pace(id);
        }
        if self.dirty.is_empty() {
            self.dirty = dirty;
        }
    }

    fn tell_poller(&mut self, id: SessionId) {
        let crowd = self.room.crowd();
        let Some(connection) = self.sessions.get_mut(id) else { return };
        // Whatever held it up: an answer that was sent or settled since, here or elsewhere.
        if connection.hold == Hold::Itself && connection.may_go_on(crowd) {
            connection.hold = Hold::Over;
            self.resumed.push(id);
        }
        let wanted = connection.wanted(crowd, self.room.goes_on(connection.long_line));
        if crowd == Crowd::Dense && !wanted.readable {
            self.room.pause(id);
        }
        if wanted != connection.interest {
            connection.interest = wanted;
            if self.epoll.modify(connection.socket(), id.0, wanted).is_err() {
                self.lost(id);
            }
        }
    }

    /// Its end is closed: what it has sent is carried out and answered, but it waits for nothing more.
    pub(crate) fn finished(&mut self, id: SessionId) {
        let Some(connection) = self.sessions.get_mut(id) else { return };
        connection.finished = true;
        if connection.waiting.take().is_some() {
            self.tell(Event::Left(Asker(id.0)));
            self.close(id);
            return;
        }
        self.dirty.push(id);
    }

    /// The connection is broken: what it got last has not reached it, as far as that can be told.
    pub(crate) fn lost(&mut self, id: SessionId) {
        if let Some(connection) = self.sessions.get_mut(id) {
            // On this machine nothing breaks a connection but a client that left without reading. Elsewhere something on
            // the way may have, and the worker be at work: only what was never sent is given back.
            let undelivered = connection.is_local || connection.answers.unsent() > 0;
            if undelivered {
                self.lost_grants.append(&mut connection.handed_out);
            }
        }
        self.close(id);
    }

    pub(crate) fn close(&mut self, id: SessionId) {
        let Some(connection) = self.sessions.get_mut(id) else { return };
        let _ = self.epoll.remove(connection.socket());
        if connection.answers.unsent() > 0 {
            self.lost_grants.append(&mut connection.handed_out);
        }
        let Some(connection) = self.sessions.remove(id) else { return };
        self.room.count(connection.counted, 0);
        self.room.end_line(connection.long_line);
        if connection.is_stranger() {
            self.no_stranger_more();
        }
        if connection.waiting.is_some() {
            self.tell(Event::Left(Asker(id.0)));
        }
    }
}
