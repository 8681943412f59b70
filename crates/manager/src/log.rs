//! The engine's own log: lines on standard error, and events beside them.

use std::io;

use evercrew_sys::terminal::Stderr;
use serde_json::{Map, Value};

use crate::manager::Manager;
use crate::notices::Level;
use crate::status;

/// Where the manager's lines go, and which of them.
#[derive(Debug)]
pub(crate) struct Log {
    stderr: Stderr,
    debug: bool,
}

impl Log {
    pub(crate) fn new() -> io::Result<Self> {
        let debug = std::env::var_os("EVERCREW_LOG").is_some_and(|level| level == "debug");
        Ok(Self { stderr: Stderr::new()?, debug })
    }

    fn write(&self, level: Level, words: &str) {
        if level != Level::Debug || self.debug {
            self.stderr.line(&format!("evercrew: {} {words}", level.name()));
        }
    }
}

impl Manager {
    /// Records a fact that is not the fleet's.
    pub(crate) fn tell(&mut self, level: Level, kind: &str, fields: Value, words: &str) {
        self.write_log(level, words);
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        self.events.add(kind, fields);
        // Its number is given: the next manager must not give it again.
        self.dirty = true;
    }

    pub(crate) fn write_log(&self, level: Level, words: &str) {
        self.log.write(level, words);
    }

    /// At the first start: where services listen and where their output is.
    pub(crate) fn say_where(&self) {
        if self.engine.generation == 1 {
            for line in status::places(&self.engine, &self.crew) {
                self.write_log(Level::Info, &line);
            }
        }
    }
}
