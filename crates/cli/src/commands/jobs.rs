//! `jobs`: one job or many, wherever they are.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::arguments::Global;
use crate::failure::{Failure, code};
use crate::output::{print, print_json, say};
use crate::queue_server::{Questions, Server};
use crate::table;

/// Push jobs, look at them, try them again, take them away
#[derive(Debug, Args)]
pub(crate) struct Jobs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    server: Server,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Action {
    /// Push a job; prints its identifier
    Push(Push),
    /// List the jobs of one state
    List {
        /// enqueued, scheduled, working, retries, dead or done
        #[arg(value_name = "STATE")]
        state: String,
        /// Only those of this queue
        #[arg(long, value_name = "NAME")]
        queue: Option<String>,
        /// Only those of this type
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// How many at most
        #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
        limit: u32,
    },
    /// Show one job: where it is, and how its attempts ended; 4 when it is not known
    Show {
        /// Its identifier
        jid: String,
    },
    /// Try jobs again at once that are scheduled, wait for a retry or are dead
    Retry {
        /// Their identifiers
        #[arg(required = true, value_name = "JID")]
        jids: Vec<String>,
    },
    /// Put jobs to the dead ones that are scheduled or wait for a retry
    Kill {
        /// Their identifiers
        #[arg(required = true, value_name = "JID")]
        jids: Vec<String>,
    },
    /// Take jobs away, wherever they are; one that runs is not run again
    Delete {
        /// Their identifiers
        #[arg(required = true, value_name = "JID")]
        jids: Vec<String>,
    },
    /// Take all jobs of one set away
    Clear {
        /// scheduled, retries or dead; `everything` empties the whole server
        #[arg(value_parser = ["scheduled", "retries", "dead", "everything"])]
        set: String,
    },
}

/// A job to push.
#[derive(Debug, Args)]
struct Push {
    /// Its type
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Its arguments, an array of JSON
    #[arg(value_name = "ARGS", default_value = "[]")]
    args: String,
    /// Its queue
    #[arg(long, value_name = "NAME", default_value = "default")]
    queue: String,
    /// Its identifier, at least 8 characters; one is made up without it
    #[arg(long)]
    jid: Option<String>,
    /// Not before this time: 2026-01-31T09:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// How often it is tried again; 0 throws it away at its first failure, -1 makes it dead then
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    retry: Option<i32>,
    /// Seconds that a worker may take
    #[arg(long, value_name = "SECONDS")]
    reserve_for: Option<u32>,
    /// More about it, an object of JSON
    #[arg(long, value_name = "OBJECT")]
    custom: Option<String>,
}

impl Jobs {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        // What is wrong with a job itself is told without asking anybody.
        let pushed = if let Action::Push(push) = &self.action { Some(push.job()?) } else { None };
        let mut server = self.server.connect(global)?;
        match &self.action {
            Action::Push(push) => push.run(&mut server, global, pushed.unwrap_or_default()),
            Action::List { state, queue, kind, limit } => {
                let listing = json!({ "state": state, "queue": queue, "jobtype": kind, "limit": limit });
                list(global, &server.ask("JOBS", &listing)?)
            }
            Action::Show { jid } => show(global, &server.ask("JOB", &json!({ "jid": jid }))?),
            Action::Retry { jids } => Change::RETRY.each(&mut server, global, jids),
            Action::Kill { jids } => Change::KILL.each(&mut server, global, jids),
            Action::Delete { jids } => Change::DELETE.each(&mut server, global, jids),
            Action::Clear { set } => {
                if set == "everything" {
                    server.line("FLUSH")?;
                } else {
                    server.ask("MUTATE", &json!({ "cmd": "clear", "target": set }))?;
                }
                done(global, format_args!("{set} cleared"), json!({ "cleared": set }))
            }
        }
    }
}

impl Push {
    /// The members of the job; numbers in its arguments stay as they were written, which JSON values would not let them.
    fn job(&self) -> Result<Vec<String>, Failure> {
        let wrong = |option: &str, what: &str| Failure::new(code::USAGE, format!("{option} expects {what}"));
        if !serde_json::from_str::<Value>(&self.args).is_ok_and(|args| args.is_array()) {
            return Err(wrong("ARGS", "an array of JSON, like '[1, \"two\"]'"));
        }
        let mut members = vec![
            format!("\"jobtype\":{}", json!(self.kind)),
            format!("\"queue\":{}", json!(self.queue)),
            format!("\"args\":{}", one_line(&self.args)),
        ];
        if let Some(custom) = &self.custom {
            if !serde_json::from_str::<Value>(custom).is_ok_and(|custom| custom.is_object()) {
                return Err(wrong("--custom", "an object of JSON, like '{\"tenant\": 7}'"));
            }
            members.push(format!("\"custom\":{}", one_line(custom)));
        }
        let numbers = [("retry", self.retry.map(i64::from)), ("reserve_for", self.reserve_for.map(i64::from))];
        members.extend(numbers.into_iter().filter_map(|(name, number)| Some(format!("\"{name}\":{}", number?))));
        members.extend(self.at.as_ref().map(|at| format!("\"at\":{}", json!(at))));
        Ok(members)
    }

