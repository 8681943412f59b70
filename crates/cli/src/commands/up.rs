//! `up`: starts the engine.

use clap::Args;

use crate::arguments::Global;
use crate::failure::Failure;
use crate::up;

/// Start everything, in the foreground; Ctrl-C stops it
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Replace a service's workers when files below its directory change: for development
    #[arg(long)]
    watch: bool,
}

impl Up {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        up::up(global, self.watch)
    }
}
