//! Jobs that belong together, with callbacks for when they are through.

use serde::{Deserialize, Deserializer, Serialize};

use super::job::Job;

/// A batch to begin.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Batch {
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_bid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<Job>,
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<Job>,
}

impl Batch {
    /// A batch of which a person reads this.
    pub fn new(description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..Self::default() }
    }

    /// It belongs to another one, which waits for it.
    #[must_use]
    pub fn within(mut self, parent: impl Into<String>) -> Self {
        self.parent_bid = Some(parent.into());
        self
    }

    /// The job that is pushed when all jobs are done.
    #[must_use]
    pub fn on_success(mut self, job: Job) -> Self {
        self.success = Some(job);
        self
    }

    /// The job that is pushed when all jobs were run once, whatever came of them.
    #[must_use]
    pub fn on_complete(mut self, job: Job) -> Self {
        self.complete = Some(job);
        self
    }
}

/// How a batch stands.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct BatchStatus {
    /// Its name.
    pub bid: String,
    /// The one it belongs to.
    #[serde(deserialize_with = "text")]
    pub parent_bid: String,
    /// What a person reads.
    #[serde(deserialize_with = "text")]
    pub description: String,
    /// Jobs in it.
    pub total: u64,
    /// Jobs that are not through.
    pub pending: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Empty, `1` when the callback for completion is enqueued, `2` when it is done.
    #[serde(deserialize_with = "text")]
    pub complete_st: String,
    /// Empty, `1` when the callback for success is enqueued, `2` when it is done.
    #[serde(deserialize_with = "text")]
    pub success_st: String,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
