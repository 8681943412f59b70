//! `restart`: every worker replaced.

use clap::Args;

use super::change;
use crate::arguments::Global;
use crate::client::Lost;
use crate::failure::Failure;

/// Replace workers one by one, each by a ready one; starts a stopped service
#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Services or workers: web, web.2
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl Restart {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        change::ask(global, "restart", change::names(&self.names), Lost::Tell)
    }
}
