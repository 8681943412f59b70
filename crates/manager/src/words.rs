//! Command pipes: words to programs that take them, and what those answer.
//!
//! The word in the place of a stop's first signal goes through the supervisor, which knows what was sent last and sends the
//! signal where the pipe takes nothing. Every other word is written here: it is told once, or somebody hears that it was
//! not.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evercrew_core::Word;
use evercrew_core::fleet::WorkerId;
use evercrew_sys::stream;
use evercrew_wire::command_pipe::{self, MAX_LINE, Said};
use evercrew_wire::supervisor::Label;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::crew::Process;
use crate::input::Input;
use crate::link::Shared;
use crate::manager::Manager;
use crate::notices::Level;
use crate::readiness;

/// Lines of one worker that are read in a second; the rest waits in its pipe.
const LINES_A_SECOND: u32 = 100;
/// How long it is read after its process is gone.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long what it wrote before its end is read, where somebody else holds its end open.
const LAST_ANSWERS: Duration = Duration::from_millis(50);
/// What is kept of a line that is too long: enough to see what it answers.
const BEGINNING: usize = 256;

/// What a reading found.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Whole(Vec<u8>),
    /// Longer than a line may be: its beginning; the rest is read and forgotten.
    TooLong(Vec<u8>),
}

/// Bytes become lines; a line that is too long takes no more room than one that is not.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
    skipping: bool,
}

/// What was read from a command pipe and not heard yet: where another manager can go on from at any time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unheard(Arc<Mutex<(Lines, VecDeque<Line>)>>);

impl Unheard {
    /// With the line that another manager had begun to read.
    pub(crate) fn begun(bytes: Vec<u8>, skipping: bool) -> Self {
        Self(Arc::new(Mutex::new((Lines { begun: bytes, skipping }, VecDeque::new()))))
    }

    /// The line that is not whole, and whether the rest of it is forgotten.
    pub(crate) fn rest(&self) -> (Vec<u8>, bool) {
        let state = self.state();
        (state.0.begun.clone(), state.0.skipping)
    }

    fn read(&self, bytes: &[u8]) {
        let mut state = self.state();
        let lines = state.0.take(bytes);
        state.1.extend(lines);
    }

    fn is_empty(&self) -> bool {
        self.state().1.is_empty()
    }

    /// What the next line says.
    pub(crate) fn hear(&self) -> Option<Heard> {
        Some(match self.state().1.pop_front()? {
            Line::Whole(line) => {
                Said::decode(&line).map_or(Heard::Noise, |said| Heard::Line(Box::new(said), line.len()))
            }
            Line::TooLong(beginning) => Heard::TooLong(Said::id_of_beginning(&beginning)),
        })
    }

    fn state(&self) -> MutexGuard<'_, (Lines, VecDeque<Line>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn take(&mut self, mut bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            bytes = rest.get(1..).unwrap_or_default();
            if !self.skipping && self.begun.len() + part.len() > MAX_LINE {
                self.begun.extend_from_slice(&part[..part.len().min(BEGINNING)]);
                self.begun.truncate(BEGINNING);
                lines.push(Line::TooLong(self.begun.clone()));
                (self.begun, self.skipping) = (Vec::new(), true);
            }
            if !self.skipping {
                self.begun.extend_from_slice(part);
            }
            if end.is_some() {
                let line = std::mem::take(&mut self.begun);
                if !std::mem::take(&mut self.skipping) {
                    lines.push(Line::Whole(line));
                }
            }
        }
        lines
    }
}

/// What became of the other end of a command pipe.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A line, with its length.
    Line(Box<Said>, usize),
    /// A line that is nothing that a program may say.
    Noise,
    /// A line that is too long, and the number of the question that it answers, where it says so.
    TooLong(Option<u64>),
    /// The worker closed its end and lives on.
    Closed,
    /// The worker ended, and everything that it had written by then was read.
    End,
}

/// What a worker wrote on its command pipe.
#[derive(Debug)]
pub(crate) struct Spoken {
    pub(crate) worker: WorkerId,
    pub(crate) label: Label,
    pub(crate) pid: u32,
    pub(crate) heard: Heard,
}

/// Whose lines are read, and who hears them.
#[derive(Debug)]
struct Listener {
    worker: WorkerId,
    label: Label,
    pid: u32,
    /// Lines that it was asked for: they are read as fast as they come.
    owed: Arc<AtomicU32>,
    unheard: Unheard,
    inputs: mpsc::Sender<Input>,
}

impl Listener {
    /// Whether there is still somebody to tell.
    async fn tell(&self, heard: Heard) -> bool {
        self.inputs.send(Input::Said(self.said(heard))).await.is_ok()
    }

    fn said(&self, heard: Heard) -> Box<Spoken> {
        Box::new(Spoken { worker: self.worker, label: self.label.clone(), pid: self.pid, heard })
    }

