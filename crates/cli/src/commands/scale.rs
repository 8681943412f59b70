//! `scale`: how many workers.

use clap::Args;

use super::change;
use crate::arguments::Global;
use crate::client::Lost;
use crate::failure::Failure;

/// Change how many workers services have: web=4, web=+1, web=-1
#[derive(Debug, Args)]
pub(crate) struct Scale {
    /// NAME=N, NAME=+N or NAME=-N
    #[arg(required = true, value_name = "NAME=N")]
    targets: Vec<String>,
}

impl Scale {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        change::ask(global, "scale", change::names(&self.targets), Lost::Tell)
    }
}
