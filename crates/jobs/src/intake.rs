//! Bytes of a client to commands, one after the other.

use std::mem;

use evercrew_wire::faktory::line::{self, Next};
use evercrew_wire::faktory::{Command, Refusal, reply};

use crate::connection::{Received, Standing};
use crate::server::Server;
use crate::sessions::SessionId;

/// Bytes that one read takes.
pub(crate) const ONE_READ: usize = 64 << 10;
/// Most that is received ahead of a command that waits.
const MOST_AHEAD: usize = 256 << 10;

impl Server {
    /// Reads what a client has sent, and carries out the commands in it.
    pub(crate) fn receive(&mut self, id: SessionId) {
        let Some(connection) = self.sessions.get_mut(id) else { return };
        if connection.waiting.is_some() && connection.input.len() >= MOST_AHEAD {
            return;
        }
        // Most clients send a command at a time: those are read in place, and nothing is kept for an idle one.
        let mut bytes = mem::take(&mut self.scratch);
        bytes.resize(ONE_READ, 0);
        match connection.receive(&mut bytes) {
            Received::Nothing => {}
            Received::End => self.finished(id),
            Received::Broken => self.lost(id),
            Received::Some(length) if connection.input.is_empty() => {
                connection.handed_out.clear();
                let taken = self.carry_out(id, &bytes[..length]);
                if let Some(connection) = self.sessions.get_mut(id) {
                    connection.input.extend_from_slice(&bytes[taken..length]);
                }
            }
            Received::Some(length) => {
                connection.handed_out.clear();
                connection.input.extend_from_slice(&bytes[..length]);
                self.go_on(id);
            }
        }
        self.scratch = bytes;
    }

    /// Carries out what was received before.
    pub(crate) fn go_on(&mut self, id: SessionId) {
        let Some(connection) = self.sessions.get_mut(id) else { return };
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
            connection.input = input;
        }
    }

    /// Carries out the commands at the beginning of `bytes`; gives how many bytes they take.
    fn carry_out(&mut self, id: SessionId, bytes: &[u8]) -> usize {
        let mut taken = 0;
        self.dirty.push(id);
        while let Some(connection) = self.sessions.get_mut(id) {
            let rest = &bytes[taken..];
            connection.held_up = false;
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
            if !connection.may_go_on() {
                connection.held_up = !rest.is_empty();
                return taken;
            }
            let logged_in = !matches!(connection.standing, Standing::Stranger { .. });
            match line::next(rest, connection.searched, logged_in) {
                Next::Line(line, length) => {
                    connection.searched = 0;
                    taken += length;
                    self.command(id, line);
                }
                Next::More(_) => {
                    connection.searched = rest.len();
                    return taken;
                }
                Next::TooLong(most) => {
                    connection.searched = 0;
                    let refusal = Refusal::error(format!("the line is too long: at most {most} bytes are taken"));
                    connection.answer(|out| reply::refused(out, &refusal));
                    self.count.refused += 1;
                    if logged_in {
                        connection.skipping = true;
                    } else {
                        connection.closing = true;
                    }
                }
            }
        }
        bytes.len()
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
            (Ok(command), Standing::Producer | Standing::Worker(_)) => self.answer(id, command),
            (Err(refusal), Standing::Producer | Standing::Worker(_)) => Err(refusal),
        };
        if let Err(refusal) = outcome {
            self.count.refused += 1;
            if let Some(connection) = self.sessions.get_mut(id) {
                connection.answer(|out| reply::refused(out, &refusal));
            }
        }
    }
}
