//! What a manager hands on beside its deposit when another takes its place as planned: everything that a crash would lose.
//!
//! One document, JSON in a sealed memfd, and the descriptors of the operators' connections, in the order of
//! [`Handover::clients`]. Times are CLOCK_MONOTONIC in nanoseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command_pipe::Measure;
use crate::control::Reply;
use crate::deposit::{Refused, check_version};
use crate::{Error, Text};

/// Its form.
pub const VERSION: u32 = 1;

/// The document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// [`VERSION`].
    pub version: u32,
    /// Connections, each with a descriptor.
    pub clients: Vec<Client>,
    /// The highest number that a connection ever had.
    pub last_client: u64,
    /// Events that are kept, oldest first, each with its number as `seq`.
    pub events: Vec<Value>,
    /// How many of each kind there were.
    pub counts: Vec<(String, u64)>,
    /// What is known of workers beyond their processes.
    pub workers: Vec<Worker>,
    /// What is counted.
    #[serde(default)]
    pub figures: Figures,
    /// Commands to workers that are open.
    #[serde(default)]
    pub tasks: Vec<Task>,
    /// The highest number that a command to workers ever had.
    #[serde(default)]
    pub last_task: u64,
    /// The next number of a question.
    #[serde(default)]
    pub next_ask: u64,
}

/// A connection of the command socket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// Its number.
    pub id: u64,
    /// What was read from it and not done: requests, the last one perhaps not whole.
    #[serde(default)]
    pub incoming: Text,
    /// What is to be written to it.
    #[serde(default)]
    pub outgoing: Text,
    /// What is to be told to one whose last request was none.
    #[serde(default)]
    pub refused: Option<Reply>,
    /// It sends no more requests.
    #[serde(default)]
    pub ended: bool,
    /// Changing commands whose end is to be written down.
    #[serde(default)]
    pub audited: Vec<Audited>,
    /// Commands that wait.
    #[serde(default)]
    pub waiting: Vec<Waiting>,
    /// Requests that follow events.
    #[serde(default)]
    pub following: Vec<Following>,
}

/// A changing command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// Its request.
    pub request: String,
    /// What it does.
    pub verb: String,
    /// With what.
    pub args: String,
    /// When it came.
    pub began: u64,
}

/// A command that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its request.
    pub request: String,
    /// What for. Services are numbers of the deposit.
    pub goal: Goal,
    /// Until when.
    #[serde(default)]
    pub deadline: Option<u64>,
}

/// What a command waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// Every one of these services is ready, stopped or finished.
    Ready(Vec<u32>),
    /// These services have so many ready workers.
    Scaled(Vec<(u32, u32)>),
    /// These rollouts end.
    Replaced {
        /// The open ones: a service, or one slot of it.
        open: Vec<(u32, Option<u32>)>,
        /// Services whose rollout ended because no worker is wanted.
        none: Vec<u32>,
    },
    /// These services have no process left.
    Stopped(Vec<u32>),
    /// What follows a committed reload.
    Settled {
        /// The reload's number.
        number: u64,
        /// Services whose rollout runs.
        rolling: Vec<u32>,
        /// Services that have to be ready.
        ready: Vec<u32>,
        /// Services that have to be gone.
        gone: Vec<u32>,
        /// What went wrong.
        stopped: Vec<String>,
        /// For the answer.
        content: Value,
    },
    /// The upgrade that this handover is part of.
    Upgraded,
}

/// A request that follows events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Following {
    /// Its request.
    pub request: String,
    /// The next event that it was not sent.
    pub next: u64,
    /// Of which services; all without any.
    #[serde(default)]
    pub services: Vec<String>,
    /// Of which kinds; all without any.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Each heartbeat as well.
    #[serde(default)]
    pub heartbeats: bool,
}

