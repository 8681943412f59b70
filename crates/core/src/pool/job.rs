//! One job as the pool knows it.

use std::time::Duration;

use crate::Mono;
use crate::fleet::WorkerId;

/// A job in the pool. The shell numbers them, each number once; what is in the job is the shell's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// What kind of work a job is: each kind waits in a line of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u32);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// Of which kind.
    pub kind: Kind,
    /// The same for every attempt at the same work: by it a job is known that ends one child after the other.
    pub key: u64,
    /// How long a child may have it in hand, where the policy's time is not meant.
    pub timeout: Option<Duration>,
    /// It is not begun from then on.
    pub expires: Option<Mono>,
}

/// A job with where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) job: Job,
    pub(super) place: Place,
    /// How often a child died that had it in hand and had not begun it.
    pub(super) returns: u32,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In its kind's line, at this position.
    Waiting(i64),
    /// In a child's hand.
    With(WorkerId),
}
