//! What a worker tells: readiness, heartbeats and stopping to whoever started it, and lines on standard error.

use std::io::Write;
use std::time::Duration;

use evercrew_core::Level;
use evercrew_sys::notify;
use tokio::time::sleep;

use crate::level;

/// Longest pause between two attempts to say READY.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Says READY=1 until it was heard. Without it the engine would take this worker for one that never got ready, while
/// a full socket (it holds eleven messages) empties within milliseconds.
pub(crate) async fn ready() {
    let mut pause = Duration::from_millis(5);
    while let Err(error) = notify::send("READY=1") {
        if pause >= LONGEST_PAUSE {
            line(Level::Warn, format_args!("readiness cannot be told, trying on: {error}"));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Says STOPPING=1. A lost one costs nothing but an earlier entry in `status`.
pub(crate) fn stopping() {
    let _ = notify::send("STOPPING=1");
}

/// Asks to be replaced; whether it was heard.
pub(crate) fn recycle() -> bool {
    notify::send("X_EVERCREW_RECYCLE=1").is_ok()
}

/// Says WATCHDOG=1. A beat that finds the socket full is not missed: the ones that fill it prove the same.
pub(crate) fn beat() {
    let _ = notify::send("WATCHDOG=1");
}

/// Writes a line to standard error, which may be gone: then there is nobody to tell.
pub(crate) fn line(level: Level, text: std::fmt::Arguments<'_>) {
    if level::lets(level) {
        always(text);
    }
}

/// The same for what was asked for.
pub(crate) fn always(text: std::fmt::Arguments<'_>) {
    let _ = std::io::stderr().write_all(format!("worker: {text}\n").as_bytes());
}
