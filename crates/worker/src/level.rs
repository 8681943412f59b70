//! Which lines this process writes: what EVERCREW_LOG says, until an operator says something else.

use std::sync::LazyLock;

use evercrew_core::{Least, Level};
use evercrew_wire::command_pipe::LogLevel;
use serde_json::Value;

static LEAST: LazyLock<Least> = LazyLock::new(|| {
    let variable = std::env::var("EVERCREW_LOG").ok();
    Least::new(variable.and_then(|name| Level::named(&name.to_ascii_lowercase())).unwrap_or(Level::Info))
});

/// The quietest level of lines that this process should write, as operators want it: `evercrew log-level web=debug`.
pub fn log_level() -> Level {
    LEAST.get()
}

/// Whether a line of this level is written.
pub(crate) fn lets(level: Level) -> bool {
    level >= log_level()
}

/// What an operator wants, or asks; `tell` hears of a change.
///
/// # Errors
/// When it is no level.
pub(crate) fn answer(args: &Value, tell: impl FnOnce(Level)) -> Result<Value, String> {
    if let Some(name) = LogLevel::of(args).level {
        let level = Level::named(&name).ok_or_else(|| format!("`{name:.40}` is no level of a log"))?;
        LEAST.set(level);
        tell(level);
    }
    Ok(LogLevel { level: Some(log_level().name().to_owned()) }.content())
}