    /// Whether the line was asked for.
    fn is_owed(&self) -> bool {
        self.owed.fetch_update(Relaxed, Relaxed, |owed| owed.checked_sub(1)).is_ok()
    }

    /// Reads until the worker closes its end, or until a little after it is `gone`: what it last wrote is still there
    /// then, and somebody whom it started may hold its end open.
    async fn listen(self, pipe: Shared, mut gone: oneshot::Receiver<()>) {
        let reading = read_lines(pipe, &self);
        tokio::pin!(reading);
        // A pipe that cannot be read says nothing.
        let closed = tokio::select! {
            _ = &mut reading => true,
            _ = &mut gone => false,
        };
        if closed {
            // A process that ends closes it first; then it has ended, which is another thing to say.
            if tokio::time::timeout(LAST_ANSWERS, &mut gone).await.is_err() {
                self.tell(Heard::Closed).await;
                let _ = gone.await;
            }
            self.tell(Heard::End).await;
            return;
        }
        let ended = tokio::time::timeout(LAST_ANSWERS, &mut reading).await.is_ok();
        self.tell(Heard::End).await;
        if !ended {
            drop(tokio::time::timeout(LAST_WORDS, reading).await);
        }
    }
}

async fn read_lines(pipe: Shared, listener: &Listener) -> io::Result<()> {
    let readiness = readiness::watch(&*pipe)?;
    drop(pipe);
    let mut bytes = vec![0; 4096];
    let mut pace = Pace { read: 0, since: Instant::now() };
    loop {
        let mut ready = readiness.readable().await?;
        match stream::receive(&readiness, &mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                listener.unheard.read(&bytes[..count]);
                while !listener.unheard.is_empty() {
                    // The loop is gone when this fails.
                    let Ok(place) = listener.inputs.reserve().await else { return Ok(()) };
                    let Some(heard) = listener.unheard.hear() else { break };
                    let owed = matches!(&heard, Heard::Line(said, _) if matches!(**said, Said::Answer(_)))
                        && listener.is_owed();
                    place.send(Input::Said(listener.said(heard)));
                    if !owed && let Some(pause) = pace.read(Instant::now()) {
                        tokio::time::sleep_until(pause).await;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(error) => return Err(error),
        }
    }
}

/// How fast one worker is listened to.
#[derive(Debug)]
struct Pace {
    read: u32,
    since: Instant,
}

impl Pace {
    /// One more line was read; until when to read no other.
    fn read(&mut self, now: Instant) -> Option<Instant> {
        let second = self.since + Duration::from_secs(1);
        if now >= second {
            *self = Self { read: 0, since: now };
        }
        self.read += 1;
        (self.read >= LINES_A_SECOND).then_some(second).filter(|until| *until > now)
    }
}

impl Process {
    /// Tells it a word.
    ///
    /// # Errors
    /// Why it cannot be told, in words.
    fn say(&self, word: Word) -> Result<(), String> {
        self.write(&command_pipe::line(word.name()))
    }

    /// Puts a question to it, and listens for its answer.
    ///
    /// # Errors
    /// Why it cannot be told, in words.
    pub(crate) fn ask(&self, line: &[u8]) -> Result<(), String> {
        let name = &self.label.name;
        let pipe = self.command.as_ref().ok_or_else(|| format!("{name} has no command pipe"))?;
        if self.closed {
            return Err(format!("{name} has closed its command pipe"));
        }
        match stream::send_line(pipe, line) {
            Ok(()) => {
                self.owed.fetch_add(1, Relaxed);
                Ok(())
            }
            // Whoever reads it tells whether it has just ended.
            Err(error) if is_closed(&error) => Ok(()),
            Err(error) => Err(untold_why(name, &error)),
        }
    }

    /// Writes a line to it, whole or not at all.
    ///
    /// # Errors
    /// Why it cannot be told, in words.
    pub(crate) fn write(&self, line: &[u8]) -> Result<(), String> {
        let name = &self.label.name;
        let Some(pipe) = &self.command else { return Err(format!("{name} has no command pipe")) };
        stream::send_line(pipe, line).map_err(|error| untold_why(name, &error))
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn untold_why(name: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock => format!("{name} does not read its command pipe, which is full"),
        _ if is_closed(error) => format!("{name} has closed its command pipe"),
        _ => format!("the command pipe of {name} cannot be written: {error}"),
    }
}

impl Manager {
    /// Reads what the process answers; whoever drops what this gives says that it is gone.
    pub(crate) fn listen(&self, worker: WorkerId, process: &Process) -> Option<oneshot::Sender<()>> {
        let pipe = process.command.clone()?;
        let (alive, gone) = oneshot::channel();
        let (label, pid, inputs) = (process.label.clone(), process.pid, self.inputs.clone());
        let (owed, unheard) = (Arc::clone(&process.owed), process.unheard.clone());
        tokio::spawn(Listener { worker, label, pid, owed, unheard, inputs }.listen(pipe, gone));
        Some(alive)
    }

    /// Tells a worker a word, and everybody else that it was told.
    pub(crate) fn say(&mut self, worker: WorkerId, word: Word, why: &str) -> Result<(), String> {
        let Some(process) = self.crew.processes.get(&worker) else { return Err("it has no process".to_owned()) };
        process.say(word)?;
        let label = &process.label;
        let fields = json!({"service": label.service, "worker": label.name, "generation": label.generation,
                            "pid": process.pid, "word": word.name()});
        let words = format!("{}: {word}, {why}", label.name);
        self.tell(Level::Info, "worker.told", fields, &words);
        Ok(())
    }

    /// Tells all of `workers` that take words; who cannot be told is named in the log.
    pub(crate) fn say_to_all(&mut self, workers: &[WorkerId], word: Word, why: &str) {
        for worker in workers {
            let takes = self.crew.processes.get(worker).is_some_and(|process| process.command.is_some());
            if takes && let Err(reason) = self.say(*worker, word, why) {
                self.write_log(Level::Warn, &format!("{word} was not told: {reason}"));
            }
        }
    }

    /// What programs know of themselves and write down when they are asked.
    pub(crate) fn ask_for_dumps(&mut self) {
        let all: Vec<WorkerId> = self.crew.processes.keys().copied().collect();
        self.say_to_all(&all, Word::Dump, "for a dump");
    }
}

/// The words by their names, for messages.
pub(crate) fn names() -> String {
    let names: Vec<&str> = Word::ALL.iter().map(|word| word.name()).collect();
    names.join(", ")
}

/// What an operator is told when a word did not reach everybody.
pub(crate) fn untold(word: Word, reasons: &[String], told: &[Value]) -> (String, String) {
    let mut text = format!("{word} was not told: {}", reasons.join("; "));
    if !told.is_empty() {
        let names: Vec<&str> = told.iter().filter_map(|worker| worker["name"].as_str()).collect();
        text.push_str(&format!("; told: {}", names.join(" ")));
    }
    (text, "write `command_pipe = true` for a service whose program reads EVERCREW_COMMAND_FD".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Line {
        Line::Whole(text.into())
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"a"), []);
        assert_eq!(lines.take(b"b\nc\n\nd"), [whole("ab"), whole("c"), whole("")]);
        assert_eq!(lines.take(b"\n"), [whole("d")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_takes_no_room() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; 4096];
        let told: Vec<Line> = (0..1000).flat_map(|_| lines.take(&piece)).collect();
        assert_eq!(told, [Line::TooLong(vec![b'x'; BEGINNING])]);
        assert!(lines.begun.capacity() == 0, "{}", lines.begun.capacity());
        assert_eq!(lines.take(b"x\nafter\n"), [whole("after")]);
        let longest = vec![b'y'; MAX_LINE];
        assert_eq!(lines.take(&longest), []);
        assert_eq!(lines.take(b"\n"), [Line::Whole(longest)]);
    }

    #[test]
    fn a_second_has_so_many_lines_and_no_more() {
        let begin = Instant::now();
        let mut pace = Pace { read: 0, since: begin };
        let at = |millis| begin + Duration::from_millis(millis);
        assert!((1..LINES_A_SECOND).all(|_| pace.read(at(10)).is_none()));
        assert_eq!(pace.read(at(20)), Some(at(1000)));
        assert_eq!(pace.read(at(1000)), None, "the next second has lines of its own");
        assert!((2..LINES_A_SECOND).all(|_| pace.read(at(1500)).is_none()));
        assert_eq!(pace.read(at(1500)), Some(at(2000)));
    }

    #[tokio::test]
    async fn reading_ends_with_the_pipe() {
        let (ours, theirs) = stream::pair().expect("a pair");
        stream::send_line(&theirs, b"{\"status\":\"ok\"}\nnoise\nhalf").expect("written");
        drop(theirs);
        let (inputs, mut heard) = mpsc::channel(8);
        let label = Label { name: "s.1".into(), service: "s".into(), slot: 1, generation: 1, epoch: 1 };
        let owed = Arc::default();
        let listener = Listener { worker: WorkerId(1), label, pid: 2, owed, unheard: Unheard::default(), inputs };
        read_lines(std::sync::Arc::new(ours), &listener).await.expect("an end");
        drop(listener);
        let mut answers = Vec::new();
        while let Some(Input::Said(said)) = heard.recv().await {
            answers.push(matches!(said.heard, Heard::Line(..)));
        }
        assert_eq!(answers, [true, false], "half a line is none");
    }
}
