//! `call`: asks workers something of their own.

use clap::Args;
use evercrew_wire::control::{Reply, ReplyStatus};
use serde_json::{Map, Value, json};

use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::{Failure, code};
use crate::output::{print, print_json, say};

/// Ask workers something of their own, and say what each one answered
///
/// Every ready worker of NAME is asked, and there is a line for each: ok, failed, timeout, died (it ended before it
/// answered), replaced (it was asked to leave before it answered) or unneeded. The exit code is 0 when all are ok; 1 when
/// one failed, died or was replaced, or none is ready; else 124 when one did not answer within --timeout (60s without it).
#[derive(Debug, Args)]
pub(crate) struct Call {
    /// A service or one worker: web, web.2
    name: String,
    /// What to ask: a verb that the program knows
    verb: String,
    /// Its arguments, as JSON
    #[arg(value_name = "JSON")]
    with: Option<String>,
    /// Ask only this worker (2 or web.2); may be given again
    #[arg(long, value_name = "WORKER")]
    worker: Vec<String>,
    /// Ask one worker, the one that has least to do
    #[arg(long, conflicts_with_all = ["first", "quorum", "worker"])]
    one: bool,
    /// The first ok is enough
    #[arg(long, conflicts_with = "quorum")]
    first: bool,
    /// So many ok are enough
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    quorum: Option<u32>,
}

impl Call {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let mut args = Map::new();
        args.insert("names".into(), json!(self.names()));
        args.insert("call".into(), json!(self.verb));
        if let Some(text) = &self.with {
            let with: Value = serde_json::from_str(text).map_err(|error| {
                let failure = Failure::new(code::USAGE, format!("the arguments are not JSON: {error}"));
                failure.hint("quote them for the shell: evercrew call web flush-cache '{\"all\":true}'")
            })?;
            args.insert("with".into(), with);
        }
        args.insert("stream".into(), json!(true));
        for (name, set) in [("one", self.one), ("first", self.first)] {
            args.extend(set.then(|| (name.to_owned(), json!(true))));
        }
        args.extend(self.quorum.map(|quorum| ("quorum".to_owned(), json!(quorum))));
        let question = Question { exact: true, ..Question::change("call", args, global.timeout) };
        let mut told = Ok(());
        let reply = Engine::of(global).answer(&question, |reply| {
            if !global.json && told.is_ok() {
                told = line(&reply.content);
            }
        })?;
        told?;
        self.end(global, &reply)
    }

    fn names(&self) -> Vec<String> {
        if self.worker.is_empty() {
            return vec![self.name.clone()];
        }
        let whole = |worker: &String| match worker.parse::<u32>() {
            Ok(_) => format!("{}.{worker}", self.name),
            Err(_) => worker.clone(),
        };
        self.worker.iter().map(whole).collect()
    }

    fn end(&self, global: &Global, reply: &Reply) -> Result<u8, Failure> {
        if reply.content.is_null() {
            let failure = Failure::new(reply.code.unwrap_or(code::FAILURE), reply.message.clone());
            return Err(failure.hint(reply.hint.clone().unwrap_or_default()));
        }
        if global.json {
            print_json(&json!({"status": reply.status, "message": reply.message, "content": reply.content}))?;
        }
        let missing = reply.content["missing"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let missing: Vec<&str> = missing.collect();
        if !missing.is_empty() {
            say(format_args!("not ready, and not asked: {}", missing.join(" ")));
        }
        match reply.status {
            ReplyStatus::Ok => Ok(0),
            ReplyStatus::Failure | ReplyStatus::Processing => {
                let failure = Failure::new(reply.code.unwrap_or(code::FAILURE), reply.message.clone());
                Err(failure.hint(reply.hint.clone().unwrap_or_default()))
            }
        }
    }
}

/// One worker's line on standard output, as soon as it is known; what it says meanwhile on standard error.
fn line(content: &Value) -> Result<(), Failure> {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if let Some(worker) = content["worker"].as_str() {
        say(format_args!("{worker}: {}", text(&content["progress"])));
        return Ok(());
    }
    let (Some(name), Some(outcome)) = (content["name"].as_str(), content["outcome"].as_str()) else { return Ok(()) };
    let words = [name.to_owned(), outcome.to_owned(), text(&content["message"]), text(&content["content"])];
    let words: Vec<String> = words.into_iter().filter(|text| !text.is_empty()).collect();
    print(&format!("{}\n", words.join(" ").replace(char::is_control, " "))).map(drop)
}
