//! `wait`: until services are ready.

use clap::Args;

use super::change;
use crate::arguments::Global;
use crate::client::Lost;
use crate::failure::Failure;

/// Wait until services are ready, and for the engine to appear
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Wait for readiness (the only thing there is to wait for)
    #[arg(long, required = true)]
    ready: bool,
    /// Services; all if none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Wait {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        change::ask(global, "wait", change::names(&self.names), Lost::AskAgain)
    }
}
