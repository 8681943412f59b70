//! The supervisor's own lines: on standard error at once, and for the engine's log by the manager, when there is one.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;

use evercrew_core::Level;
use evercrew_sys::terminal::Stderr;
use evercrew_wire::logger::{DAEMON_LOG, MOST_DAEMON_LOG};
use evercrew_wire::supervisor::ToManager;

use crate::engine::Engine;
use crate::level;
use crate::outgoing::Beside;

/// Lines that wait for a manager; what comes then is on standard error alone.
const MOST_WAITING: usize = 64;

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Voice {
    stderr: Stderr,
    least: Cell<Level>,
    waiting: RefCell<Vec<ToManager>>,
}

impl Voice {
    /// # Errors
    /// The kernel's: no descriptor is left.
    pub(crate) fn new(directory: &Path) -> io::Result<Self> {
        let least = std::env::var("EVERCREW_LOG").ok().and_then(|name| level::named(&name)).unwrap_or(Level::Info);
        let stderr = Stderr::new()?.bounded(&directory.join(DAEMON_LOG), MOST_DAEMON_LOG);
        Ok(Self { stderr, least: Cell::new(least), waiting: RefCell::default() })
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
        self.stderr.line(line);
    }

    fn take(&self) -> Vec<ToManager> {
        self.waiting.take()
    }
}

impl Engine {
    pub(crate) fn say(&self, text: &str) {
        self.voice.say(text);
    }

    /// What was said goes to the manager, when there is one.
    pub(crate) fn tell_what_was_said(&mut self) {
        let dropped = self.manager.as_mut().map_or(0, |manager| manager.outgoing.take_dropped());
        if dropped > 0 {
            self.say(&format!("WARN  {dropped} signals came faster than they could be heard and are dropped"));
        }
        if self.manager.is_some() {
            for record in self.voice.take() {
                self.tell(record, Beside::Nothing);
            }
        }
    }
}
