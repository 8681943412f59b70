//! How a command ends when it does not end well.

use std::fmt;

/// Exit codes of CONTRACT "Common exit codes".
pub(crate) mod code {
    pub(crate) const FAILURE: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const NOT_RUNNING: u8 = 3;
    pub(crate) const UNKNOWN: u8 = 4;
    pub(crate) const UNAVAILABLE: u8 = 69;
    pub(crate) const FORBIDDEN: u8 = 77;
    pub(crate) const CONFIGURATION: u8 = 78;
    pub(crate) const TIMEOUT: u8 = 124;
}

/// What went wrong, what to do, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: String::new() }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(code::UNAVAILABLE, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evercrew: {}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n  help: {}", self.hint)?;
        }
        Ok(())
    }
}
