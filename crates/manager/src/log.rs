//! The engine's own log: lines on standard error at once, and in its file through the logger.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use evercrew_core::{Filter, Level};
use evercrew_sys::clock;
use evercrew_sys::terminal::Stderr;
use evercrew_wire::logger::{DAEMON_LOG, MOST_DAEMON_LOG, ToLogger};
use serde_json::{Map, Value};

use crate::manager::Manager;
use crate::status;

/// Lines that wait for a logger; what comes then is on standard error alone.
const MOST_WAITING: usize = 1024;

/// The engine's own log.
#[derive(Debug)]
pub(crate) struct Log {
    stderr: Stderr,
    /// Lines of this level and above, where no operator set another one.
    began: Level,
    /// What operators set while the engine ran, of every process.
    set: Filter,
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
        let began = variable.unwrap_or(least);
        let stderr = Stderr::new()?.bounded(&directory.join(DAEMON_LOG), MOST_DAEMON_LOG);
        Ok(Self { stderr, began, set: Filter::default(), waiting: VecDeque::new(), dropped: 0 })
    }

    /// What an operator wants, also of the next manager.
    pub(crate) fn set_filter(&mut self, newer: &Filter) {
        self.set.update(newer);
    }

    /// What the last manager left of an operator's wish.
    pub(crate) fn restore(&mut self, set: Option<&str>) {
        if let Some(set) = set.and_then(|text| Filter::parse(text).ok()) {
            self.set_filter(&set);
        }
    }

    /// For the next manager.
    pub(crate) fn set(&self) -> Option<String> {
        Some(&self.set).filter(|set| !set.is_empty()).map(Filter::to_string)
    }

    /// What is in force: what it began with, and what operators said since.
    pub(crate) fn filter(&self) -> Filter {
        let mut filter = Filter::of_all(self.began);
        match self.set.all() {
            Some(_) => filter = self.set.clone(),
            None => filter.update(&self.set),
        }
        filter
    }

    /// The level of a process.
    pub(crate) fn level_of(&self, process: &str, service: Option<&str>) -> Level {
        self.set_of(process, service).unwrap_or(self.began)
    }

    /// The same, where an operator said it.
    pub(crate) fn set_of(&self, process: &str, service: Option<&str>) -> Option<Level> {
        self.set.of(process, service)
    }

    /// The name of the quietest level of ours that is written.
    pub(crate) fn level(&self) -> &'static str {
        self.least().name()
    }

    fn least(&self) -> Level {
        self.level_of("manager", None)
    }

    /// Whether every decision is wanted.
    pub(crate) fn traces(&self) -> bool {
        self.least() == Level::Trace
    }

    /// Adds a line that is written whatever the level.
    pub(crate) fn write_always(&mut self, words: &str) {
        self.put(Level::Info, words);
    }

    /// Adds a line.
    pub(crate) fn write(&mut self, level: Level, words: &str) {
        if level >= self.least() {
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
        if level >= self.least() && self.waiting.len() < MOST_WAITING {
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
        log.restore(Some("trace"));
        log.write(Level::Debug, "heard");
        assert_eq!(texts(&mut log), ["debug heard"]);
        log.restore(Some("manager=fatal"));
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
