//! What a server says on standard error.

use std::io::Write;
use std::sync::LazyLock;

use evercrew_core::{Least, Level};
use evercrew_wire::command_pipe::LogLevel;
use serde_json::Value;

/// Which lines are written: what EVERCREW_LOG says, until an operator says something else.
static LEAST: LazyLock<Least> = LazyLock::new(|| {
    let variable = std::env::var("EVERCREW_LOG").ok();
    Least::new(variable.and_then(|name| Level::named(&name.to_ascii_lowercase())).unwrap_or(Level::Info))
});

/// Lines for people.
#[derive(Debug, Default)]
pub(crate) struct Notices;

impl Notices {
    /// A batch could not be kept.
    pub(crate) fn refused(&self, why: &str) {
        line(Level::Warn, format_args!("pushes are refused for now: {why}"));
    }

    /// A job has no text.
    pub(crate) fn damaged(&self, jid: &str) {
        line(
            Level::Error,
            format_args!(
                "the store has lost the text of job {jid}: it is dead; see `{}` for the rest of the store",
                evercrew_store::REPAIR
            ),
        );
    }

    /// A crash cut a last commit short.
    pub(crate) fn cut(&self, pages: u64) {
        line(
            Level::Warn,
            format_args!("{pages} pages of a last commit that nobody was told of were cut off after a crash"),
        );
    }
}

/// Writes a line to standard error, which may be gone: then there is nobody to tell.
pub(crate) fn line(level: Level, text: std::fmt::Arguments<'_>) {
    if level >= LEAST.get() {
        let _ = std::io::stderr().write_all(format!("queue: {text}\n").as_bytes());
    }
}

/// What an operator wants of the level, or asks.
///
/// # Errors
/// When it is no level.
pub(crate) fn level(args: &Value) -> Result<Value, String> {
    if let Some(name) = LogLevel::of(args).level {
        LEAST.set(Level::named(&name).ok_or_else(|| format!("`{name:.40}` is no level of a log"))?);
    }
    Ok(LogLevel { level: Some(LEAST.get().name().to_owned()) }.content())
}
