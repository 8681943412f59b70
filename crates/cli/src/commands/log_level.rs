//! `log-level`: of the engine's own log.

use clap::Args;
use serde_json::{Map, json};

use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Show or set which lines of the engine's own log are written
///
/// Levels are trace (every decision), debug, info, warn, error and fatal. It lasts until the engine ends; `up` begins with
/// EVERCREW_LOG, else with `log.level` of the file.
#[derive(Debug, Args)]
pub(crate) struct LogLevel {
    /// debug, info …; without it, the present one is shown
    filter: Option<String>,
}

impl LogLevel {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let mut args = Map::new();
        args.extend(self.filter.as_ref().map(|filter| ("filter".to_owned(), json!(filter))));
        let reply = Engine::of(global).ask(&Question::look("log-level", args, global.timeout), |_| {})?;
        if global.json {
            print_json(&reply.content)?;
        } else {
            print(&format!("{}\n", reply.message))?;
        }
        Ok(0)
    }
}
