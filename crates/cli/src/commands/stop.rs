//! `stop`: services, until `start`.

use clap::Args;

use super::change;
use crate::arguments::Global;
use crate::client::Lost;
use crate::failure::Failure;

/// Stop services until `start`
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Services
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Without grace
    #[arg(long)]
    now: bool,
}

impl Stop {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        change::ask(global, "stop", change::with_flag(change::names(&self.names), "now", self.now), Lost::Tell)
    }
}
