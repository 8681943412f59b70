//! Bytes of a client to commands, one after the other.

use std::mem;

use evercrew_wire::faktory::line::{self, Next};
use evercrew_wire::faktory::{Command, Refusal, reply};

use crate::connection::{ALLOWANCE, Hold, Received, Standing};
use crate::server::Server;
use crate::sessions::SessionId;

/// Bytes that one read takes.
pub(crate) const ONE_READ: usize = 64 << 10;

impl Server {
    /// Reads what a client has sent, and carries out the commands in it; whether anything may be read from it.
    pub(crate) fn receive(&mut self, id: SessionId) -> bool {
        let crowd = self.room.crowd();
        let Some(connection) = self.sessions.get_mut(id) else { return false };
        if connection.lingers {
            self.read_out(id);
            return true;
        }
        let is_chosen = self.room.goes_on(connection.long_line);
        let most = connection.may_receive(crowd, is_chosen).min(ONE_READ);
        if most == 0 {
            self.dirty.push(id);
            return false;
        }
        // Most clients send a command at a time: those are read in place, and nothing is kept for an idle one.
        let mut bytes = mem::take(&mut self.scratch);
        bytes.resize(ONE_READ, 0);
        match connection.receive(&mut bytes[..most]) {
            Received::Nothing => {}
            Received::End => self.finished(id),
            Received::Broken => self.lost(id),
            Received::Some(length) => {
                let (was_stranger, commands) = (connection.is_stranger(), self.count.commands);
                connection.handed_out.clear();
                connection.inflow.advance(length, self.now);
                if connection.input.is_empty() {
                    let taken = self.carry_out(id, &bytes[..length]);
                    if let Some(connection) = self.sessions.get_mut(id) {
                        connection.keep(&bytes[taken..length]);
                    }
                } else {
                    connection.keep(&bytes[..length]);
                    self.go_on(id);
                }
                self.account(id);
                if self.ending.is_begun() {
                    // Who has just said who it is may ask one thing more.
                    let has_asked = !was_stranger || self.count.commands > commands + 1;
                    self.hear_last(id, has_asked);
                }
            }
        }
        self.scratch = bytes;
        true
    }

    /// Carries out what was received before.
    pub(crate) fn go_on(&mut self, id: SessionId) {
        let Some(connection) = self.sessions.get_mut(id) else { return };
        match connection.hold {
            Hold::Itself | Hold::Room => return,
            Hold::Over | Hold::None => connection.hold = Hold::None,
        }
        if connection.input.is_empty() {
            return;
        }
        let mut input = mem::take(&mut connection.input);
        let taken = self.carry_out(id, &input);
        if let Some(connection) = self.sessions.get_mut(id) {
            if taken == input.len() {
                return;
            }
            input.drain(..taken);
            // One long line does not stay in memory for as long as the client does.
            if input.capacity() > 4 * input.len().max(ALLOWANCE) {
                input.shrink_to(2 * input.len());
            }
            connection.input = input;
        }
    }

    /// Carries out the commands at the beginning of `bytes`; gives how many bytes they take.
    fn carry_out(&mut self, id: SessionId, bytes: &[u8]) -> usize {
        let mut taken = 0;
        self.dirty.push(id);
        loop {
            let crowd = self.room.crowd();
            let Some(connection) = self.sessions.get_mut(id) else { return bytes.len() };
            let rest = &bytes[taken..];
            if connection.skipping {
                match rest.iter().position(|byte| *byte == b'\n') {
                    Some(end) => {
                        connection.skipping = false;
                        taken += end + 1;
                    }
                    None => return bytes.len(),
                }
                continue;
            }
            if rest.is_empty() {
                return taken;
            }
            if !connection.may_go_on(crowd) {
                connection.hold = Hold::Itself;
                return taken;
            }
            let logged_in = !connection.is_stranger();
            if !logged_in && let Some(why) = evercrew_wire::faktory::foreign(rest) {
                connection.answers.answer(|out| reply::refused(out, &Refusal::error(why)));
                connection.closing = true;
                self.count.refused += 1;
                return taken;
            }
            match line::next(rest, connection.searched, logged_in) {
                Next::Line(line, length) => {
                    connection.searched = 0;
                    if logged_in && self.has_to_wait(line) {
                        self.hold(id);
                        return taken;
                    }
                    taken += length;
                    self.command(id, line);
                    self.account(id);
                }
                Next::More(_) => {
                    connection.searched = rest.len();
                    return taken;
                }
                Next::TooLong(most) => {
                    connection.searched = 0;
                    let refusal = Refusal::error(format!("the line is too long: at most {most} bytes are taken"));
                    connection.answers.answer(|out| reply::refused(out, &refusal));
                    self.count.refused += 1;
                    if logged_in {
                        connection.skipping = true;
                    } else {
                        connection.closing = true;
                    }
                }
            }
        }
    }

    fn hold(&mut self, id: SessionId) {
        if let Some(connection) = self.sessions.get_mut(id) {
            connection.hold = Hold::Room;
            self.room.hold(id);
        }
    }

    fn command(&mut self, id: SessionId, line: &[u8]) {
        self.count.commands += 1;
        let Some(connection) = self.sessions.get_mut(id) else { return };
        let outcome = match (Command::read(line), &connection.standing) {
            (Ok(Command::Hello(hello)), Standing::Stranger { .. }) => self.hello(id, hello),
            (Ok(Command::End), _) => {
                connection.closing = true;
                Ok(())
            }
            (_, Standing::Stranger { .. }) => {
                connection.closing = true;
                Err(Refusal::error("Invalid preamble: the first command is HELLO"))
            }
            (Ok(command), Standing::Producer | Standing::Worker(..)) => self.answer(id, command),
            (Err(refusal), Standing::Producer | Standing::Worker(..)) => Err(refusal),
        };
        if let Err(refusal) = outcome {
            self.count.refused += 1;
            if let Some(connection) = self.sessions.get_mut(id) {
                connection.answers.answer(|out| reply::refused(out, &refusal));
            }
        }
    }
}
