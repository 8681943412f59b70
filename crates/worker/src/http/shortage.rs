//! A descriptor kept for the moment in which there is none left.

use std::fs::File;
use std::os::fd::OwnedFd;

/// A descriptor in reserve: with it one connection can be taken from the queue to be told that there are too many.
#[derive(Debug)]
pub(crate) struct Spare(Option<OwnedFd>);

impl Spare {
    pub(crate) fn new() -> Self {
        Self(open())
    }

    /// Gives it up, so that the next accept finds one. False when there was none to give.
    pub(crate) fn give(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Takes it again, as soon as there is one.
    pub(crate) fn take(&mut self) {
        if self.0.is_none() {
            self.0 = open();
        }
    }
}

fn open() -> Option<OwnedFd> {
    File::open("/dev/null").ok().map(OwnedFd::from)
}
