//! What children write, to what the core understands.

use evercrew_core::Level;
use evercrew_core::fleet::WorkerId;
use evercrew_core::pool::{Echo, Event, Introduction, Reply, Said};
use evercrew_wire::child::{self, Answer, Line, Next, Status};

use crate::dispatcher::{Dispatcher, Part};
use crate::log::{Record, Source};
use crate::process::{Got, Pipe};

/// The longest line of a log that is passed on whole.
const LONGEST_LOGGED: usize = 16 << 10;
/// Reads of what a dead child left: a bound for one whose heirs write on.
const LAST_READS: usize = 64;

/// The words behind an event.
pub(crate) enum Words<'a> {
    None,
    /// An answer.
    Answer(&'a Answer<'a>),
    /// A whole line.
    Line(&'a [u8]),
}

impl Dispatcher {
    /// Reads answers.
    pub(crate) fn hear(&mut self, id: WorkerId) -> bool {
        let Some(pipe) = self.processes.get_mut(&id).and_then(|process| process.answers.as_mut()) else { return false };
        let mut bytes = std::mem::take(&mut self.scratch);
        let got = pipe.read(&mut bytes);
        let more = match got {
            Got::Some(count) if pipe.held.is_empty() => {
                let taken = self.lines(id, &bytes[..count], 0);
                self.hold(id, &bytes[taken..count]);
                true
            }
            Got::Some(count) => {
                let mut held = std::mem::take(&mut pipe.held);
                let searched = held.len();
                held.extend_from_slice(&bytes[..count]);
                let taken = self.lines(id, &held, searched);
                if taken == 0 {
                    if let Some(pipe) = self.processes.get_mut(&id).and_then(|process| process.answers.as_mut()) {
                        pipe.held = held;
                    }
                } else {
                    self.hold(id, &held[taken..]);
                }
                true
            }
            Got::Nothing => false,
            Got::End => {
                let _ = self.epoll.remove(&pipe.fd);
                if let Some(process) = self.processes.get_mut(&id) {
                    process.answers = None;
                }
                false
            }
        };
        self.scratch = bytes;
        more
    }

    fn hold(&mut self, id: WorkerId, rest: &[u8]) {
        if let Some(pipe) = self.processes.get_mut(&id).and_then(|process| process.answers.as_mut()) {
            pipe.held.extend_from_slice(rest);
        }
    }

    /// Takes the whole lines at the beginning of `bytes`; gives how many bytes they are.
    fn lines(&mut self, id: WorkerId, bytes: &[u8], searched: usize) -> usize {
        let (mut taken, mut searched) = (0, searched);
        loop {
            match child::next(&bytes[taken..], searched, self.config.longest_line) {
                Next::Line(line, length) => {
                    searched = 0;
                    taken += length;
                    self.line(id, line);
                }
                Next::More => return taken,
                Next::TooLong => {
                    self.tell(Event::Said { child: id, said: Said::Garbage }, &Words::None);
                    return bytes.len();
                }
            }
        }
    }

    fn line(&mut self, id: WorkerId, line: &[u8]) {
        let said = |said| Event::Said { child: id, said };
        match Line::read(line) {
            Line::Noise => self.tell(said(Said::Noise), &Words::Line(line)),
            Line::Said(child::Said::Ready(ready)) => {
                if let Some(process) = self.processes.get_mut(&id) {
                    process.speaks = true;
                }
                let introduction = Introduction {
                    protocol: ready.protocol,
                    concurrency: ready.concurrency,
                    starts: ready.started,
                    cancels: ready.cancel,
                };
                self.tell(said(Said::Ready(introduction)), &Words::None);
            }
            Line::Said(child::Said::Started(echo)) => {
                let echo = self.echo(id, echo.as_deref());
                self.tell(said(Said::Started(echo)), &Words::None);
            }
            Line::Said(child::Said::Progress(echo, _)) => {
                let echo = self.echo(id, echo.as_deref());
                self.tell(said(Said::Progress(echo)), &Words::Line(line));
            }
            Line::Said(child::Said::Heartbeat) => self.tell(said(Said::Beat), &Words::None),
            Line::Said(child::Said::Log(log)) => {
                let level = Level::named(&log.level).unwrap_or(Level::Info);
                let job = log.id.as_deref().map(Into::into);
                self.record(id, job, Source::Child, level, log.message.into_owned());
            }
            Line::Said(child::Said::Answer(answer)) => {
                let echo = self.echo(id, answer.id.as_deref());
                let reply = match answer.status {
                    Status::Ok => Reply::Ok,
                    Status::Error | Status::Other => Reply::Error,
                    Status::Throttled(after) => Reply::Throttled(after),
                    Status::Discard => Reply::Discard,
                    Status::Unknown => Reply::Unknown,
                    Status::Cancelled => Reply::Cancelled,
                };
                self.tell(said(Said::Answer(echo, reply)), &Words::Answer(&answer));
            }
        }
    }

