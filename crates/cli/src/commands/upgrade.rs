//! `upgrade`: the manager of another binary in the place of the present one.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, json};

use super::change;
use crate::arguments::Global;
use crate::client::{Engine, Lost, Question};
use crate::failure::{Failure, code};

/// Hand the engine over to another binary; workers, connections and commands go on
///
/// The new binary first shows on the real state that it can work; when it does not, nothing is changed, and the exit code
/// is 1 with its last words. 75 while another upgrade or a reload is under way.
#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    /// The new binary; without it, the file that is now where the present one was
    #[arg(long, value_name = "BINARY")]
    to: Option<PathBuf>,
}

impl Upgrade {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let mut args = Map::new();
        if let Some(to) = &self.to {
            let to = std::path::absolute(to)
                .map_err(|error| Failure::new(code::USAGE, format!("cannot use {}: {error}", to.display())))?;
            let text = to.to_str().ok_or_else(|| {
                Failure::new(code::USAGE, format!("the path {} is no UTF-8", to.display()))
                    .hint("give the binary another name")
            })?;
            args.insert("to".into(), json!(text));
        }
        let asked = change::ask(global, "upgrade", args, Lost::Tell);
        asked.map_err(|failure| returned(global).unwrap_or(failure))
    }
}

/// Why the engine went back to the binary before, if it did.
fn returned(global: &Global) -> Option<Failure> {
    let status = Engine::of(global).ask(&Question::look("status", Map::new(), global.timeout), |_| {}).ok()?;
    let reason = status.content["manager"]["returned"].as_str().map(str::to_owned)?;
    let text = format!("the new manager took over and ended ({reason}); the binary before it works again");
    Some(Failure::new(code::FAILURE, text).hint("`evercrew logs` and the supervisor's standard error may tell more"))
}
