//! `status`: services and workers.

use clap::Args;
use evercrew_sys::terminal;

use super::change;
use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::{Failure, code};
use crate::output::{print, print_json};
use crate::{table, up};

/// Show services and workers; 0 when all is well, 1 when not, 3 when no engine runs
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Services or workers: web, web.2
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Only a terminal cuts lines.
fn style(global: &Global) -> table::Style {
    let output = std::io::stdout();
    table::Style { width: terminal::width(&output), color: up::colored_on(global.color, &output) }
}

impl Status {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let engine = Engine::of(global);
        let question = Question::look("status", change::names(&self.names), global.timeout);
        let reply = match engine.ask(&question, |_| {}) {
            Err(failure) if failure.code == code::UNAVAILABLE && !engine.runs()? => {
                return Err(Failure { code: code::NOT_RUNNING, ..failure });
            }
            reply => reply?,
        };
        if global.json {
            print_json(&reply.content)?;
        } else {
            print(&table::status(&reply.content, style(global)))?;
        }
        Ok(if table::is_well(&reply.content) { 0 } else { code::FAILURE })
    }
}
