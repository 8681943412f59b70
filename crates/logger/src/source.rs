//! A pipe that a worker writes to.

use std::fs::File;
use std::sync::Arc;

use evercrew_wire::logger::{Files, Stream, Style};
use regex_lite::Regex;

use crate::assembly::Assembly;
use crate::entry::{self, Whose};

/// Who writes, as its lines show it.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    /// `web.1`.
    pub(crate) name: Arc<str>,
    /// `web`.
    pub(crate) service: Arc<str>,
    /// From 1.
    pub(crate) generation: u32,
    /// What becomes of its lines.
    pub(crate) style: Style,
    /// The file they go to, less `.log`.
    pub(crate) base: Option<Arc<str>>,
}

impl Writer {
    pub(crate) fn new(name: String, service: String, generation: u32, style: Style) -> Self {
        let (name, service): (Arc<str>, Arc<str>) = (name.into(), service.into());
        let base = match style.files {
            Files::Worker => Some(Arc::clone(&name)),
            Files::Service => Some(Arc::clone(&service)),
            Files::None => None,
        };
        Self { name, service, generation, style, base }
    }

    /// As a line of this stream has it.
    pub(crate) fn whose(&self, stream: Stream) -> Whose<'_> {
        Whose { name: &self.name, service: &self.service, generation: self.generation, stream: entry::word(stream) }
    }
}

/// What makes a pipe the same one when it is attached again.
pub(crate) type Key = (u64, Stream);

/// An attached pipe.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) key: Key,
    pub(crate) pipe: Arc<File>,
    pub(crate) writer: Writer,
    pub(crate) assembly: Assembly,
    /// Until a line matches it.
    pub(crate) ready: Option<Regex>,
    /// A line matched: told again to a manager that asks, since the one that was told may have ended before it could
    /// pass it on.
    pub(crate) matched: bool,
}

impl Source {
    /// Whether this line is the one that makes its writer ready; only the first such line is.
    pub(crate) fn makes_ready(ready: &mut Option<Regex>, line: &[u8]) -> bool {
        let matched = ready.as_ref().is_some_and(|regex| regex.is_match(&String::from_utf8_lossy(line)));
        if matched {
            *ready = None;
        }
        matched
    }
}
