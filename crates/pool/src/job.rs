//! A job that a child is to do.

use std::time::Duration;

/// A job. `id` and `payload` are what a child of the plain protocol gets; the rest is for others and for the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What its answer has to carry. No two jobs with the same id may be in a pool at a time.
    pub id: String,
    /// JSON.
    pub payload: String,
    /// What kind of work it is.
    pub kind: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The queue it comes from.
    pub queue: Option<String>,
    /// How long it may take, where the pool's time is not meant.
    pub timeout: Option<Duration>,
    /// How long it may wait for a child.
    pub expires: Option<Duration>,
    /// For whoever traces it.
    pub trace: Option<String>,
}

impl Job {
    /// A first attempt at a job of no kind.
    pub fn new(id: impl Into<String>, payload: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            payload: payload.into(),
            kind: String::new(),
            attempt: 1,
            queue: None,
            timeout: None,
            expires: None,
            trace: None,
        }
    }

    /// The same job as one of this kind.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }

    /// The same job with this time to be done in.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}
