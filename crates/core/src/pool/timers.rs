//! Everything that is due at some time.

use std::collections::BTreeSet;

use super::job::JobId;
use crate::Mono;
use crate::fleet::WorkerId;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A child that has said nothing is taken for one that only answers.
    Plain(WorkerId),
    /// A child that answers without ids may have its next job.
    Doubt(WorkerId),
    /// A child has been idle for long.
    Idle(WorkerId),
    /// A child whose input was closed has to be gone.
    Leave(WorkerId),
    /// A job has been in hand for long, or its cancelling has.
    Job(JobId),
    /// A job has waited for too long.
    Expiry(JobId),
}

/// All of them, earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Mono, Timer)>);

impl Timers {
    pub(super) fn set(&mut self, at: Mono, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(super) fn unset(&mut self, at: Option<Mono>, timer: Timer) {
        if let Some(at) = at {
            self.0.remove(&(at, timer));
        }
    }

    pub(super) fn first(&self) -> Option<Mono> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(super) fn last(&self) -> Option<Mono> {
        self.0.last().map(|(at, _)| *at)
    }

    /// The earliest one that is due.
    pub(super) fn pop(&mut self, now: Mono) -> Option<(Mono, Timer)> {
        if self.0.first().is_some_and(|(at, _)| *at <= now) { self.0.pop_first() } else { None }
    }
}
