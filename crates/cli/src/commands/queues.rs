//! `queues`: how much waits where, and whether it is fetched.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::failure::{Failure, code};
use crate::output::{print, print_json, say};
use crate::queue_server::{Questions, Server, configured};
use crate::table;

use super::keeping::Keeping;

/// Look at queues, pause them, let them go on
#[derive(Debug, Args)]
pub(crate) struct Queues {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    server: Server,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Action {
    /// List the queues with what waits in them
    List,
    /// Hand out no jobs of these queues until `resume`; they can still be pushed
    Pause(Names),
    /// Hand out jobs of these queues again
    Resume(Names),
    /// Remove queues with every job in them
    Remove(Names),
    /// How many seconds the oldest job of a queue has waited
    Latency {
        /// Queues; all if none is named
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Print the figures of the server as Prometheus reads them
    Metrics,
    /// Check the store of a server that does not run, and save what can be saved of a damaged one
    ///
    /// What is whole goes into a new file in the store's place; the damaged one is kept beside it.
    Repair {
        /// The file of the store; that of the table `queue` in the configuration without it
        #[arg(value_name = "FILE")]
        store: Option<std::path::PathBuf>,
    },
    #[command(flatten)]
    Keeping(Keeping),
}

/// Which queues.
#[derive(Debug, Args)]
struct Names {
    /// Queues; `*` for all
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl Queues {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let server = || self.server.connect(global);
        match &self.action {
            Action::Keeping(keeping) => keeping.run(global),
            Action::Repair { store } => repair(global, store.clone()),
            Action::List => list(&mut server()?, global),
            Action::Pause(names) => names.change(&mut server()?, global, "PAUSE", "paused"),
            Action::Resume(names) => names.change(&mut server()?, global, "RESUME", "resumed"),
            Action::Remove(names) => names.change(&mut server()?, global, "REMOVE", "removed"),
            Action::Latency { names } => latency(&mut server()?, global, names),
            Action::Metrics => {
                let mut server = server()?;
                let text = server.text("METRICS")?;
                if global.json {
                    print_json(&json!({ "metrics": text }))?;
                } else {
                    print(&text)?;
                }
                Ok(0)
            }
        }
    }
}

impl Names {
    fn change(&self, server: &mut Questions, global: &Global, verb: &str, done: &str) -> Result<u8, Failure> {
        check(&self.names)?;
        server.line(&format!("QUEUE {verb} {}", self.names.join(" ")))?;
        if global.json {
            print_json(&json!({ "queues": self.names, "outcome": done }))?;
        } else {
            say(format_args!("{done}: {}", self.names.join(" ")));
        }
        Ok(0)
    }
}

/// A name with a blank would be taken for two.
fn check(names: &[String]) -> Result<(), Failure> {
    match names.iter().find(|name| name.is_empty() || name.contains(char::is_whitespace)) {
        Some(name) => Err(Failure::new(code::USAGE, format!("`{name}` is no name of a queue"))),
        None => Ok(()),
    }
}

fn list(server: &mut Questions, global: &Global) -> Result<u8, Failure> {
    let info = server.line("INFO")?;
    // Another Faktory server tells sizes only.
    let queues: Vec<Value> = match info["evercrew"]["queues"].as_array() {
        Some(queues) => queues.clone(),
        None => {
            let sizes = info["faktory"]["queues"].as_object().into_iter().flatten();
            sizes.map(|(name, size)| json!({ "name": name, "size": size })).collect()
        }
    };
    if global.json {
        print_json(&json!({ "queues": queues }))?;
        return Ok(0);
    }
    let mut rows = vec![["NAME", "SIZE", "LATENCY", "STATE"].map(str::to_owned)];
    for queue in &queues {
        let latency = queue["latency"].as_f64().map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1} s"));
        let state = if queue["paused"] == true { "paused" } else { "open" };
        let name = queue["name"].as_str().unwrap_or_default().to_owned();
        rows.push([name, queue["size"].to_string(), latency, state.to_owned()]);
    }
    print(&table::columns(&rows))?;
    Ok(0)
}

fn repair(global: &Global, store: Option<std::path::PathBuf>) -> Result<u8, Failure> {
    let configured = || configured(global).and_then(|queue| queue.store);
    let store = store.or_else(configured).ok_or_else(|| {
        Failure::new(code::USAGE, "which store is meant?")
            .hint("name its file, or a configuration with a table [queue]")
    })?;
    let outcome = evercrew_jobs::repair(&store).map_err(|error| Failure::unavailable(error.to_string()))?;
    if global.json {
        print_json(&json!({ "store": store, "outcome": outcome }))?;
    } else {
        say(format_args!("{}: {outcome}", store.display()));
    }
    Ok(0)
}

fn latency(server: &mut Questions, global: &Global, names: &[String]) -> Result<u8, Failure> {
    check(names)?;
    let names = if names.is_empty() { "*".to_owned() } else { names.join(" ") };
    let latencies = server.line(&format!("QUEUE LATENCY {names}"))?;
    if global.json {
        print_json(&latencies)?;
    } else {
        let lines = latencies.as_object().into_iter().flatten();
        print(&lines.map(|(name, seconds)| format!("{name} {seconds}\n")).collect::<String>())?;
    }
    Ok(0)
}
