//! What workers said to a question.

use std::time::Duration;

use evercrew_wire::control::{Reply, ReplyStatus};
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// What all workers that were asked said.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Called {
    /// One entry for each that was asked.
    pub workers: Vec<Answered>,
    /// Slots that are wanted and have no ready worker; they were not asked.
    #[serde(default)]
    pub missing: Vec<String>,
    /// From the request to the answer, in the engine.
    #[serde(default, rename = "took_seconds", deserialize_with = "seconds")]
    pub took: Duration,
}

/// What became of one worker's question.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Answered {
    /// `web.1`.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The reason of a failure, or what it said.
    #[serde(default)]
    pub message: String,
    /// What it answered.
    #[serde(default)]
    pub content: Value,
}

/// What became of one worker's question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// It did it.
    Ok,
    /// It did not; its message says why.
    Failed,
    /// It said nothing by the deadline.
    Timeout,
    /// It ended unasked before it answered.
    Died,
    /// It was asked to leave before it answered.
    Replaced,
    /// The answer was complete without it.
    Unneeded,
    /// Something that a later engine knows.
    #[serde(other)]
    Other,
}

/// What a stream of a [`call`](crate::Client::call) tells.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Meanwhile {
    /// What became of one worker's question.
    Answered(Answered),
    /// A worker says how far it is.
    Progress {
        /// `web.1`.
        worker: String,
        /// What it says.
        content: Value,
    },
}

impl Called {
    /// A failure that says what each worker said is one all the same.
    pub(crate) fn read(reply: Reply) -> Result<Self> {
        let called = Self::deserialize(&reply.content);
        match reply.status {
            ReplyStatus::Ok => called.map_err(|error| Error::unreadable(&error)),
            ReplyStatus::Failure | ReplyStatus::Processing => {
                let error = Error::refused(&reply);
                Err(match called {
                    Ok(called) => error.with_called(called),
                    Err(_) => error,
                })
            }
        }
    }
}

impl Meanwhile {
    pub(crate) fn read(mut content: Value) -> Option<Self> {
        if let Some(worker) = content["worker"].as_str().map(str::to_owned) {
            return Some(Self::Progress { worker, content: content["progress"].take() });
        }
        Answered::deserialize(content).ok().map(Self::Answered)
    }
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
