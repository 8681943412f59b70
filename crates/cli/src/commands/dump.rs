//! `dump`: the engine's inside, for a person who looks for a fault.

use std::fmt::Write;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::Failure;
use crate::output::{print, print_json, say};

/// Show the engine's inside: descriptors, memory, queues, timers, slots, last decisions
#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// How many decisions, 256 at most
    #[arg(long, value_name = "N", default_value_t = 64)]
    last: u64,
    /// Also write the document to a file in the engine's directory
    #[arg(long)]
    write: bool,
}

impl Dump {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let mut args = Map::new();
        args.insert("last".into(), json!(self.last));
        let engine = Engine::of(global);
        let document = engine.ask(&Question::look("dump", args, global.timeout), |_| {})?.content;
        if self.write {
            write(&engine, &document)?;
        }
        if global.json {
            print_json(&document)?;
        } else {
            print(&text(&document))?;
        }
        Ok(0)
    }
}

/// Named after its moment. It is for the engine's user alone, as everything in the directory.
fn write(engine: &Engine, document: &Value) -> Result<(), Failure> {
    let at: String = document["at"].as_str().unwrap_or("now").chars().filter(char::is_ascii_alphanumeric).collect();
    let path = engine.directory().join(format!("dump-{at}.json"));
    let written = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{document:#}\n").as_bytes()));
    written.map_err(|error| Failure::unavailable(format!("cannot write {}: {error}", path.display())))?;
    say(format_args!("wrote {}", path.display()));
    Ok(())
}

fn text(document: &Value) -> String {
    let words = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    // Writing to a string cannot fail.
    let mut text = format!(
        "evercrew {} at {}, log level {}\n\nPROCESSES\n",
        words(&document["version"]),
        words(&document["at"]),
        words(&document["log"])
    );
    for process in items(&document["processes"]) {
        let _ = writeln!(
            text,
            "  {} pid {}: {} bytes resident, {} its own, {} s of processor, {} descriptors {}",
            words(&process["name"]),
            process["pid"],
            process["memory_bytes"],
            process["private_bytes"],
            process["cpu_seconds"],
            process["descriptors"],
            process["descriptors_by_kind"]
        );
    }
    text.push_str("\nQUEUES\n");
    for (name, value) in document["queues"].as_object().into_iter().flatten() {
        let _ = writeln!(text, "  {}: {value}", name.replace('_', " "));
    }
    text.push_str("\nSLOTS\n");
    for service in items(&document["status"]["services"]) {
        for worker in items(&service["workers"]) {
            let (name, state) = (words(&worker["name"]), words(&worker["state"]));
            let _ = writeln!(text, "  {name} generation {} pid {}: {state}", worker["generation"], worker["pid"]);
        }
    }
    text.push_str("\nTIMERS\n");
    for timer in items(&document["timers"]) {
        let _ = writeln!(text, "  {} in {} s", words(&timer["why"]), timer["in_seconds"]);
    }
    text.push_str("\nCOUNTERS\n");
    for (name, value) in document["counters"].as_object().into_iter().flatten() {
        let _ = writeln!(text, "  {name} {value}");
    }
    text.push_str("\nDECISIONS\n");
    for decision in items(&document["decisions"]) {
        let _ = writeln!(text, "  {} {}", words(&decision["at"]), words(&decision["event"]));
        for action in items(&decision["actions"]) {
            let _ = writeln!(text, "    → {}", words(&action));
        }
    }
    text
}
