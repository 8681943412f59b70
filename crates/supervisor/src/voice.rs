//! The supervisor's own lines: on standard error at once, and for the engine's log by the manager, when there is one.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use evercrew_core::Level;
use evercrew_sys::descriptor;
use evercrew_sys::terminal::Stderr;
use evercrew_wire::supervisor::ToManager;

use crate::engine::Engine;
use crate::level;
use crate::outgoing::Beside;

/// Lines that wait for a manager; what comes then is on standard error alone.
const MOST_WAITING: usize = 64;
/// The file that an engine without a terminal has for its standard error is begun anew at this size.
const MOST_BYTES: u64 = 1024 * 1024;
/// Its name in the engine's directory.
const FILE: &str = "daemon.log";

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Voice {
    stderr: Stderr,
    least: Cell<Level>,
    waiting: RefCell<Vec<ToManager>>,
    /// Standard error, where it is a file of the engine's own that nobody else bounds.
    file: Option<File>,
}

impl Voice {
    /// # Errors
    /// The kernel's: no descriptor is left.
    pub(crate) fn new(directory: &Path) -> io::Result<Self> {
        let least = std::env::var("EVERCREW_LOG").ok().and_then(|name| level::named(&name)).unwrap_or(Level::Info);
        let file = own_file(&directory.join(FILE));
        Ok(Self { stderr: Stderr::new()?, least: Cell::new(least), waiting: RefCell::default(), file })
    }

    pub(crate) fn set_level(&self, name: &str) {
        self.least.set(level::named(name).unwrap_or(self.least.get()));
    }

    /// Says a line that begins with the name of its level.
    pub(crate) fn say(&self, text: &str) {
        let level = level::of_line(text);
        if level < self.least.get() {
            return;
        }
        self.print(&format!("evercrew: {text}"));
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < MOST_WAITING {
            let words = text.strip_prefix(&level.name().to_uppercase()).unwrap_or(text).trim_start().to_owned();
            waiting.push(ToManager::Said { level: level.name().to_owned(), text: words });
        }
    }

    /// Prints what is for whoever looks at standard error alone.
    pub(crate) fn print(&self, line: &str) {
        if let Some(file) = &self.file
            && file.metadata().is_ok_and(|metadata| metadata.len() > MOST_BYTES)
        {
            // It is opened for appending, so what comes begins the file.
            let _ = file.set_len(0);
        }
        self.stderr.line(line);
    }

    fn take(&self) -> Vec<ToManager> {
        self.waiting.take()
    }
}

/// Standard error, if it is this very file.
fn own_file(path: &Path) -> Option<File> {
    let file = File::from(descriptor::duplicate(io::stderr().as_fd()).ok()?);
    let (ours, named) = (file.metadata().ok()?, std::fs::metadata(path).ok()?);
    (ours.is_file() && (ours.dev(), ours.ino()) == (named.dev(), named.ino())).then_some(file)
}

impl Engine {
    pub(crate) fn say(&self, text: &str) {
        self.voice.say(text);
    }

    /// What was said goes to the manager, when there is one.
    pub(crate) fn tell_what_was_said(&mut self) {
        if self.manager.is_some() {
            for record in self.voice.take() {
                self.tell(record, Beside::Nothing);
            }
        }
    }
}
