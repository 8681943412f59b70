//! One child: its process, its pipes, and what is on its way to it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use evercrew_core::fleet::WorkerId;
use evercrew_core::pool::JobId;
use evercrew_sys::spawn::ExecOutcome;
use rustix::io::{Errno, ioctl_fionread, read, retry_on_intr, write};

/// How many of its last lines are kept.
const TAIL: usize = 10;
/// How much of each.
const LONGEST_KEPT: usize = 512;

/// Something that is read line by line.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) fd: OwnedFd,
    /// The beginning of a line.
    pub(crate) held: Vec<u8>,
    /// The rest of a line that was too long is passed over.
    pub(crate) skipping: bool,
}

/// What a read gave.
pub(crate) enum Got {
    Some(usize),
    Nothing,
    End,
}

impl Pipe {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, held: Vec::new(), skipping: false }
    }

    pub(crate) fn read(&self, bytes: &mut [u8]) -> Got {
        match retry_on_intr(|| read(&self.fd, &mut *bytes)) {
            Ok(0) => Got::End,
            Ok(count) => Got::Some(count),
            Err(Errno::AGAIN) => Got::Nothing,
            Err(_) => Got::End,
        }
    }
}

/// A job in a child's hand.
#[derive(Debug)]
pub(crate) struct InHand {
    pub(crate) job: JobId,
    pub(crate) id: Arc<str>,
    /// Where its line begins among all bytes ever written to the child.
    pub(crate) from: u64,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    All,
    /// The child does not read: the rest waits.
    Rest,
    /// The child reads no more.
    Broken,
}

/// A child.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: WorkerId,
    pub(crate) name: Arc<str>,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
    /// What becomes of its exec, until that is known.
    pub(crate) outcome: Option<ExecOutcome>,
    /// No program ever ran in it: it is only to be reaped.
    pub(crate) stillborn: bool,
    pub(crate) input: Option<OwnedFd>,
    /// Where answers come from.
    pub(crate) answers: Option<Pipe>,
    pub(crate) errors: Option<Pipe>,
    /// Its standard output, where answers come another way.
    pub(crate) prints: Option<Pipe>,
    outgoing: Vec<u8>,
    sent: usize,
    /// Bytes that were ever meant for it, and written.
    queued: u64,
    written: u64,
    /// The poller tells when it reads again.
    pub(crate) waits_for_room: bool,
    /// Its input is closed once everything is written.
    pub(crate) closing: bool,
    pub(crate) dirty: bool,
    pub(crate) hands: Vec<InHand>,
    pub(crate) speaks: bool,
    pub(crate) tail: VecDeque<String>,
    pub(crate) last_error: Option<String>,
}

/// What a process is made with.
pub(crate) struct Parts {
    pub(crate) id: WorkerId,
    pub(crate) name: Arc<str>,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) child: evercrew_sys::spawn::Child,
    pub(crate) input: OwnedFd,
    pub(crate) answers: OwnedFd,
    pub(crate) errors: OwnedFd,
    pub(crate) prints: Option<OwnedFd>,
}

impl Process {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            id: parts.id,
            name: parts.name,
            slot: parts.slot,
            generation: parts.generation,
            pid: parts.child.pid,
            pidfd: parts.child.pidfd,
            outcome: Some(parts.child.outcome),
            stillborn: false,
            input: Some(parts.input),
            answers: Some(Pipe::new(parts.answers)),
            errors: Some(Pipe::new(parts.errors)),
            prints: parts.prints.map(Pipe::new),
            outgoing: Vec::new(),
            sent: 0,
            queued: 0,
            written: 0,
            waits_for_room: false,
            closing: false,
            dirty: false,
            hands: Vec::new(),
            speaks: false,
            tail: VecDeque::new(),
            last_error: None,
        }
    }

    /// Puts something on its way: `line` appends it.
    pub(crate) fn queue(&mut self, line: impl FnOnce(&mut Vec<u8>)) {
        let before = self.outgoing.len();
        line(&mut self.outgoing);
        self.queued += (self.outgoing.len() - before) as u64;
    }

    /// Puts a job on its way.
    pub(crate) fn hand(&mut self, job: JobId, id: Arc<str>, line: impl FnOnce(&mut Vec<u8>)) {
        let from = self.queued;
        self.queue(line);
        self.hands.push(InHand { job, id, from });
    }

    /// Writes as much as it takes. Never waits.
    pub(crate) fn flush(&mut self) -> Flushed {
        let Some(input) = &self.input else {
            self.outgoing.clear();
            self.sent = 0;
            return Flushed::Broken;
        };
        while self.sent < self.outgoing.len() {
            match retry_on_intr(|| write(input, &self.outgoing[self.sent..])) {
                Ok(count) => {
                    self.sent += count;
                    self.written += count as u64;
                }
                Err(Errno::AGAIN) => {
                    self.outgoing.drain(..self.sent);
                    self.sent = 0;
                    return Flushed::Rest;
                }
                Err(_) => return Flushed::Broken,
            }
        }
        self.outgoing.clear();
        // One huge job is not to be paid for for ever.
        self.outgoing.shrink_to(64 << 10);
        self.sent = 0;
        Flushed::All
    }

    /// The jobs in hand of whose lines it has read nothing.
    pub(crate) fn unread(&self) -> Vec<JobId> {
        let inside = self.input.as_ref().map_or(0, |input| ioctl_fionread(input).unwrap_or(0));
        let read = self.written.saturating_sub(inside);
        self.hands.iter().filter(|held| held.from >= read).map(|held| held.job).collect()
    }

    /// The only job in hand, for the log.
    pub(crate) fn only_job(&self) -> Option<Arc<str>> {
        match self.hands.as_slice() {
            [held] => Some(Arc::clone(&held.id)),
            _ => None,
        }
    }

    /// Keeps one of its last words.
    pub(crate) fn keep(&mut self, line: &str) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        let end = (0..=LONGEST_KEPT.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        self.tail.push_back(line[..end].to_owned());
    }

    /// Every descriptor that the poller watches.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &OwnedFd> {
        let pipes = [&self.answers, &self.errors, &self.prints];
        let pipes = pipes.into_iter().filter_map(|pipe| pipe.as_ref().map(|pipe| &pipe.fd));
        pipes.chain(self.input.iter().filter(|_| self.waits_for_room)).chain([&self.pidfd])
    }

    /// How it ended. Everything of its group is ended before its number is given back.
    ///
    /// # Errors
    /// The kernel's: somebody else reaped it.
    pub(crate) fn reap(&self) -> io::Result<evercrew_sys::process::Status> {
        // Nobody is left in most groups.
        let _ = evercrew_sys::process::signal_group(self.pid, evercrew_core::Signal::Kill);
        evercrew_sys::process::reap(self.pid).map(|(status, _)| status)
    }
}