    /// Which job a child means by an id.
    fn echo(&self, id: WorkerId, echo: Option<&str>) -> Echo {
        let Some(echo) = echo else { return Echo::Missing };
        let process = self.processes.get(&id);
        let held = process.and_then(|process| process.hands.iter().find(|held| *held.id == *echo));
        held.map_or(Echo::Stranger, |held| Echo::Job(held.job))
    }

    /// Reads what a child prints.
    pub(crate) fn overhear(&mut self, id: WorkerId, part: Part) -> bool {
        let mut bytes = std::mem::take(&mut self.scratch);
        let more = self.overhear_into(id, part, &mut bytes);
        self.scratch = bytes;
        more
    }

    fn overhear_into(&mut self, id: WorkerId, part: Part, bytes: &mut [u8]) -> bool {
        let Some(process) = self.processes.get_mut(&id) else { return false };
        let source = if part == Part::Errors { &mut process.errors } else { &mut process.prints };
        let Some(pipe) = source else { return false };
        let mut found = Vec::new();
        let more = match pipe.read(bytes) {
            Got::Some(count) => {
                cut(pipe, &bytes[..count], &mut found);
                true
            }
            Got::Nothing => false,
            Got::End => {
                let _ = self.epoll.remove(&pipe.fd);
                found.extend(Some(text(&pipe.held)).filter(|line| !line.is_empty()));
                *source = None;
                false
            }
        };
        for line in found {
            if let Some(process) = self.processes.get_mut(&id).filter(|_| part == Part::Errors) {
                process.keep(&line);
            }
            let source = if part == Part::Errors { Source::Stderr } else { Source::Stdout };
            self.record(id, None, source, Level::Info, line);
        }
        more
    }

    /// Reads what a child that is dead has left.
    pub(crate) fn hear_rest(&mut self, id: WorkerId) {
        for _ in 0..LAST_READS {
            let more = [self.hear(id), self.overhear(id, Part::Errors), self.overhear(id, Part::Prints)];
            if !more.contains(&true) {
                break;
            }
        }
        // A last line without an end.
        let Some(process) = self.processes.get_mut(&id) else { return };
        if let Some(held) =
            process.errors.as_mut().map(|pipe| std::mem::take(&mut pipe.held)).filter(|held| !held.is_empty())
        {
            let line = text(&held);
            process.keep(&line);
            self.record(id, None, Source::Stderr, Level::Info, line);
        }
    }

    /// One line for the log about a child; the job is the one it has in hand where none is named.
    pub(crate) fn record(
        &mut self,
        id: WorkerId,
        job: Option<std::sync::Arc<str>>,
        source: Source,
        level: Level,
        line: String,
    ) {
        let Some(process) = self.processes.get(&id) else { return };
        let job = job.or_else(|| process.only_job());
        let record = Record { child: std::sync::Arc::clone(&process.name), job, source, level, line, dropped: 0 };
        self.log.tell(record);
    }

    /// One line for the log about the pool, or a child by name.
    pub(crate) fn say(&mut self, child: Option<&str>, level: Level, line: String) {
        let child = child.unwrap_or(&self.config.name).into();
        self.log.tell(Record { child, job: None, source: Source::Pool, level, line, dropped: 0 });
    }

    /// A child printed where answers are expected.
    pub(crate) fn noise(&mut self, id: WorkerId, first: bool, line: &[u8]) {
        let line = text(line);
        if first {
            let printed: String = line.chars().take(100).collect();
            let warning = format!(
                "it printed `{printed}` to its standard output, where answers go; print to standard error, or set the channel to descriptors 3 and 4"
            );
            self.record(id, None, Source::Pool, Level::Warn, warning);
        }
        self.record(id, None, Source::Stdout, Level::Info, line);
    }
}

/// Cuts what was read into lines; of one that is too long the beginning is kept.
fn cut(pipe: &mut Pipe, bytes: &[u8], found: &mut Vec<String>) {
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'\n', rest) {
        let (line, after) = (&rest[..at], &rest[at + 1..]);
        rest = after;
        if std::mem::take(&mut pipe.skipping) {
            continue;
        }
        if pipe.held.is_empty() {
            found.push(text(line));
        } else {
            pipe.held.extend_from_slice(line);
            found.push(text(&pipe.held));
            pipe.held.clear();
        }
    }
    if pipe.skipping {
        return;
    }
    pipe.held.extend_from_slice(rest);
    if pipe.held.len() > LONGEST_LOGGED {
        found.push(text(&pipe.held));
        pipe.held.clear();
        pipe.skipping = true;
    }
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (line, cut) = if line.len() > LONGEST_LOGGED { (&line[..LONGEST_LOGGED], "…") } else { (line, "") };
    String::from_utf8_lossy(line).into_owned() + cut
}