/// What is known of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Which.
    pub worker: u64,
    /// What it last said of itself.
    #[serde(default)]
    pub status: Option<String>,
    /// When it last beat.
    #[serde(default)]
    pub beat: Option<u64>,
    /// Answers that it owes on its command pipe.
    #[serde(default)]
    pub owed: u32,
    /// It closed its end of that.
    #[serde(default)]
    pub closed: bool,
    /// Lines on it that were no answers.
    #[serde(default)]
    pub noise: u64,
    /// What was read from it and not heard: lines, the last one perhaps not whole.
    #[serde(default)]
    pub incoming: Text,
    /// The rest of the line is too long, and forgotten.
    #[serde(default)]
    pub skipping: bool,
}

/// What is counted, by workers and of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// What workers count.
    pub series: Vec<Figure>,
    /// Requests by verb.
    pub commands: Vec<(String, u64)>,
    /// Answers of workers that changed nothing, by why.
    #[serde(default)]
    pub disregarded: Vec<(String, u64)>,
    /// Ends of workers.
    pub exits: Vec<Count>,
    /// Values of workers that were not taken.
    #[serde(default)]
    pub refused: Vec<Count>,
    /// How long workers drained, by service.
    pub drains: Vec<(String, Measure)>,
    /// How late heartbeats came, by service.
    #[serde(default)]
    pub lags: Vec<(String, Measure)>,
    /// Since when workers drain.
    pub draining: Vec<(u64, u64)>,
}

/// One series of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Of which service.
    pub service: String,
    /// Its name.
    pub name: String,
    /// What tells it from others of that name.
    pub labels: BTreeMap<String, String>,
    /// What it means.
    pub help: String,
    /// What workers had that ended.
    pub past: Option<Measure>,
    /// What each has that lives.
    pub live: Vec<(u64, Measure)>,
}

/// How often something was, by service and reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Of which service.
    pub service: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// A command to workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its number.
    pub task: u64,
    /// Who asked.
    pub client: u64,
    /// With which request.
    pub request: String,
    /// What is asked: verbs with their arguments.
    pub calls: Vec<(String, Value)>,
    /// The deadline in milliseconds from the beginning, for the workers.
    #[serde(default)]
    pub deadline_ms: Option<u64>,
    /// Those who are asked.
    pub names: Vec<(u64, String)>,
    /// Slots that are wanted and have no ready worker.
    pub missing: Vec<String>,
    /// When it was asked.
    pub began: u64,
    /// Levels of logs are asked, and the answer is of those.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub levels: bool,
    /// When it is over.
    pub strategy: Strategy,
    /// When it is over in any case.
    #[serde(default)]
    pub deadline: Option<u64>,
    /// Each outcome is told as soon as it is known.
    #[serde(default)]
    pub streams: bool,
    /// Its questions.
    pub asks: Vec<Ask>,
}

/// When a command to workers is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// With every success.
    All,
    /// With every answer.
    Map,
    /// With the first success.
    First,
    /// With so many successes.
    Quorum(u32),
}

/// A question to a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// Its number.
    pub ask: u64,
    /// Whom.
    pub worker: u64,
    /// Which of the calls.
    pub request: u32,
    /// How much of its progress was passed on.
    #[serde(default)]
    pub relayed: u32,
    /// What came of it, if anything.
    #[serde(default)]
    pub outcome: Option<Outcome>,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The worker did it.
    Ok(Value),
    /// It did not.
    Failed {
        /// Why.
        reason: String,
        /// What it sent along.
        content: Option<Value>,
    },
    /// It said nothing in time.
    Timeout,
    /// It ended.
    Died,
    /// It was replaced.
    Replaced,
    /// It was not needed.
    Unneeded,
}

impl Handover {
    /// As JSON.
    ///
    /// # Errors
    /// When serialization fails, which only a bug can cause.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(Error::new("encode what is handed on"))
    }

    /// From JSON.
    ///
    /// # Errors
    /// When it is of another version or none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        check_version(bytes, VERSION)?;
        serde_json::from_slice(bytes).map_err(Error::new("decode what is handed on")).map_err(Refused::Malformed)
    }
}
