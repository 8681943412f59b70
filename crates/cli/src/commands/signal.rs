//! `signal`: to workers.

use clap::Args;
use serde_json::json;

use super::change;
use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::Failure;
use crate::output::{print_json, say};

/// Send workers a signal of their own meaning: reopen files, dump, exit
///
/// It is never a commanded stop: a worker that ends by it is replaced like one that crashed, and counted so. To stop or
/// replace workers use `stop` and `restart`.
#[derive(Debug, Args)]
pub(crate) struct Signal {
    /// A service or one worker: web, web.2
    name: String,
    /// USR1, SIGUSR1 or 10; or a word for programs with a command pipe: RELOAD, DUMP, GRACEFUL_STOP, IMMEDIATE_STOP,
    /// GRACEFUL_RESTART, IMMEDIATE_RESTART, DETACH
    #[arg(value_name = "SIGNAL")]
    signal: String,
    /// To the worker's whole process group
    #[arg(long)]
    group: bool,
}

impl Signal {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let mut args = change::with_flag(change::names(std::slice::from_ref(&self.name)), "group", self.group);
        args.insert("signal".into(), json!(self.signal));
        let question = Question { prompt: true, ..Question::change("signal", args, global.timeout) };
        let reply = Engine::of(global).ask(&question, |_| {})?;
        if global.json {
            print_json(&json!({"status": "ok", "message": reply.message, "content": reply.content}))?;
        } else {
            let names = reply.content["workers"].as_array().into_iter().flatten();
            let names: Vec<&str> = names.filter_map(|worker| worker["name"].as_str()).collect();
            say(format_args!("{}: {}", reply.message, names.join(" ")));
        }
        Ok(0)
    }
}
