//! The command socket: lines of JSON; requests at most [`MAX_LINE`] bytes each, replies as long as they have to be.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Text;
use crate::supervisor::Credentials;

/// The name of the control socket among the supervisor's listeners; no configured one can have it.
pub const LISTENER: &str = "@control";
/// Longest line of a request, in bytes.
pub const MAX_LINE: usize = 1024 * 1024;

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the client; every reply carries it.
    pub id: String,
    /// What to do.
    pub verb: String,
    /// The verb's arguments.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
    /// How long the client waits for the terminal reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// One reply: any number with status processing, then exactly one with ok or failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's.
    pub id: String,
    /// How far it is.
    pub status: ReplyStatus,
    /// For a person.
    #[serde(default)]
    pub message: String,
    /// For a program.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub content: Value,
    /// The exit code the command line should give, on failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// What to do about a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyStatus {
    /// Not done; more replies follow.
    Processing,
    /// Done.
    Ok,
    /// Not done, and will not be.
    Failure,
}

impl Reply {
    /// A reply without content.
    pub fn new(id: &str, status: ReplyStatus, message: impl Into<String>) -> Self {
        Self { id: id.to_owned(), status, message: message.into(), content: Value::Null, code: None, hint: None }
    }

    /// With something for a program.
    #[must_use]
    pub fn with_content(mut self, content: Value) -> Self {
        self.content = content;
        self
    }

    /// As one line, newline included.
    pub fn line(&self) -> String {
        // Strings and JSON values always serialize; an empty line would be answered as bad JSON.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// What the workers of a service run in: the content of the reply to `surroundings`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The service's name.
    pub service: String,
    /// `NAME=value`; what is one worker's alone (its name, its port, its sockets) is not among them.
    pub environment: Vec<Text>,
    /// The working directory.
    pub directory: Text,
    /// The user; `None` is the engine's own.
    #[serde(default)]
    pub credentials: Option<Credentials>,
    /// The file mode mask.
    #[serde(default)]
    pub umask: Option<u32>,
    /// Resource limits: name, soft, hard.
    #[serde(default)]
    pub limits: Vec<(String, u64, u64)>,
    /// The nice value.
    #[serde(default)]
    pub nice: Option<i32>,
    /// The OOM score adjustment.
    #[serde(default)]
    pub oom_score_adj: Option<i32>,
}
