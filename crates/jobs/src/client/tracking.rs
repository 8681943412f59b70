//! How far a job is.

use serde::{Deserialize, Serialize};

/// How far a job is.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct Progress {
    /// Which job.
    pub jid: String,
    /// unknown, enqueued, working, success, failed or dead; the server's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// How much of it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// What a person reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<String>,
    /// When that was said; the server's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// Until when its worker wants to keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserve_until: Option<String>,
}
