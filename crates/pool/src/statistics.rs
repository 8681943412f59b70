//! How a pool stands.

use std::time::Duration;

use evercrew_core::pool::{ChildState, Counts};

/// A job that a child has in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningJob {
    /// Which.
    pub id: String,
    /// What kind of work it is.
    pub kind: String,
    /// Which attempt.
    pub attempt: u32,
    /// For how long.
    pub since: Duration,
}

/// One child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildStatistics {
    /// `mailer.2`.
    pub name: String,
    /// Its slot.
    pub slot: u32,
    /// Which process of that slot.
    pub generation: u32,
    /// The process.
    pub pid: u32,
    /// What it is doing.
    pub state: ChildState,
    /// How long it has been ready.
    pub ready: Option<Duration>,
    /// How many jobs it takes at once.
    pub takes: u32,
    /// What it has in hand.
    pub jobs_in_hand: Vec<RunningJob>,
    /// How many jobs it has ended.
    pub jobs: u64,
    /// How many of them badly.
    pub errors: u64,
    /// How long it has had something in hand.
    pub busy: Duration,
    /// Its resident memory in bytes.
    pub memory: Option<u64>,
    /// What its last failed job failed of.
    pub last_error: Option<String>,
    /// What it wrote last to its standard error.
    pub output: Vec<String>,
}

/// A whole pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Every child that lives.
    pub children: Vec<ChildStatistics>,
    /// What came of jobs.
    pub counts: Counts,
    /// How many jobs wait.
    pub waiting: usize,
    /// How many more jobs would be begun at once.
    pub room: u64,
    /// How many lines of logs were dropped.
    pub dropped_lines: u64,
}
