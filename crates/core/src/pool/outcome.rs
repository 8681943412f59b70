//! What becomes of a job: exactly one outcome each.

use std::time::Duration;

use crate::fleet::ExitStatus;

/// The end of a job in this pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its child did it.
    Done,
    /// It was begun and not done.
    Failed {
        /// Why.
        failure: Failure,
        /// It is not to be tried again: it ended too many children.
        poison: bool,
    },
    /// Its child wants it later: that job, and no other.
    Throttled(Duration),
    /// Its child says that it is never to be tried again.
    Discarded,
    /// Its child knows no such kind of job; it was not begun.
    Unknown,
    /// It was cancelled.
    Cancelled,
    /// No child began it in time.
    Expired,
    /// The pool gives it back: somebody else is to do it.
    Returned {
        /// Whether a child had begun it.
        begun: bool,
    },
}

/// Why a job failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The child says so; its words are with the answer.
    Said,
    /// The child died.
    Died(Option<ExitStatus>),
    /// The child had it in hand for so long.
    TimedOut(Duration),
    /// The child answered for another job, or more often than it was asked.
    OutOfStep,
    /// What the child wrote is no answer.
    Garbage,
    /// The child was ended for the sake of another job.
    Bystander,
    /// Children died that had it in hand, one after the other, and none has begun it.
    NeverBegun,
}

/// Why a job is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many wait as may.
    Full,
    /// The pool stops.
    Stopping,
    /// A job of this number is in the pool.
    Twice,
}
