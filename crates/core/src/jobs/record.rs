//! What is known of one job beside its text.

use std::sync::Arc;

use super::number::{JobNumber, LeaseNumber};
use super::wall::Wall;

/// What a store keeps of a job; its text is kept beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which job.
    pub number: JobNumber,
    /// What its producer calls it.
    pub jid: Arc<str>,
    /// Its queue.
    pub queue: Arc<str>,
    /// Its type.
    pub kind: Arc<str>,
    /// Where it is.
    pub place: Place,
    /// Seconds that a worker may keep it.
    pub reserve_for: u32,
    /// Failures that are tried again; 0 throws it away at the first one, below 0 it is dead then.
    pub retry: i32,
    /// Lines of a backtrace to keep.
    pub backtrace: u32,
    /// Workers that died with it.
    pub deaths: u32,
    /// When it was put into its queue last.
    pub enqueued_at: Wall,
    /// How it failed last.
    pub failure: Option<Box<Failure>>,
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In its queue.
    Enqueued,
    /// Pushed for later.
    Scheduled(Wall),
    /// Failed, and tried again then.
    Retry(Wall),
    /// A worker has it.
    Reserved {
        /// Under this lease.
        lease: LeaseNumber,
        /// What the worker calls itself.
        wid: Arc<str>,
        /// Since when.
        since: Wall,
    },
    /// Tried no more; since when.
    Dead(Wall),
}

impl Place {
    /// Its word, as clients know it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Enqueued => "enqueued",
            Self::Scheduled(_) => "scheduled",
            Self::Retry(_) => "retries",
            Self::Reserved { .. } => "working",
            Self::Dead(_) => "dead",
        }
    }
}

/// How a job failed last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// How often it has failed.
    pub count: u32,
    /// When it failed last.
    pub at: Wall,
    /// When it is tried again.
    pub next: Option<Wall>,
    /// The type of the error.
    pub kind: String,
    /// What it said.
    pub message: String,
    /// Where it came from.
    pub backtrace: Vec<String>,
    /// How it failed before, the first one first: the last [`MOST_EARLIER`] of them.
    pub earlier: Vec<Attempt>,
}

/// A failure that is not the last one, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// When.
    pub at: Wall,
    /// The type of the error.
    pub kind: String,
    /// The beginning of what it said.
    pub message: String,
}

/// Failures before the last one that are kept of a job.
pub const MOST_EARLIER: usize = 9;
/// Characters that are kept of what one of them said.
const LONGEST_MESSAGE: usize = 200;

impl Failure {
    /// This failure of a job that has failed so before.
    pub(super) fn after(self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return Self { count: 1, ..self } };
        let message = before.message.chars().take(LONGEST_MESSAGE).collect();
        let last = Attempt { at: before.at, kind: before.kind.clone(), message };
        let left_out = (before.earlier.len() + 1).saturating_sub(MOST_EARLIER);
        let earlier = before.earlier.iter().skip(left_out).cloned().chain([last]).collect();
        Self { count: before.count.saturating_add(1), earlier, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_failures_are_kept_in_short() {
        let mut failure: Option<Failure> = None;
        for number in 1..=25_u64 {
            let message = format!("{number} {}", "x".repeat(1000));
            let next = Failure { at: Wall(number), kind: "E".to_owned(), message, ..Failure::default() };
            failure = Some(next.after(failure.as_ref()));
        }
        let failure = failure.expect("one");
        assert_eq!((failure.count, failure.at, failure.message.len()), (25, Wall(25), 1003));
        assert_eq!(
            failure.earlier.iter().map(|attempt| attempt.at.0).collect::<Vec<_>>(),
            (16..25).collect::<Vec<_>>()
        );
        assert!(failure.earlier.iter().all(|attempt| attempt.message.chars().count() == LONGEST_MESSAGE));
    }
}
