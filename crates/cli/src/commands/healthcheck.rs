//! `healthcheck`: for probes of a platform.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, json};

use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::{Failure, code};
use crate::output::{print_json, say};
use crate::table;

/// A probe has to be answered within a second.
const PROBE: Duration = Duration::from_millis(900);

/// Answer a platform's probe within a second: 0 well, 1 not
#[derive(Debug, Args)]
pub(crate) struct Healthcheck {
    #[command(flatten)]
    question: Probe,
}

/// What is asked.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Probe {
    /// The engine answers
    #[arg(long)]
    live: bool,
    /// Every service is ready, or stopped or finished on purpose
    #[arg(long)]
    ready: bool,
}

impl Healthcheck {
    /// Whatever is wrong, the code is 1: a probe knows no other.
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let timeout = Some(global.timeout.unwrap_or(PROBE).min(PROBE));
        let verb = if self.question.ready { "status" } else { "version" };
        let why = match Engine::of(global).ask(&Question::look(verb, Map::new(), timeout), |_| {}) {
            Err(failure) => Some(failure.message),
            Ok(reply) if self.question.ready => table::unwell(&reply.content),
            Ok(_) => None,
        };
        if global.json {
            print_json(&json!({"ok": why.is_none(), "reason": why}))?;
        } else if let Some(why) = &why {
            say(format_args!("evercrew: {why}"));
        }
        Ok(if why.is_none() { 0 } else { code::FAILURE })
    }
}
