//! `reload`: the file as it is by now.

use clap::Args;
use serde_json::{Map, Value, json};

use super::change;
use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::Failure;
use crate::output::{print, print_json, say};

/// Read the running engine's file again and change what is different, nothing dropped
#[derive(Debug, Args)]
pub(crate) struct Reload {
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Return when the new configuration is in force; rollouts go on
    #[arg(long)]
    no_wait: bool,
}

impl Reload {
    /// The plan goes to standard output as soon as it is in force, progress to standard error.
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let args = change::with_flag(Map::new(), "dry_run", self.dry_run);
        let args = change::with_flag(args, "no_wait", self.no_wait);
        let question = Question::change("reload", args, global.timeout);
        let mut printed = Ok(());
        let mut planned = Value::Null;
        let result = Engine::of(global).ask(&question, |reply| {
            if reply.content["plan"].is_object() {
                planned = reply.content.clone();
                printed = show(global, &reply.content);
            } else if !reply.message.is_empty() {
                say(&reply.message);
            }
        });
        printed?;
        if global.json {
            let (status, message, content) = match &result {
                Ok(reply) => ("ok", &reply.message, &reply.content),
                Err(failure) => ("failure", &failure.message, &planned),
            };
            print_json(&json!({"status": status, "message": message, "content": content}))?;
        }
        let reply = result?;
        if planned.is_null() {
            show(global, &reply.content)?;
        }
        say(&reply.message);
        Ok(0)
    }
}

fn show(global: &Global, content: &Value) -> Result<(), Failure> {
    let texts = |name: &str| -> Vec<String> {
        let texts = content[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.map(|text| text.trim_end().to_owned()).collect()
    };
    for remark in texts("remarks") {
        say(&remark);
    }
    if !global.json {
        print(&texts("lines").into_iter().map(|line| line + "\n").collect::<String>())?;
    }
    Ok(())
}
