//! A descriptor that is kept for the moment when no other is left.

use std::fs::File;
use std::io;

/// One of the lowest numbers, as it is opened first: also a limit that is lowered later leaves it usable.
#[derive(Debug)]
pub(crate) struct Reserve(Option<File>);

impl Reserve {
    /// With a descriptor in it.
    ///
    /// # Errors
    /// The kernel's: there is none even now.
    pub(crate) fn new() -> io::Result<Self> {
        File::open("/dev/null").map(|file| Self(Some(file)))
    }

    /// Gives it up for something more urgent; false when it was given up before.
    pub(crate) fn give(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Takes one back; whether there is one again.
    pub(crate) fn refill(&mut self) -> bool {
        if self.0.is_none() {
            self.0 = File::open("/dev/null").ok();
        }
        self.0.is_some()
    }
}

/// Whether something failed for want of a descriptor.
pub(crate) fn is_short(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}
