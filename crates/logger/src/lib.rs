//! The process that holds the workers' output: pipes to lines, lines to the terminal and to files that are rotated.
//!
//! **What it does.** It receives the reading ends of the workers' pipes over its link ([`evercrew_wire::logger`]), cuts
//! what it reads into lines of at most 1 MiB, and writes `web.1 | text` to its standard output and
//! `2026-01-01T00:00:00.000Z web.1 out text` to `web.1.log`. Disk and terminal never touch the manager or a handover that
//! way, and neither of them ever stops a worker: over a bound lines are dropped and counted, and the file says how many.
//! What it has read of unfinished lines survives it in a journal. The reading back, for `evercrew logs`, is here too: who
//! writes the files knows their names and lines.
//!
//! **Where to start.** `logger.rs`, the loop; then `assembly.rs` (bytes to lines), `entry.rs` (a line as it stands in a
//! file), `file.rs` (one file: rotation, moved, full), `files.rs` and `terminal.rs` (all of them), `backlog.rs` (what waits
//! there). Beside it: `compress.rs` and `relief.rs`, the two threads; `held.rs`, the journal. For readers: `history.rs`
//! (what was written) and `follow.rs` (what comes).
//!
//! **What it must never know.** No policy of services, no configuration file, no worker's state: a pipe has a name and a
//! style and that is all. It starts, signals and waits for nobody.
//!
//! **How it is tested.** As a process of its own over a real link, pipes, files and pseudo terminals: `tests/logger`; with
//! an engine around it: `e2e/tests/logs.rs`; the parts that calculate beside their code.

mod assembly;
mod backlog;
mod compress;
mod entry;
mod error;
mod file;
mod files;
mod follow;
mod held;
mod history;
mod logger;
mod name;
mod relief;
mod source;
mod stamp;
mod tail;
mod terminal;

pub use entry::Entry;
pub use error::Error;
pub use follow::{Follower, Found};
pub use history::{Lines, Snapshot, names};
pub use stamp::{ago, moment};
pub use terminal::{color, harmless};

use std::io;
use std::os::fd::OwnedFd;

use evercrew_sys::signal::SignalFd;
use evercrew_sys::terminal::Stderr;

/// Is the logger until it is told to end (SIGTERM) or manager and supervisor are both gone. Returns the exit code.
///
/// Call it in a process with one thread: it blocks all signals.
pub fn run(link: OwnedFd) -> u8 {
    let outcome = start(link);
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            if let Ok(stderr) = Stderr::new() {
                stderr.line(&format!("logger: {error}"));
            }
            1
        }
    }
}

fn start(link: OwnedFd) -> Result<(), Error> {
    let signals = SignalFd::block_all().map_err(Error::new("take over the signals"))?;
    let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let terminal = terminal::Terminal::new(io::stdout(), color);
    logger::Logger::new(link, signals, terminal)?.run()
}
