//! Clients without a server, for tests of programs.

use std::fmt;
use std::sync::Mutex;

use super::client::Client;
use super::error::ClientError;
use super::job::Job;
use crate::worker::Handlers;

/// What a client does instead of asking a server.
pub(crate) struct Pretence {
    pushed: Mutex<Vec<Job>>,
    handlers: Option<Handlers>,
}

impl Pretence {
    pub(crate) fn fake() -> Self {
        Self { pushed: Mutex::default(), handlers: None }
    }

    pub(crate) fn inline(handlers: Handlers) -> Self {
        Self { pushed: Mutex::default(), handlers: Some(handlers) }
    }

    pub(crate) async fn push(&self, client: &Client, job: Job, text: &str) -> Result<(), ClientError> {
        if let Ok(mut pushed) = self.pushed.lock() {
            pushed.push(job);
        }
        match &self.handlers {
            None => Ok(()),
            Some(handlers) => handlers.run_now(client.clone(), text).await,
        }
    }

    pub(crate) fn pushed(&self) -> Vec<Job> {
        self.pushed.lock().map(|mut pushed| std::mem::take(&mut *pushed)).unwrap_or_default()
    }
}

impl fmt::Debug for Pretence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.handlers.is_some() { "inline" } else { "fake" })
    }
}
