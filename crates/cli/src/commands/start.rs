//! `start`: stopped services.

use clap::Args;

use super::change;
use crate::arguments::Global;
use crate::client::Lost;
use crate::failure::Failure;

/// Start stopped or failed services
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Services
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl Start {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        change::ask(global, "start", change::names(&self.names), Lost::Tell)
    }
}
