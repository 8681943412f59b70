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

    /// Gives it up, so that the next accept finds one.
    pub(crate) fn give(&mut self) {
        self.0 = None;
    }

    /// Has it again where it was given. False while there is no other descriptor than the one that was.
    pub(crate) fn regain(&mut self) -> bool {
        if self.0.is_none() {
            self.0 = open();
        }
        self.0.is_some()
    }
}

fn open() -> Option<OwnedFd> {
    File::open("/dev/null").ok().map(OwnedFd::from)
}
