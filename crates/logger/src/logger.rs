//! The loop: one thread, one wait.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::{Mono, Signal};
use evercrew_sys::channel::{Channel, Received};
use evercrew_sys::epoll::{Epoll, Interest, Ready};
use evercrew_sys::signal::SignalFd;
use evercrew_sys::{clock, descriptor, record};
use evercrew_wire::logger::{Files as Which, FromLogger, Stream, ToLogger};
use regex_lite::Regex;

use crate::Error;
use crate::assembly::{Assembly, LINE_LIMIT, Line};
use crate::entry::{MARK, Whose};
use crate::files::Files;
use crate::held::{Held, Partial};
use crate::source::{Key, Source, Writer};
use crate::stamp;
use crate::tail::Tails;
use crate::terminal::Terminal;

const LINK: u64 = 0;
const SIGNALS: u64 = 1;
const TERMINAL: u64 = 2;
const FIRST_SOURCE: u64 = 3;

/// How long the pipes are read on after the end was asked for.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a full disk is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// The most that one read takes: so that no pipe keeps the others waiting.
const READ: usize = 64 * 1024;

/// Reads that empty the largest pipe.
const PIPE_READS: usize = 4;

/// The largest record on the link.
const RECORD_LIMIT: usize = 1 << 20;

/// Bytes of unfinished lines that all pipes may hold together; over it long ones are split earlier.
const HELD_LIMIT: usize = 32 << 20;

/// Who the engine itself is among the names of lines and files.
const ENGINE: &str = "engine";

/// The length of a line when too much is held.
const SHORT_LINE_LIMIT: usize = 16 * 1024;

pub(crate) struct Logger {
    epoll: Epoll,
    /// `None` once manager and supervisor are both gone.
    link: Option<Channel>,
    signals: SignalFd,
    terminal: Terminal,
    /// The terminal is in the set of what is waited for.
    terminal_is_watched: bool,
    files: Files,
    sources: BTreeMap<u64, Source>,
    tokens: BTreeMap<Key, u64>,
    tails: Tails,
    next_token: u64,
    /// Bytes that the unfinished lines of all pipes hold.
    held: usize,
    /// Where they survive this process.
    journal: Option<Held>,
    /// What the logger before this one held of pipes that are not attached yet.
    inherited: BTreeMap<Key, Partial>,
    /// The file of the engine's own lines.
    engine: Option<Arc<str>>,
    /// They are written there.
    engine_is_kept: bool,
    buffer: Vec<u8>,
    /// When it is over, whatever is left.
    end: Option<Mono>,
}

impl Logger {
    /// # Errors
    /// The kernel's, when no descriptor is left.
    pub(crate) fn new(link: OwnedFd, signals: SignalFd, terminal: Terminal) -> Result<Self, Error> {
        let epoll = Epoll::new().map_err(Error::new("make an epoll set"))?;
        let link = Channel::from(link);
        epoll.add(&link, LINK, Interest::READABLE).map_err(Error::new("watch the link"))?;
        epoll.add(&signals, SIGNALS, Interest::READABLE).map_err(Error::new("watch the signals"))?;
        Ok(Self {
            epoll,
            link: Some(link),
            signals,
            terminal,
            terminal_is_watched: false,
            files: Files::new(),
            sources: BTreeMap::new(),
            tokens: BTreeMap::new(),
            tails: Tails::default(),
            next_token: FIRST_SOURCE,
            held: 0,
            journal: None,
            inherited: BTreeMap::new(),
            engine: None,
            engine_is_kept: false,
            buffer: vec![0; READ],
            end: None,
        })
    }

