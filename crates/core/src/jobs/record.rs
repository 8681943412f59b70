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
}
