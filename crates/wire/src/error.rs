//! The one error of this crate.

use std::fmt;

/// A message that could not be encoded or decoded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Error {
    what: &'static str,
    source: serde_json::Error,
}

impl Error {
    pub(crate) fn new(what: &'static str) -> impl FnOnce(serde_json::Error) -> Self {
        move |source| Self { what, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.source)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