    /// Runs until the end was asked for and everything is written, or its time is over.
    ///
    /// # Errors
    /// The kernel's, when waiting itself fails.
    pub(crate) fn run(mut self) -> Result<(), Error> {
        let mut ready = Vec::new();
        let mut retry: Option<Mono> = None;
        while !self.is_over() {
            let deadline = [self.end, retry].into_iter().flatten().min();
            let timeout = deadline.map(|deadline| deadline.since(clock::mono()));
            self.epoll.wait(&mut ready, timeout).map_err(Error::new("wait"))?;
            // The link first: what it attaches may be what a signal to end is about.
            ready.sort_unstable_by_key(|ready: &Ready| ready.token);
            for event in &ready {
                self.handle(event.token);
            }
            if retry.is_some_and(|retry| retry <= clock::mono()) {
                self.files.flush();
                retry = None;
            }
            retry = self.files.waits().then(|| retry.unwrap_or_else(|| clock::mono().after(RETRY)));
            self.terminal.flush();
            self.watch_terminal();
            self.tell_discarded();
            self.keep_journal();
            for news in self.files.news() {
                self.tell(&news);
            }
        }
        self.finish();
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| end <= clock::mono() || (self.sources.is_empty() && !self.terminal.waits()))
    }

    fn handle(&mut self, token: u64) {
        match token {
            LINK => self.read_link(),
            SIGNALS => self.read_signals(),
            // There is room: the flush after the events uses it.
            TERMINAL => {}
            source => self.read_source(source),
        }
    }

    fn read_link(&mut self) {
        let (mut bytes, mut descriptors) = (Vec::new(), Vec::new());
        while let Some(link) = &self.link {
            match record::receive(link, RECORD_LIMIT, &mut bytes, &mut descriptors) {
                Ok(Received::Message) => {
                    // A record that this version cannot read is a newer manager's: its pipe stays with the supervisor.
                    if let Ok(record) = ToLogger::decode(&bytes) {
                        self.obey(record, descriptors.pop());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Ok(Received::Closed) | Err(_) => {
                    if let Some(link) = self.link.take() {
                        // Nothing else refers to it, so closing it takes it out of the set in any case.
                        let _ = self.epoll.remove(&link);
                    }
                    self.begin_end();
                }
            }
        }
    }

    fn obey(&mut self, record: ToLogger, descriptor: Option<OwnedFd>) {
        match record {
            ToLogger::Configure { directory, terminal, engine, held } => {
                self.files.configure(directory.to_path());
                self.terminal.enable(terminal);
                let base: Arc<str> = Arc::from(ENGINE);
                // It stays open, as the file of a worker does.
                match &self.engine {
                    None => self.files.attach(&base, engine),
                    Some(_) => self.files.restyle(&base, engine),
                }
                self.engine = Some(base);
                self.engine_is_kept = engine.files != Which::None;
                if let (Some(path), None) = (held, &self.journal) {
                    self.open_journal(path.to_path());
                }
            }
            ToLogger::Tail { worker } => self.tell_tail(worker),
            ToLogger::LogLevel { level } => self.files.set_level(&level),
            ToLogger::Attach { worker, name, service, generation, stream, ready, style, discarded } => {
                if let Some(pipe) = descriptor {
                    // The manager has checked it; one that is none makes nobody ready.
                    let ready = ready.and_then(|ready| Regex::new(&ready).ok());
                    self.attach((worker, stream), Writer::new(name, service, generation, style), pipe, ready);
                    if discarded > 0 {
                        self.mark((worker, stream), &format!("{discarded} bytes thrown away: no logger ran"));
                    }
                }
            }
            ToLogger::Line { at, level, text } => self.engine_line(&stamp::of_millis(at), &level, &text),
        }
    }

    fn engine_line(&mut self, stamp: &str, level: &str, text: &str) {
        let Some(base) = self.engine.clone().filter(|_| self.engine_is_kept) else { return };
        let whose = Whose { name: ENGINE, service: ENGINE, generation: 0, stream: level };
        for text in text.lines() {
            self.files.line(&base, stamp, whose, &Line { text: text.as_bytes(), begins: true, ends: true });
        }
        self.files.flush_healthy(&base);
    }

    fn open_journal(&mut self, path: PathBuf) {
        let instance = std::env::var("EVERCREW_INSTANCE").unwrap_or_default();
        let (journal, inherited) = Held::open(path, &instance);
        self.journal = Some(journal);
        self.inherited = inherited;
        self.keep_journal();
    }

    /// Writes the journal anew when it has grown.
    fn keep_journal(&mut self) {
        let Some(journal) = self.journal.as_mut().filter(|journal| journal.is_due()) else { return };
        let attached = self.sources.values().map(|source| {
            let (bytes, continued) = source.assembly.partial();
            (source.key, bytes, continued)
        });
        let inherited = self.inherited.iter().map(|(key, partial)| (*key, &partial.bytes[..], partial.continued));
        journal.write(attached.chain(inherited));
    }

    fn attach(&mut self, key: Key, writer: Writer, pipe: OwnedFd, ready: Option<Regex>) {
        if let Some(token) = self.tokens.get(&key) {
            let Some(source) = self.sources.get_mut(token) else { return };
            let is_told_again = source.matched && ready.is_some();
            source.ready = ready.filter(|_| !is_told_again);
            if source.writer.style != writer.style {
                let old = std::mem::replace(&mut source.writer, writer.clone());
                old.base.iter().for_each(|base| self.files.detach(base));
                writer.base.iter().for_each(|base| self.files.attach(base, writer.style));
            }
            if is_told_again {
                self.tell(&FromLogger::Matched { worker: key.0 });
            }
            return;
        }
        let token = self.next_token;
        // The reading end is nobody else's to read, so its flag is ours to set.
        let watched =
            descriptor::set_nonblocking(&pipe, true).and_then(|()| self.epoll.add(&pipe, token, Interest::READABLE));
        if watched.is_err() {
            return;
        }
        self.next_token += 1;
        writer.base.iter().for_each(|base| self.files.attach(base, writer.style));
        self.tokens.insert(key, token);
        let mut assembly = Assembly::default();
        let inherited = self.inherited.remove(&key);
        let is_inherited = inherited.is_some();
        if let Some(Partial { bytes, continued }) = inherited {
            self.held += bytes.len();
            assembly.restore(bytes, continued);
        } else if let Some(journal) = &mut self.journal {
            journal.note(key, &[], false, None);
        }
        let pipe = Arc::new(File::from(pipe));
        self.files.relief().watch(key, &pipe);
        self.sources.insert(token, Source { key, pipe, writer, assembly, ready, matched: false });
        if is_inherited && key.1 == Stream::Output {
            self.mark(key, "the logger ended unexpectedly; what it read last may be missing");
        }
    }

    /// Says something of a pipe where its lines go.
    fn mark(&mut self, key: Key, text: &str) {
        let Some(source) = self.tokens.get(&key).and_then(|token| self.sources.get(token)) else { return };
        let (writer, stamp) = (&source.writer, stamp::now());
        self.terminal.line(writer, key.1, &Line { text: text.as_bytes(), begins: true, ends: true });
        if let Some(base) = &writer.base {
            self.files.mark(base, &stamp, Whose { stream: MARK, ..writer.whose(key.1) }, text);
            self.files.flush_healthy(base);
        }
    }

    fn read_signals(&mut self) {
        while let Ok(Some(received)) = self.signals.read() {
            match received.signal {
                Some(Signal::Term) => {
                    // What was attached before the request belongs to it.
                    self.read_link();
                    self.begin_end();
                }
                Some(Signal::Usr1) => self.files.reopen(),
                // Ctrl-C and a lost terminal reach the whole foreground group: the supervisor decides what they mean.
                Some(_) | None => {}
            }
        }
    }

    /// A manager that does not read, or is just being replaced, asks again by attaching again.
    fn tell(&self, said: &FromLogger) {
        if let (Some(link), Ok(bytes)) = (&self.link, said.encode()) {
            let _ = record::send(link, &bytes, &[]);
        }
    }

    fn begin_end(&mut self) {
        self.end = self.end.or_else(|| Some(clock::mono().after(PATIENCE)));
    }

    fn read_source(&mut self, token: u64) {
        self.tell_discarded();
        let Some(source) = self.sources.get_mut(&token) else { return };
        match (&*source.pipe).read(&mut self.buffer) {
            Ok(0) => self.detach(token),
            Ok(count) => {
                let limit = if self.held > HELD_LIMIT { SHORT_LINE_LIMIT } else { LINE_LIMIT };
                let stamp = stamp::now();
                let before = source.assembly.held();
                let (terminal, files, writer) = (&mut self.terminal, &mut self.files, &source.writer);
                let (ready, key, whose) = (&mut source.ready, source.key, writer.whose(source.key.1));
                let (mut matched, mut lines, tails) = (false, 0_usize, &mut self.tails);
                source.assembly.feed(&self.buffer[..count], limit, &mut |line| {
                    matched |= Source::makes_ready(ready, line.text);
                    lines += 1;
                    tails.line(key.0, line.text);
                    terminal.line(writer, key.1, &line);
                    if let Some(base) = &writer.base {
                        files.line(base, &stamp, whose, &line);
                    }
                });
                let (partial, continued) = source.assembly.partial();
                self.held = self.held.saturating_sub(before).saturating_add(partial.len());
                if let Some(journal) = self.journal.as_mut().filter(|_| before > 0 || !partial.is_empty()) {
                    // Before the lines are written: one that is killed in between loses them, and repeats none.
                    journal.note(key, partial, continued, (lines == 0).then_some(count));
                }
                if let Some(base) = &writer.base {
                    files.flush_healthy(base);
                }
                if matched {
                    source.matched = true;
                    self.tell(&FromLogger::Matched { worker: key.0 });
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.detach(token),
        }
    }

    /// A file took nothing for so long that output was thrown away: what was begun before ends there.
    fn tell_discarded(&mut self) {
        for (key, count) in self.files.discarded() {
            let Some(source) = self.tokens.get(&key).and_then(|token| self.sources.get_mut(token)) else { continue };
            let (stamp, writer) = (stamp::now(), &source.writer);
            self.held = self.held.saturating_sub(source.assembly.held());
            source.assembly.finish(&mut |line| {
                if let Some(base) = &writer.base {
                    self.files.line(base, &stamp, writer.whose(key.1), &line);
                }
            });
            if let Some(journal) = &mut self.journal {
                journal.note(key, &[], false, None);
            }
            self.mark(key, &format!("{count} bytes thrown away: a write to a log file took longer than a second"));
        }
    }

    /// The last writer is gone: what it began is a line.
    fn detach(&mut self, token: u64) {
        let Some(mut source) = self.sources.remove(&token) else { return };
        self.tokens.remove(&source.key);
        let _ = self.epoll.remove(&*source.pipe);
        self.files.relief().forget(source.key);
        self.held = self.held.saturating_sub(source.assembly.held());
        let stamp = stamp::now();
        let writer = &source.writer;
        if let Some(journal) = &mut self.journal {
            journal.ended(source.key);
        }
        source.assembly.finish(&mut |line| {
            self.tails.line(source.key.0, line.text);
            self.terminal.line(writer, source.key.1, &line);
            if let Some(base) = &writer.base {
                self.files.line(base, &stamp, writer.whose(source.key.1), &line);
            }
        });
        if let Some(base) = &writer.base {
            self.files.detach(base);
        }
        let worker = source.key.0;
        if !self.tokens.keys().any(|(other, _)| *other == worker) {
            self.tails.ended(worker);
        }
    }

    /// What the worker last wrote, what waits in its pipes included.
    fn tell_tail(&mut self, worker: u64) {
        let own: Vec<u64> = self.tokens.iter().filter(|((of, _), _)| *of == worker).map(|(_, token)| *token).collect();
        for token in own {
            // As much as a pipe holds: one that is written without end must not keep the others waiting.
            for _ in 0..PIPE_READS {
                self.read_source(token);
            }
        }
        self.tell(&FromLogger::Tail { worker, lines: self.tails.of(worker) });
    }

    /// Waits for room while something waits for the terminal, and only then.
    fn watch_terminal(&mut self) {
        let waits = self.terminal.waits();
        if waits == self.terminal_is_watched {
            return;
        }
        if let Some(fd) = self.terminal.descriptor() {
            // A file cannot be watched, and never needs to be.
            let _ = if waits { self.epoll.add(fd, TERMINAL, Interest::WRITABLE) } else { self.epoll.remove(fd) };
        }
        self.terminal_is_watched = waits;
    }

    fn finish(&mut self) {
        let left: Vec<u64> = self.sources.keys().copied().collect();
        for token in left {
            self.detach(token);
        }
        self.files.flush();
        self.terminal.flush();
        if let Some(journal) = self.journal.take() {
            journal.remove();
        }
    }
}
