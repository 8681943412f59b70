//! The memory that all clients share: what was received and is not carried out, and what is owed and not sent.
//!
//! Every client has a small allowance. Beyond it they share one room. While that is full, two long lines go on, nothing
//! is asked whose answer may be long, and whoever neither takes nor sends is sent away: so there is room again, and
//! nobody is refused who only came at a bad time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::time::Duration;

use evercrew_core::Mono;

use crate::connection::{ALLOWANCE, Crowd, Hold};
use crate::server::Server;
use crate::sessions::SessionId;

/// How long a client may leave its answers unread, or a long line unfinished.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long when there is no room for others.
const IMPATIENCE: Duration = Duration::from_secs(1);
/// Changes and texts that one batch takes, in bytes.
const MOST_OF_A_BATCH: usize = 32 << 20;

/// The shared room, and who is in it.
#[derive(Debug)]
pub(crate) struct Room {
    held: u64,
    most: u64,
    /// Clients with a long line that has no end yet, in the order in which they began.
    long_lines: BTreeMap<u64, SessionId>,
    last: u64,
    /// Those whose next command waits for room.
    held_up: Vec<SessionId>,
    /// Those of which more might be received when there is room.
    paused: BTreeSet<SessionId>,
    /// When to look at those that were slow.
    slow: VecDeque<(Mono, SessionId)>,
    /// While there is no room: when the slow ones are sent away.
    evict_at: Option<Mono>,
    /// Bytes of changes in the open batch.
    pub(crate) batch: usize,
}

impl Room {
    pub(crate) fn new(most: u64) -> Self {
        Self {
            held: 0,
            most,
            long_lines: BTreeMap::new(),
            last: 0,
            held_up: Vec::new(),
            paused: BTreeSet::new(),
            slow: VecDeque::new(),
            evict_at: None,
            batch: 0,
        }
    }

    /// Bytes that are held.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    pub(crate) fn crowd(&self) -> Crowd {
        if self.held >= self.most { Crowd::Dense } else { Crowd::Thin }
    }

    /// Whether the open batch takes nothing more.
    pub(crate) fn is_batch_full(&self) -> bool {
        self.batch >= MOST_OF_A_BATCH
    }

    /// Whether those that found no room may look again.
    pub(crate) fn is_next_to_go_on(&self) -> bool {
        !self.held_up.is_empty() && self.crowd() == Crowd::Thin && !self.is_batch_full()
    }

    /// Whether a long line goes on though there is no room. The first one does, which comes to its end or is found to be
    /// slow, and the last one, so that nobody waits for all the others to be found so.
    pub(crate) fn goes_on(&self, line: Option<u64>) -> bool {
        let (first, last) = (self.long_lines.first_key_value(), self.long_lines.last_key_value());
        line.is_some() && first.into_iter().chain(last).any(|(number, _)| Some(*number) == line)
    }

    pub(crate) fn count(&mut self, before: usize, after: usize) {
        self.held = self.held + after as u64 - before as u64;
    }

    pub(crate) fn end_line(&mut self, line: Option<u64>) {
        if let Some(line) = line {
            self.long_lines.remove(&line);
        }
    }

    /// Its next command waits.
    pub(crate) fn hold(&mut self, id: SessionId) {
        self.held_up.push(id);
    }

    /// More of it might be received.
    pub(crate) fn pause(&mut self, id: SessionId) {
        self.paused.insert(id);
    }

    /// When [`Server::relieve`] is due.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.slow.front().map(|(at, _)| *at).into_iter().chain(self.evict_at).min()
    }
}

