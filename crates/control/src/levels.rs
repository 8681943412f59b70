//! Which lines of its log each process writes.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Levels by process.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Levels {
    /// The manager's.
    pub filter: String,
    /// Of every process that has one: `supervisor`, `manager`, `logger`, `web.1`.
    #[serde(default)]
    pub processes: BTreeMap<String, String>,
}