    fn run(&self, server: &mut Questions, global: &Global, mut members: Vec<String>) -> Result<u8, Failure> {
        let jid = match &self.jid {
            Some(jid) => jid.clone(),
            None => evercrew_jobs::new_jid().map_err(|error| Failure::new(code::FAILURE, error.to_string()))?,
        };
        members.push(format!("\"jid\":{}", json!(jid)));
        server.line(&format!("PUSH {{{}}}", members.join(",")))?;
        if global.json {
            print_json(&json!({ "jid": jid }))?;
        } else {
            print(&format!("{jid}\n"))?;
        }
        Ok(0)
    }
}

/// A command is one line; in JSON a line end stands only between values.
fn one_line(json: &str) -> String {
    json.replace(['\r', '\n'], " ")
}

/// What is done with jobs by their identifiers.
struct Change {
    /// `retry`.
    word: &'static str,
    /// What is said of it.
    done: &'static str,
    cmd: &'static str,
    /// The sets it can be done in.
    sets: &'static [&'static str],
    /// Whether jobs that wait or run are cancelled.
    cancels: bool,
}

impl Change {
    const RETRY: Self = Self {
        word: "retry",
        done: "enqueued",
        cmd: "requeue",
        sets: &["scheduled", "retries", "dead"],
        cancels: false,
    };
    const KILL: Self =
        Self { word: "kill", done: "dead", cmd: "kill", sets: &["scheduled", "retries"], cancels: false };
    const DELETE: Self = Self {
        word: "delete",
        done: "deleted",
        cmd: "discard",
        sets: &["scheduled", "retries", "dead"],
        cancels: true,
    };

    /// Carries it out for each; nothing is done when one of them is not known or not where it can be done.
    fn each(&self, server: &mut Questions, global: &Global, jids: &[String]) -> Result<u8, Failure> {
        let mut by_set: Map<String, Value> = Map::new();
        let mut cancelled = Vec::new();
        for jid in jids {
            let job = server.ask("JOB", &json!({ "jid": jid }))?;
            match job["state"].as_str().unwrap_or("unknown") {
                "unknown" => return Err(Failure::new(code::UNKNOWN, format!("no job is called {jid}"))),
                state if self.sets.contains(&state) => {
                    let jids = by_set.entry(state).or_insert_with(|| json!([]));
                    jids.as_array_mut().into_iter().for_each(|jids| jids.push(json!(jid)));
                }
                "enqueued" | "working" if self.cancels => cancelled.push(jid),
                state => {
                    let where_else = self.sets.join(", ");
                    return Err(Failure::new(code::FAILURE, format!("{jid} is {state}"))
                        .hint(format!("`jobs {}` takes jobs that are in {where_else}", self.word)));
                }
            }
        }
        for (set, jids) in by_set {
            server.ask("MUTATE", &json!({ "cmd": self.cmd, "target": set, "filter": { "jids": jids } }))?;
        }
        for jid in cancelled {
            server.ask("CANCEL", &json!({ "jid": jid }))?;
        }
        done(global, format_args!("{}: {}", self.done, jids.join(" ")), json!({ "jids": jids, "outcome": self.done }))
    }
}

fn done(global: &Global, text: std::fmt::Arguments<'_>, content: Value) -> Result<u8, Failure> {
    if global.json {
        print_json(&content)?;
    } else {
        say(text);
    }
    Ok(0)
}

fn list(global: &Global, page: &Value) -> Result<u8, Failure> {
    if global.json {
        print_json(page)?;
        return Ok(0);
    }
    let jobs = page["jobs"].as_array().cloned().unwrap_or_default();
    let mut rows = vec![["JID", "TYPE", "QUEUE", "AT", "ATTEMPTS", "LAST ERROR"].map(str::to_owned)];
    rows.extend(jobs.iter().map(row));
    print(&table::columns(&rows))?;
    let total = page["total"].as_u64().unwrap_or_default();
    if total > jobs.len() as u64 {
        say(format_args!("{} of {total} are shown; `-n` shows more", jobs.len()));
    }
    Ok(0)
}

fn row(job: &Value) -> [String; 6] {
    let text = |value: &Value| table::one_line(value.as_str().unwrap_or("-"));
    let failure = &job["failure"];
    let last = match failure["message"].as_str() {
        Some(message) => table::one_line(&format!("{}: {message}", failure["errtype"].as_str().unwrap_or_default())),
        None => "-".to_owned(),
    };
    [text(&job["jid"]), text(&job["jobtype"]), text(&job["queue"]), text(&job["at"]), job["tries"].to_string(), last]
}

fn show(global: &Global, job: &Value) -> Result<u8, Failure> {
    let is_known = job["state"] != "unknown";
    if global.json {
        print_json(job)?;
    } else if is_known {
        let mut text: String = job
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, value)| !value.is_null() && !matches!(name.as_str(), "attempts" | "failure"))
            .map(|(name, value)| {
                format!("{name}: {}\n", value.as_str().map_or_else(|| value.to_string(), table::one_line))
            })
            .collect();
        for attempt in job["attempts"].as_array().into_iter().flatten() {
            let text_of = |name: &str| table::one_line(attempt[name].as_str().unwrap_or("-"));
            let (at, kind, message) = (text_of("failed_at"), text_of("errtype"), text_of("message"));
            text.push_str(&format!("failed: {at} {kind}: {message}\n"));
            for line in attempt["backtrace"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                text.push_str(&format!("    {}\n", table::one_line(line)));
            }
        }
        print(&text)?;
    } else {
        say(format_args!("evercrew: no job is called {}", job["jid"].as_str().unwrap_or_default()));
    }
    Ok(if is_known { 0 } else { code::UNKNOWN })
}
