//! What comes of a job.

use std::time::Duration;

use evercrew_core::pool::Refusal;

/// The one end of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its child did it.
    Done(Done),
    /// It was begun and not done.
    Failed(Failed),
    /// It is to be tried again after this time; no other job is meant.
    Throttled(Duration),
    /// It is never to be tried again, as its child says.
    Discarded(String),
    /// Its child knows no such kind; it was not begun.
    Unknown(String),
    /// It was cancelled.
    Cancelled,
    /// No child was free in the time that it had.
    Expired,
    /// The pool stops, or was asked for what waits: somebody else is to do it.
    Returned {
        /// Whether a child had begun it.
        begun: bool,
    },
    /// It was not taken.
    Refused(Refusal),
}

/// What a child says of a job that it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The result, as JSON.
    pub result: Option<String>,
    /// Jobs that are to be pushed with it: an array, as JSON.
    pub enqueue: Option<String>,
}

/// Why a job failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// For people: what the child said, or what became of it.
    pub reason: String,
    /// What the child calls the error; `ChildDied`, `Timeout` and so on where it says nothing any more.
    pub class: String,
    /// Where it happened, as JSON.
    pub backtrace: Option<String>,
    /// Whether it may be tried again, where the child says so.
    pub retryable: Option<bool>,
    /// It ended too many children to be tried again.
    pub poison: bool,
    /// What its child wrote last to its standard error, where the child is gone.
    pub output: Vec<String>,
}
