//! What a worker is told when it is made.

use std::time::Duration;

/// How one worker works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many jobs run at once.
    pub slots: u32,
    /// How many more are fetched ahead.
    pub prefetch: u32,
    /// How long running jobs may go on when it stops.
    pub grace: Duration,
    /// How long they may go on after they were told to end.
    pub last_words: Duration,
    /// How long a connection may take to open, its login included.
    pub open_patience: Duration,
    /// After how many jobs it stops by itself.
    pub most_jobs: Option<u64>,
    /// Whether it stops when a fetch finds nothing.
    pub until_empty: bool,
    /// How often each queue is asked first, in proportion; strictly in their order without it.
    pub weights: Option<Vec<u32>>,
    /// From which all draws come.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slots: 10,
            prefetch: 0,
            grace: Duration::from_secs(25),
            last_words: Duration::from_secs(5),
            open_patience: Duration::from_secs(2),
            most_jobs: None,
            until_empty: false,
            weights: None,
            seed: 0,
        }
    }
}
