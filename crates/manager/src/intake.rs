//! Requests on their way in: what all clients together have sent of lines that nobody has answered yet is bounded.
//!
//! One line may be long, and a thousand clients may each begin one. Beyond the bound the longest line that is not
//! complete is given up, the oldest of several, so that short requests always get through.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evercrew_wire::control::MAX_LINE;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio::sync::Notify;

use crate::clients::ClientId;

/// Bytes of requests that are not answered yet, of all clients.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The lines of all clients.
#[derive(Debug, Default)]
pub(crate) struct Intake(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    bytes: usize,
    lines: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    client: ClientId,
    bytes: Vec<u8>,
    complete: bool,
    given_up: Arc<Notify>,
}

/// One client's next request. What was read of it is with the intake, so that it can be handed on at any time.
#[derive(Debug)]
pub(crate) struct Line {
    number: u64,
    given_up: Arc<Notify>,
    intake: Arc<Intake>,
}

/// What came of reading one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Whole,
    /// The client sends no more.
    End,
    TooLong,
    /// All clients together sent too much, and this was the longest line.
    GivenUp,
}

impl Intake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read from a client and not done.
    pub(crate) fn undone(&self, client: ClientId) -> Vec<u8> {
        let state = self.state();
        state.lines.values().filter(|entry| entry.client == client).flat_map(|entry| entry.bytes.clone()).collect()
    }
}

impl State {
    /// Counts more of a line; false when it is given up.
    fn grow(&mut self, number: u64, more: &[u8]) -> bool {
        let Some(entry) = self.lines.get_mut(&number) else { return false };
        entry.bytes.extend_from_slice(more);
        self.bytes += more.len();
        while self.bytes > MAX_BYTES {
            let begun = self.lines.iter().filter(|(_, entry)| !entry.complete);
            let longest = begun.max_by_key(|(number, entry)| (entry.bytes.len(), std::cmp::Reverse(**number)));
            let Some(longest) = longest.map(|(number, _)| *number) else { break };
            self.forget(longest);
        }
        self.lines.contains_key(&number)
    }

    fn forget(&mut self, number: u64) {
        if let Some(entry) = self.lines.remove(&number) {
            self.bytes -= entry.bytes.len();
            entry.given_up.notify_one();
        }
    }
}

impl Line {
    pub(crate) fn new(intake: &Arc<Intake>, client: ClientId) -> Self {
        let given_up = Arc::new(Notify::new());
        let mut state = intake.state();
        state.next += 1;
        let number = state.next;
        state
            .lines
            .insert(number, Entry { client, bytes: Vec::new(), complete: false, given_up: Arc::clone(&given_up) });
        drop(state);
        Self { number, given_up, intake: Arc::clone(intake) }
    }

    /// Hands it out; it counts until this is dropped.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.intake.state().lines.get(&self.number).map(|entry| entry.bytes.clone()).unwrap_or_default()
    }

    fn length(&self) -> usize {
        self.intake.state().lines.get(&self.number).map_or(0, |entry| entry.bytes.len())
    }

    /// Reads up to the next newline, or the end.
    pub(crate) async fn read(&mut self, source: &mut (impl AsyncBufRead + Unpin)) -> Read {
        loop {
            let chunk = tokio::select! {
                biased;
                () = self.given_up.notified() => return Read::GivenUp,
                chunk = source.fill_buf() => chunk,
            };
            let Ok(chunk) = chunk else { return Read::End };
            if chunk.is_empty() {
                // A last line without a newline is a request too; the next read tells that it was the last.
                return if self.length() == 0 { Read::End } else { self.complete() };
            }
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let taken = newline.map_or(chunk.len(), |at| at + 1);
            let is_kept = self.intake.state().grow(self.number, chunk.get(..taken).unwrap_or_default());
            source.consume(taken);
            if !is_kept {
                return Read::GivenUp;
            }
            if self.length() > MAX_LINE + usize::from(newline.is_some()) {
                return Read::TooLong;
            }
            if newline.is_some() {
                return self.complete();
            }
        }
    }

    fn complete(&mut self) -> Read {
        if let Some(entry) = self.intake.state().lines.get_mut(&self.number) {
            entry.complete = true;
        }
        Read::Whole
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.intake.state().forget(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(test);
    }

    #[test]
    fn beyond_the_bound_the_longest_begun_line_goes_and_all_bytes_are_given_back() {
        run(async {
            let intake = Arc::new(Intake::default());
            let text = vec![b'x'; MAX_LINE];
            let mut begun = Vec::new();
            for _ in 0..MAX_BYTES / MAX_LINE {
                let line = Line::new(&intake, ClientId(1));
                assert!(intake.state().grow(line.number, &text));
                begun.push(line);
            }
            let mut short = Line::new(&intake, ClientId(1));
            assert_eq!(short.read(&mut &b"{}\n{}"[..]).await, Read::Whole);
            assert_eq!(short.take(), b"{}\n");
            assert_eq!(begun[0].read(&mut &b"more"[..]).await, Read::GivenUp, "the oldest of the longest");
            assert_eq!(intake.state().lines.len(), begun.len());
            drop((begun, short));
            let state = intake.state();
            assert_eq!((state.bytes, state.lines.len()), (0, 0));
        });
    }

    #[test]
    fn what_is_complete_is_never_given_up_and_one_that_finds_no_room_is() {
        run(async {
            let intake = Arc::new(Intake::default());
            let mut text = vec![b'x'; MAX_LINE];
            text.push(b'\n');
            let mut complete = Vec::new();
            for _ in 0..MAX_BYTES / (MAX_LINE + 1) {
                let mut line = Line::new(&intake, ClientId(1));
                assert_eq!(line.read(&mut &text[..]).await, Read::Whole);
                complete.push(line);
            }
            assert_eq!(Line::new(&intake, ClientId(1)).read(&mut &text[..]).await, Read::GivenUp);
            complete.pop();
            assert_eq!(Line::new(&intake, ClientId(1)).read(&mut &text[..]).await, Read::Whole);
        });
    }

    #[test]
    fn one_byte_too_many_is_too_long_and_the_end_is_told() {
        run(async {
            let intake = Arc::new(Intake::default());
            let long = vec![b'x'; MAX_LINE + 1];
            assert_eq!(Line::new(&intake, ClientId(1)).read(&mut &long[..]).await, Read::TooLong);
            assert_eq!(
                Line::new(&intake, ClientId(1)).read(&mut &long[1..]).await,
                Read::Whole,
                "a last line needs no newline"
            );
            assert_eq!(Line::new(&intake, ClientId(1)).read(&mut &b""[..]).await, Read::End);
        });
    }
}
