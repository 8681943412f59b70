//! `restart`: every worker replaced.

use clap::Args;

use super::{change, progress};
use crate::arguments::Global;
use crate::failure::Failure;

/// Replace workers one by one, each by a ready one; starts a stopped service
///
/// The first new worker has to prove itself; when one fails, the rollout stops, the old workers serve on, and the exit
/// code is 1 with the worker's last words. --timeout leaves the rollout paused (124).
#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Services or workers: web, web.2
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// All workers at once, without grace: nothing is tried first, nothing serves meanwhile
    #[arg(long, conflicts_with = "detach")]
    now: bool,
    /// The whole new set beside the old one, which finishes what it has begun without holding up anything
    #[arg(long)]
    detach: bool,
}

impl Restart {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let args = change::with_flag(change::names(&self.names), "now", self.now);
        progress::ask(global, "restart", change::with_flag(args, "detach", self.detach))
    }
}