impl Server {
    /// Counts anew what a client holds, and whether it is in the middle of a long line.
    pub(crate) fn account(&mut self, id: SessionId) {
        let Some(connection) = self.sessions.get_mut(id) else { return };
        let beyond = connection.beyond();
        self.room.count(mem::replace(&mut connection.counted, beyond), beyond);
        let is_long =
            connection.input.len() > ALLOWANCE && connection.hold == Hold::None && connection.waiting.is_none();
        match (is_long, connection.long_line) {
            (true, None) => {
                self.room.last += 1;
                connection.long_line = Some(self.room.last);
                self.room.long_lines.insert(self.room.last, id);
            }
            (false, Some(line)) => {
                connection.long_line = None;
                self.room.long_lines.remove(&line);
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Whether a command has to wait until there is room for what it changes, or for what it is answered.
    pub(crate) fn has_to_wait(&self, line: &[u8]) -> bool {
        let is_one_of = |verbs: &[&[u8]]| verbs.iter().any(|verb| line.starts_with(verb));
        self.room.is_batch_full() && !is_one_of(&[b"BEAT", b"INFO", b"END", b"METRICS", b"WORKERS"])
            || self.room.crowd() == Crowd::Dense
                && !is_one_of(&[b"PUSH", b"FETCH", b"ACK", b"FAIL ", b"BEAT ", b"END", b"FLUSH", b"MUTATE "])
    }

    /// Has those go on that found no room, as far as there is some by now.
    pub(crate) fn make_use_of_room(&mut self) {
        if self.room.is_next_to_go_on() {
            for id in mem::take(&mut self.room.held_up) {
                if let Some(connection) = self.sessions.get_mut(id).filter(|connection| connection.hold == Hold::Room) {
                    connection.hold = Hold::Over;
                    self.resumed.push(id);
                }
            }
        }
        if self.room.crowd() == Crowd::Thin {
            self.dirty.extend(mem::take(&mut self.room.paused));
            return;
        }
        let lines = &self.room.long_lines;
        for id in lines.first_key_value().into_iter().chain(lines.last_key_value()).map(|(_, id)| *id) {
            if self.sessions.get_mut(id).is_some_and(|connection| !connection.interest.readable) {
                self.dirty.push(id);
            }
        }
    }

    /// Looks after a client that has begun to be slow.
    pub(crate) fn watch_pace(&mut self, id: SessionId) {
        let Some(connection) = self.sessions.get_mut(id) else { return };
        // Whoever may not send is not slow for it.
        if connection.long_line.is_some() && connection.interest.readable {
            connection.inflow.begin(self.now);
        } else {
            connection.inflow.rest();
        }
        if let Some(since) = connection.slow_since().filter(|_| !connection.is_watched) {
            connection.is_watched = true;
            self.room.slow.push_back((since.after(PATIENCE), id));
        }
    }

    /// Sends those away that were slow for too long; sooner while there is no room.
    pub(crate) fn relieve(&mut self) {
        while let Some((_, id)) = self.room.slow.front().copied().filter(|(at, _)| self.now >= *at) {
            self.room.slow.pop_front();
            let Some(connection) = self.sessions.get_mut(id) else { continue };
            match connection.slow_since() {
                Some(since) if self.now.since(since) >= PATIENCE => self.evict(id),
                Some(since) => self.room.slow.push_back((since.after(PATIENCE).max(self.now), id)),
                None => connection.is_watched = false,
            }
        }
        if self.room.crowd() == Crowd::Thin {
            self.room.evict_at = None;
            return;
        }
        let at = *self.room.evict_at.get_or_insert(self.now.after(IMPATIENCE));
        if self.now < at {
            return;
        }
        let watched: Vec<SessionId> = self.room.slow.iter().map(|(_, id)| *id).collect();
        for id in watched {
            let since = self.sessions.get_mut(id).and_then(|connection| connection.slow_since());
            if since.is_some_and(|since| self.now.since(since) >= IMPATIENCE) {
                self.evict(id);
            }
        }
        self.room.evict_at = Some(self.now.after(IMPATIENCE));
    }

    fn evict(&mut self, id: SessionId) {
        self.count.evicted += 1;
        self.lost(id);
    }
}
