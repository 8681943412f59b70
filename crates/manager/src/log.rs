//! The engine's own log: lines on standard error at once, and in its file through the logger.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use evercrew_core::Level;
use evercrew_sys::clock;
use evercrew_sys::terminal::Stderr;
use evercrew_wire::control::{Reply, Request};
use evercrew_wire::logger::{DAEMON_LOG, MOST_DAEMON_LOG, ToLogger};
use evercrew_wire::supervisor::ToSupervisor;
use serde_json::{Map, Value, json};

use crate::commands::{Refusal, ok};
use crate::manager::Manager;
use crate::status;

/// Lines that wait for a logger; what comes then is on standard error alone.
const MOST_WAITING: usize = 1024;

/// The engine's own log.
#[derive(Debug)]
pub(crate) struct Log {
    stderr: Stderr,
    least: Level,
    /// An operator set it while the engine ran.
    set: bool,
    waiting: VecDeque<ToLogger>,
    dropped: u64,
}

impl Log {
    /// Lines of `least` and above; EVERCREW_LOG has the last word.
    ///
    /// # Errors
    /// The kernel's: no descriptor is left.
    pub(crate) fn new(least: Level, directory: &Path) -> io::Result<Self> {
        let variable = std::env::var("EVERCREW_LOG").ok().and_then(|name| Level::named(&name));
        let least = variable.unwrap_or(least);
        let stderr = Stderr::new()?.bounded(&directory.join(DAEMON_LOG), MOST_DAEMON_LOG);
        Ok(Self { stderr, least, set: false, waiting: VecDeque::new(), dropped: 0 })
    }

    /// Lines of this level and above from now on, also for the next manager.
    pub(crate) fn set_level(&mut self, least: Level) {
        (self.least, self.set) = (least, true);
    }

    /// What the last manager left of an operator's wish.
    pub(crate) fn restore(&mut self, set: Option<&str>) {
        if let Some(least) = set.and_then(Level::named) {
            self.set_level(least);
        }
    }

    /// For the next manager.
    pub(crate) fn set(&self) -> Option<String> {
        self.set.then(|| self.level().to_owned())
    }

    /// The name of the quietest level that is written.
    pub(crate) fn level(&self) -> &'static str {
        self.least.name()
    }

    /// Whether every decision is wanted.
    pub(crate) fn traces(&self) -> bool {
        self.least == Level::Trace
    }

    /// Adds a line that is written whatever the level.
    pub(crate) fn write_always(&mut self, words: &str) {
        self.put(Level::Info, words);
    }

    /// Adds a line.
    pub(crate) fn write(&mut self, level: Level, words: &str) {
        if level >= self.least {
            self.put(level, words);
        }
    }

    fn put(&mut self, level: Level, words: &str) {
        self.stderr.line(&format!("evercrew: {:<5} {words}", level.name().to_uppercase()));
        if self.waiting.len() >= MOST_WAITING {
            self.dropped += 1;
            return;
        }
        if self.dropped > 0 {
            let told = format!("{} lines of the engine are on standard error alone", self.dropped);
            self.dropped = 0;
            self.wait(Level::Warn, told);
        }
        self.wait(level, words.to_owned());
    }

    /// Adds a line that is on standard error already.
    fn keep(&mut self, level: Level, words: String) {
        if level >= self.least && self.waiting.len() < MOST_WAITING {
            self.wait(level, words);
        }
    }

    fn wait(&mut self, level: Level, text: String) {
        let since = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let at = since.as_millis().try_into().unwrap_or(u64::MAX);
        self.waiting.push_back(ToLogger::Line { at, level: level.name().to_owned(), text });
    }

    /// The next line for the logger.
    pub(crate) fn next(&mut self) -> Option<ToLogger> {
        self.waiting.pop_front()
    }
}

impl Manager {
    /// The supervisor has no log of its own.
    pub(crate) fn supervisor_said(&mut self, level: &str, text: String) {
        self.log.keep(Level::named(level).unwrap_or(Level::Info), text);
    }

    /// Records a fact that is not the fleet's.
    pub(crate) fn tell(&mut self, level: Level, kind: &'static str, fields: Value, words: &str) {
        self.write_log(level, words);
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        self.events.add(kind, fields);
        // Its number is given: the next manager must not give it again.
        self.dirty = true;
    }

    /// Shows or sets which lines of the engine's own log are written, the supervisor's among them.
    pub(crate) fn log_level(&mut self, request: &Request) -> Result<Reply, Refusal> {
        if let Some(text) = request.args.get("filter").and_then(Value::as_str) {
            let least = Level::named(&text.to_ascii_lowercase()).ok_or_else(|| {
                let text: String = text.chars().take(40).collect();
                (2, format!("`{text}` is no level of the log"), "trace, debug, info, warn, error or fatal".to_owned())
            })?;
            let before = self.log.level();
            self.log.set_level(least);
            self.tell_log_level();
            let (now, fields) = (self.log.level(), json!({"from": before, "to": self.log.level()}));
            self.tell(Level::Info, "engine.log-level", fields, &format!("log level {now} (was {before})"));
        }
        let now = self.log.level();
        Ok(ok(request, now, json!({"filter": now})))
    }

    /// The supervisor's lines go through the same filter.
    pub(crate) fn tell_log_level(&mut self) {
        self.send(&ToSupervisor::LogLevel { level: self.log.level().to_owned() }, Vec::new());
    }

    /// What the next manager must know of has changed.
    pub(crate) fn changed(&mut self) {
        self.dirty = true;
    }

    pub(crate) fn write_log(&mut self, level: Level, words: &str) {
        self.log.write(level, words);
    }

    /// At the first start: where services listen and where their output is.
    pub(crate) fn say_where(&mut self) {
        if self.engine.generation == 1 {
            for line in status::places(&self.engine, &self.crew) {
                self.write_log(Level::Info, &line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(log: &mut Log) -> Vec<String> {
        std::iter::from_fn(|| log.next())
            .map(|line| match line {
                ToLogger::Line { level, text, .. } => format!("{level} {text}"),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn lines_below_the_level_are_not_written_and_it_can_be_changed() {
        let mut log = Log::new(Level::Warn, Path::new("/")).expect("stderr");
        log.write(Level::Info, "quiet");
        log.write(Level::Warn, "loud");
        assert_eq!(texts(&mut log), ["warn loud"]);
        log.set_level(Level::Trace);
        log.write(Level::Debug, "heard");
        assert_eq!(texts(&mut log), ["debug heard"]);
        log.set_level(Level::Fatal);
        log.write(Level::Error, "unheard");
        assert!(texts(&mut log).is_empty());
    }

    #[test]
    fn what_waits_for_a_logger_is_bounded_and_the_rest_is_told() {
        let mut log = Log::new(Level::Info, Path::new("/")).expect("stderr");
        for _ in 0..MOST_WAITING + 3 {
            log.write(Level::Info, "x");
        }
        assert_eq!(texts(&mut log).len(), MOST_WAITING);
        log.write(Level::Info, "y");
        assert_eq!(texts(&mut log), ["warn 3 lines of the engine are on standard error alone", "info y"]);
    }
}
