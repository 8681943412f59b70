//! Which signals ask the engine to stop.

use serde::{Deserialize, Serialize};

/// Signals that ask for a stop, by name (`TERM`): the supervisor carries one out that no manager acknowledges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopSignals {
    /// With grace.
    pub graceful: Vec<String>,
    /// Without.
    pub at_once: Vec<String>,
}

impl StopSignals {
    /// Whether `signal` is one of them.
    pub fn asks(&self, signal: &str) -> bool {
        self.graceful.iter().chain(&self.at_once).any(|name| name == signal)
    }

    pub(crate) fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for StopSignals {
    /// TERM and INT; QUIT.
    fn default() -> Self {
        Self { graceful: vec!["TERM".to_owned(), "INT".to_owned()], at_once: vec!["QUIT".to_owned()] }
    }
}
