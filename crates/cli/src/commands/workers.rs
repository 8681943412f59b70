//! `workers`: who fetches from the queue server, and asking them to stop.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::failure::{Failure, code};
use crate::output::{print, print_json, say};
use crate::queue_server::{Questions, Server};
use crate::table;

/// Look at the workers of the queue server, quiet them, stop them
#[derive(Debug, Args)]
pub(crate) struct Workers {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    server: Server,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Action {
    /// List the workers that are connected or have beaten within a minute
    List,
    /// Ask workers to fetch nothing more; they finish what they have. There is no way back but a new start of theirs
    Quiet(Wids),
    /// Ask workers to finish and end
    Stop(Wids),
}

/// Which workers.
#[derive(Debug, Args)]
struct Wids {
    /// What they call themselves, as `workers list` shows; all with `--all`
    #[arg(value_name = "WID", required_unless_present = "all", conflicts_with = "all")]
    wids: Vec<String>,
    /// Every worker
    #[arg(long)]
    all: bool,
}

impl Workers {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let mut server = self.server.connect(global)?;
        match &self.action {
            Action::List => list(&mut server, global),
            Action::Quiet(wids) => wids.steer(&mut server, global, "quiet"),
            Action::Stop(wids) => wids.steer(&mut server, global, "terminate"),
        }
    }
}

fn known(server: &mut Questions) -> Result<Vec<Value>, Failure> {
    Ok(server.ask("WORKERS", &json!({}))?["workers"].as_array().cloned().unwrap_or_default())
}

fn list(server: &mut Questions, global: &Global) -> Result<u8, Failure> {
    let workers = known(server)?;
    if global.json {
        print_json(&json!({ "workers": workers }))?;
        return Ok(0);
    }
    let mut rows = vec![["WID", "STATE", "JOBS", "PID", "HOST", "LABELS"].map(str::to_owned)];
    for worker in &workers {
        let text = |name: &str| table::one_line(worker[name].as_str().unwrap_or("-"));
        let labels: Vec<&str> = worker["labels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let labels = table::one_line(&labels.join(","));
        let pid = table::number(worker, "pid");
        rows.push([text("wid"), text("state"), worker["jobs"].to_string(), pid, text("hostname"), labels]);
    }
    print(&table::columns(&rows))?;
    Ok(0)
}

impl Wids {
    fn steer(&self, server: &mut Questions, global: &Global, state: &str) -> Result<u8, Failure> {
        let known: Vec<String> =
            known(server)?.iter().filter_map(|worker| worker["wid"].as_str().map(str::to_owned)).collect();
        if let Some(unknown) = self.wids.iter().find(|wid| !known.contains(wid)) {
            return Err(Failure::new(code::UNKNOWN, format!("no worker calls itself {unknown}"))
                .hint("`workers list` shows those that are there"));
        }
        let wids = if self.all { known } else { self.wids.clone() };
        server.ask("WORKERS", &json!({ "state": state, "wids": wids }))?;
        if global.json {
            print_json(&json!({ "workers": wids, "asked": state }))?;
        } else {
            say(format_args!("asked to be {state}, told with their next beat: {}", wids.join(" ")));
        }
        Ok(0)
    }
}
