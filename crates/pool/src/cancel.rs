//! Taking back a job.

use std::sync::{Arc, Mutex, PoisonError};

use evercrew_core::pool::JobId;

use crate::inbox::{Inbox, Request};

/// Says that a job is wanted no more; a clone says so for the same job.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    running: Option<(Arc<Inbox>, JobId)>,
}

impl Cancel {
    /// One that nobody has used.
    pub fn new() -> Self {
        Self::default()
    }

    /// The job that runs with this is taken back, or one that will.
    pub fn cancel(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.cancelled = true;
        if let Some((inbox, job)) = state.running.take() {
            inbox.send(Request::Cancel(job));
        }
    }

    /// Whether it was used.
    pub fn is_cancelled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    /// The job is in the pool.
    pub(crate) fn follow(&self, inbox: &Arc<Inbox>, job: JobId) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.cancelled {
            inbox.send(Request::Cancel(job));
        } else {
            state.running = Some((Arc::clone(inbox), job));
        }
    }

    /// The job is over.
    pub(crate) fn unfollow(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).running = None;
    }
}
