//! Verbs: what each answers, and what it tells meanwhile.

use evercrew_wire::control::{Reply, ReplyStatus, Surroundings as Within};
use evercrew_wire::status::Status as Document;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::call::{Called, Meanwhile};
use crate::error::{Error, Result};
use crate::events::Kept;
use crate::levels::Levels;
use crate::metrics::Metrics as Figures;
use crate::request::Request;
use crate::rollouts::Rollouts as Known;

/// A verb, as the type of an [`Ask`](crate::Ask). Implemented here alone.
pub trait Verb: sealed::Sealed + Sized {
    /// What it answers.
    type Answer: Send;
    /// What it tells until then.
    type Progress;

    #[doc(hidden)]
    fn answer(reply: Reply) -> Result<Self::Answer>;

    #[doc(hidden)]
    fn progress(reply: Reply) -> Option<Self::Progress>;

    #[doc(hidden)]
    fn streamed(request: Request) -> Request {
        request
    }
}

mod sealed {
    /// Whoever has it is a verb of this crate.
    pub trait Sealed {}
}

/// What was asked for came to be.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Done {
    /// For a person.
    pub message: String,
    /// For a program: see the verb in the reference.
    pub content: Value,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// For a person.
    pub message: String,
    /// For a program: see the verb in the reference.
    pub content: Value,
}

/// A worker that a signal was sent to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Signalled {
    /// `web.1`.
    pub name: String,
    /// Its process.
    pub pid: u32,
}

#[derive(Deserialize)]
struct SignalledAll {
    workers: Vec<Signalled>,
}

/// What an engine is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Version {
    /// Its version.
    pub version: String,
    /// Its table of verbs.
    #[serde(default)]
    pub verbs: Vec<Value>,
}

macro_rules! verbs {
    ($($(#[$about:meta])+ $name:ident: $answer:ty, $progress:ty, $read:expr, $tell:expr;)+) => {
        $(
            $(#[$about])+
            #[derive(Debug)]
            pub enum $name {}

            impl sealed::Sealed for $name {}

            impl Verb for $name {
                type Answer = $answer;
                type Progress = $progress;

                fn answer(reply: Reply) -> Result<$answer> {
                    ($read)(reply)
                }

                fn progress(reply: Reply) -> Option<$progress> {
                    ($tell)(reply)
                }
            }
        )+
    };
}

verbs! {
    /// [`Client::status`](crate::Client::status).
    Status: Document, Progress, content, no_progress;
    /// [`Client::wait`](crate::Client::wait).
    Wait: Done, Progress, done, progress;
    /// [`Client::scale`](crate::Client::scale).
    Scale: Done, Progress, done, progress;
    /// [`Client::restart`](crate::Client::restart).
    Restart: Done, Progress, done, progress;
    /// [`Client::start`](crate::Client::start).
    Start: Done, Progress, done, progress;
    /// [`Client::stop`](crate::Client::stop).
    Stop: Done, Progress, done, progress;
    /// [`Client::reload`](crate::Client::reload).
    Reload: Done, Progress, done, progress;
    /// [`Client::shutdown`](crate::Client::shutdown).
    Shutdown: Done, Progress, done, no_progress;
    /// [`Client::signal`](crate::Client::signal).
    Signal: Vec<Signalled>, Progress, |reply| content::<SignalledAll>(reply).map(|all| all.workers), no_progress;
    /// [`Client::pause_rollouts`](crate::Client::pause_rollouts) and [`Client::resume_rollouts`](crate::Client::resume_rollouts).
    Steer: Done, Progress, done, no_progress;
    /// [`Client::undo_rollouts`](crate::Client::undo_rollouts).
    Undo: Done, Progress, done, progress;
    /// [`Client::rollouts`](crate::Client::rollouts) and [`Client::rollout_history`](crate::Client::rollout_history).
    Rollouts: Known, Progress, content, no_progress;
    /// [`Client::log_levels`](crate::Client::log_levels) and [`Client::set_log_level`](crate::Client::set_log_level).
    LogLevel: Levels, Progress, content, no_progress;
    /// [`Client::metrics`](crate::Client::metrics).
    Metrics: Figures, Progress, content, no_progress;
    /// [`Client::dump`](crate::Client::dump).
    Dump: Value, Progress, content, no_progress;
    /// [`Client::surroundings`](crate::Client::surroundings).
    Surroundings: Within, Progress, content, no_progress;
    /// [`Client::version`](crate::Client::version).
    Versions: Version, Progress, content, no_progress;
    /// [`Client::events_since`](crate::Client::events_since).
    Past: Kept, Progress, content, no_progress;
    /// [`Client::request`](crate::Client::request): every reply as it came, and the last one whatever its status.
    Raw: Reply, Reply, Ok, Some;
}

/// [`Client::call`](crate::Client::call).
#[derive(Debug)]
pub enum Call {}

impl sealed::Sealed for Call {}

impl Verb for Call {
    type Answer = Called;
    type Progress = Meanwhile;

    fn answer(reply: Reply) -> Result<Called> {
        Called::read(reply)
    }

    fn progress(reply: Reply) -> Option<Meanwhile> {
        Meanwhile::read(reply.content)
    }

    fn streamed(request: Request) -> Request {
        request.with("stream", Value::Bool(true))
    }
}

pub(crate) fn fine(reply: Reply) -> Result<Reply> {
    match reply.status {
        ReplyStatus::Ok => Ok(reply),
        ReplyStatus::Failure | ReplyStatus::Processing => Err(Error::refused(&reply)),
    }
}

fn done(reply: Reply) -> Result<Done> {
    let reply = fine(reply)?;
    Ok(Done { message: reply.message, content: reply.content })
}

fn content<T: DeserializeOwned>(reply: Reply) -> Result<T> {
    T::deserialize(fine(reply)?.content).map_err(|error| Error::unreadable(&error))
}

fn progress(reply: Reply) -> Option<Progress> {
    Some(Progress { message: reply.message, content: reply.content })
}

fn no_progress(_: Reply) -> Option<Progress> {
    None
}
