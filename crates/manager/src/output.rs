//! The logger as the manager sees it: what it is told, what it says, and what happens while there is none.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use evercrew_config::{LogFiles, LogFormat, LogStyle, Ready};
use evercrew_core::Signal;
use evercrew_core::fleet::{Event, Scope, WorkerId, WorkerState};
use evercrew_wire::Text;
use evercrew_wire::logger::{Files, Format, FromLogger, Stream, Style, ToLogger};
use serde_json::json;

use crate::crew::{PROLOGUE, Process};
use crate::link::{Link, Record};
use crate::manager::Manager;
use crate::notices::Level;

/// Records that may wait for the logger beyond what one takeover tells it.
const MAX_LOGGER_QUEUE: usize = 1024;

/// Lines of the engine's own log among them.
const MAX_LINES_QUEUED: usize = 128;

impl Manager {
    /// The regular expression of the line that makes this worker ready, while it is not.
    fn ready_line(&self, id: WorkerId, process: &Process) -> Option<String> {
        let (_, slot, .., state) = self.fleet.worker(id)?;
        match &self.crew.recipe_of(&process.label)?.ready {
            Ready::Output(pattern) if state == WorkerState::Starting && slot != PROLOGUE => Some(pattern.clone()),
            Ready::Output(_) | Ready::Exec | Ready::Notify | Ready::Fd(_) | Ready::Connect | Ready::Http(_) => None,
        }
    }

    /// A process that has output is the logger's to read.
    pub(crate) fn attach_process(&mut self, id: WorkerId, process: &Process) {
        let ready = self.ready_line(id, process);
        if let Some((logger, mut link)) = self.logger.take() {
            self.attach(&mut link, id, process, ready);
            self.logger = Some((logger, link));
        }
    }

    fn attach(&self, link: &mut Link, worker: WorkerId, process: &Process, ready: Option<String>) {
        let label = &process.label;
        let service = self.crew.find(&label.service).and_then(|service| self.crew.service(service));
        let style = style(service.map_or(self.crew.settings().log.style, |service| service.log));
        for (stream, pipe) in [(Stream::Output, &process.output), (Stream::Error, &process.error)] {
            let Some(pipe) = pipe else { continue };
            let record = ToLogger::Attach {
                worker: worker.0,
                name: label.name.clone(),
                service: label.service.clone(),
                generation: label.generation,
                stream,
                ready: ready.clone(),
                style,
                discarded: self.discard.of(worker, stream),
            };
            push(link, &record, vec![Arc::clone(pipe)]);
        }
    }

    fn logger_configuration(&self) -> ToLogger {
        let log = &self.crew.settings().log;
        ToLogger::Configure {
            directory: Text::from(&log.directory),
            terminal: self.terminal,
            engine: style(log.style),
            held: Some(Text::from(&self.launcher.directory().join("held"))),
        }
    }

    /// `[log]` changed. How the lines of a service stand in its files is told with each of its processes.
    pub(crate) fn configure_logger(&mut self) {
        let configure = self.logger_configuration();
        if let Some((_, link)) = &mut self.logger {
            push(link, &configure, Vec::new());
        }
    }

    pub(crate) fn logger_found(&mut self, id: WorkerId, end: OwnedFd) {
        let mut link = match Link::new(end) {
            Ok(link) => link,
            Err(error) => return self.write_log(Level::Error, &format!("cannot talk to the logger: {error}")),
        };
        push(&mut link, &self.logger_configuration(), Vec::new());
        let level = self.log.level_of("logger", None).name().to_owned();
        push(&mut link, &ToLogger::LogLevel { level }, Vec::new());
        for (worker, process) in &self.crew.processes {
            self.attach(&mut link, *worker, process, self.ready_line(*worker, process));
        }
        for (worker, process) in std::mem::take(&mut self.unread) {
            self.attach(&mut link, worker, &process, None);
        }
        self.discard.end();
        self.logger = Some((id, link));
    }

    /// What the logger says; its end shows when it is reaped.
    pub(crate) fn logger_said(&mut self, said: std::io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>>) {
        match said.ok().flatten().map(|(bytes, _)| FromLogger::decode(&bytes)) {
            Some(Ok(FromLogger::Matched { worker })) => self.decide(Event::Ready { worker: WorkerId(worker) }),
            Some(Ok(FromLogger::Tail { worker, lines })) => self.tail_told(worker, &lines),
            Some(Ok(FromLogger::Failed { file, error })) => {
                let file = file.to_path();
                let words =
                    format!("{} cannot be written: {error}; its lines wait, then they are dropped", file.display());
                self.tell(Level::Warn, "log.failed", json!({"file": file, "message": error}), &words);
            }
            Some(Ok(FromLogger::Resumed { file, dropped })) => {
                let file = file.to_path();
                let words = format!("{} is written again; {dropped} lines dropped", file.display());
                self.tell(Level::Info, "log.resumed", json!({"file": file, "dropped": dropped}), &words);
            }
            Some(Err(error)) => self.write_log(Level::Warn, &error.to_string()),
            None => self.end_logger("its link ended"),
        }
    }

    /// It is replaced like any worker, and told everything again.
    fn end_logger(&mut self, why: &str) {
        if let Some((logger, _)) = self.logger.take() {
            self.write_log(Level::Debug, &format!("the logger is replaced: {why}"));
            self.signal(logger, Signal::Kill, Scope::Group, None);
        }
    }

    /// A logger that is gone or does not read is replaced like any worker, and told everything again.
    pub(crate) fn flush_logger(&mut self) {
        let Some((_, link)) = &mut self.logger else { return };
        while link.queued() < MAX_LINES_QUEUED
            && let Some(line) = self.log.next()
        {
            push(link, &line, Vec::new());
        }
        let gone = link.flush().is_err();
        if link.queued() > MAX_LOGGER_QUEUE + 2 * self.crew.processes.len() {
            self.write_log(Level::Error, "the logger does not read what it is told, killing it");
            self.end_logger("it does not read");
        } else if gone {
            self.end_logger("its link ended");
        }
    }
}

fn style(settings: LogStyle) -> Style {
    let LogStyle { files, format, max_size, max_age, keep, compress, terminal } = settings;
    Style {
        files: match files {
            LogFiles::Worker => Files::Worker,
            LogFiles::Service => Files::Service,
            LogFiles::None => Files::None,
        },
        format: match format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        },
        max_size,
        max_age_ms: max_age.map(|age| age.as_millis().try_into().unwrap_or(u64::MAX)),
        keep,
        compress,
        terminal,
    }
}

pub(crate) fn push(link: &mut Link, record: &ToLogger, descriptors: Vec<crate::link::Shared>) {
    // Encoding fails only by a bug; the logger then misses one pipe, whose writer fills it and waits.
    if let Ok(bytes) = record.encode() {
        link.push(Record { bytes, descriptors });
    }
}
