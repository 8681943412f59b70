//! Rollouts that run, and those that were.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Rollouts, newest first.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Rollouts {
    /// One entry each.
    pub rollouts: Vec<Rollout>,
}

/// One rollout.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Rollout {
    /// Of which service.
    pub service: String,
    /// Who asked for it, and by what.
    #[serde(default)]
    pub by: String,
    /// When it began: RFC 3339, UTC.
    #[serde(default)]
    pub began: String,
    /// Slots that are done.
    #[serde(default)]
    pub done: u32,
    /// Of so many.
    #[serde(default)]
    pub total: u32,
    /// How it ended, or that it runs or is paused.
    #[serde(default)]
    pub outcome: String,
    /// Everything else that is told of it.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}
