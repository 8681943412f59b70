//! `log-level`: which lines each process writes.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::Failure;
use crate::output::{print, print_json, say};

/// Show or set which lines of its log each process writes
///
/// Levels are trace (every decision), debug, info, warn, error and fatal. `debug` is for every process, `web=debug` for a
/// service, a worker (web.2), or one of manager, supervisor and logger; several are separated by commas. Workers of this
/// program's own kinds follow at once, others where they answer `log-level` on a command pipe and are named. It lasts until the
/// engine ends, for workers that come too; `up` begins with EVERCREW_LOG, else with `log.level` of the file.
#[derive(Debug, Args)]
pub(crate) struct LogLevel {
    /// debug, web=trace, …; without it, the present ones are shown
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
            let processes = reply.content["processes"].as_object().into_iter().flatten();
            let width = processes.clone().map(|(name, _)| name.len()).max().unwrap_or_default();
            let line = |(name, level): (&String, &Value)| format!("{name:width$}  {}\n", level.as_str().unwrap_or("-"));
            print(&processes.map(line).collect::<String>())?;
            for silent in reply.content["unanswered"].as_array().into_iter().flatten() {
                let text = |key: &str| silent[key].as_str().unwrap_or_default().to_owned();
                say(format_args!("{}: {} {}", text("name"), text("outcome"), text("message")));
            }
        }
        Ok(0)
    }
}
