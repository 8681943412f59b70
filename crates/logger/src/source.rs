//! A pipe that a worker writes to.

use std::fs::File;
use std::sync::Arc;

use evercrew_wire::logger::Stream;
use regex_lite::Regex;

use crate::assembly::Assembly;

/// Who writes, as its lines show it.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    /// `web.1`.
    pub(crate) name: Arc<str>,
    /// `web`.
    pub(crate) service: Arc<str>,
}

/// What makes a pipe the same one when it is attached again.
pub(crate) type Key = (u64, Stream);

/// An attached pipe.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) key: Key,
    pub(crate) pipe: File,
    pub(crate) writer: Writer,
    pub(crate) assembly: Assembly,
    /// Until a line matches it.
    pub(crate) ready: Option<Regex>,
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
