//! What stands around the work of a worker.

use std::fmt;
use std::os::fd::OwnedFd;

use crate::app::BoxError;
use crate::context::Context;
use crate::stop::StopFlag;

/// Runs before the work.
pub type Initialize = Box<dyn FnOnce(&Context) -> Result<(), BoxError> + Send>;
/// Runs at each reload.
pub type Reload = Box<dyn Fn() + Send + Sync>;
/// Runs after the work.
pub type AtEnd = Box<dyn FnOnce(&Context) + Send>;

/// What happens around the work of a worker process.
#[derive(Default)]
pub struct Life {
    /// Threads that serve, each with a runtime of its own; 0 is 1.
    pub threads: usize,
    /// Runs once, before there is any other thread, and before the worker is ready: what fails here ends the process
    /// with 1.
    pub initialize: Option<Initialize>,
    /// Runs when a reload is asked for, in a thread that serves nobody.
    pub reload: Option<Reload>,
    /// Runs after the work has ended, before the process does.
    pub end: Option<AtEnd>,
    /// Where it is part of a process that is no worker.
    pub guest: Option<Guest>,
}

/// A worker in a process that is none: it has what it is given, and leaves signals to its host.
#[derive(Debug)]
pub struct Guest {
    /// What it is called.
    pub service: String,
    /// What it listens on.
    pub listeners: Vec<(String, OwnedFd)>,
    /// Ends it.
    pub stop: StopFlag,
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").field("threads", &self.threads).finish_non_exhaustive()
    }
}
