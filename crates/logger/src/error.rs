//! What the logger cannot go on without.

use std::fmt;
use std::io;

/// A call that failed, and what it was for.
#[derive(Debug)]
#[non_exhaustive]
pub struct Error {
    attempt: &'static str,
    source: io::Error,
}

impl Error {
    /// For `map_err`.
    pub(crate) fn new(attempt: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { attempt, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.attempt, self.source)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
