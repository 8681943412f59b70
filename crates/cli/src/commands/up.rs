//! `up`: starts the engine.

use clap::Args;

use crate::arguments::Global;
use crate::daemon;
use crate::failure::Failure;
use crate::up::{self, Place};

/// Start everything, in the foreground; Ctrl-C stops it
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// In the background: returns when everything is ready, or says why it is not
    #[arg(short, long)]
    daemon: bool,
    /// This is the process that --daemon starts
    #[arg(long, hide = true)]
    detached: bool,
    /// Replace a service's workers when files below its directory change: for development
    #[arg(long)]
    watch: bool,
}

impl Up {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        if self.daemon && !self.detached {
            return daemon::start(global);
        }
        let place = if self.detached { Place::Background } else { Place::Foreground };
        up::up(global, self.watch, place)
    }
}
