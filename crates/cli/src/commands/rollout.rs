//! `rollout`: looking at rollouts, and leading them.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{change, progress};
use crate::arguments::Global;
use crate::client::{Engine, Lost, Question};
use crate::failure::Failure;
use crate::output::{print, print_json, say};

/// Look at rollouts, pause them, take them back
#[derive(Debug, Args)]
pub(crate) struct Rollout {
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Action {
    /// Show the rollouts that run or are paused
    Status {
        /// Services; all if none is named
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Replace nothing more until `resume`; what has begun goes on
    Pause {
        /// Services; all rollouts that run if none is named
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Go on with a paused rollout
    Resume {
        /// Services; all paused rollouts if none is named
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Go back to the command and settings that served before
    ///
    /// What changed on disk alone (a plain restart) cannot be brought back by the engine: the rollout ends, old workers
    /// stay, and those that were replaced run what is on disk.
    Undo {
        /// Services
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Show the last rollouts: who, when, how they ended and why
    History {
        /// Services; all if none is named
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

impl Rollout {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        match &self.action {
            Action::Status { names } => show(global, "rollout-status", names, "no rollout runs"),
            Action::History { names } => show(global, "rollout-history", names, "no rollout yet"),
            Action::Pause { names } => steer(global, "rollout-pause", names),
            Action::Resume { names } => steer(global, "rollout-resume", names),
            Action::Undo { names } => progress::ask(global, "rollout-undo", change::names(names)),
        }
    }
}

fn question(global: &Global, verb: &'static str, names: &[String], lost: Lost) -> Question {
    Question { lost, ..Question::look(verb, change::names(names), global.timeout) }
}

fn steer(global: &Global, verb: &'static str, names: &[String]) -> Result<u8, Failure> {
    let reply = Engine::of(global).ask(&question(global, verb, names, Lost::Tell), |_| {})?;
    if global.json {
        print_json(&reply.content)?;
    } else {
        say(&reply.message);
    }
    Ok(0)
}

fn show(global: &Global, verb: &'static str, names: &[String], nothing: &str) -> Result<u8, Failure> {
    let reply = Engine::of(global).ask(&question(global, verb, names, Lost::AskAgain), |_| {})?;
    if global.json {
        print_json(&reply.content)?;
        return Ok(0);
    }
    let rollouts = reply.content["rollouts"].as_array().cloned().unwrap_or_default();
    if rollouts.is_empty() {
        say(nothing);
    }
    print(&rollouts.iter().map(lines).collect::<String>())?;
    Ok(0)
}

/// A rollout for a person: one line, and the last words of the worker that stopped it.
fn lines(rollout: &Value) -> String {
    let text = |key: &str| rollout[key].as_str().unwrap_or("-").to_owned();
    let lasted = rollout["lasted_seconds"].as_f64().map_or_else(String::new, |lasted| format!("  {lasted:.1} s"));
    let mut line = format!(
        "{}  {}  {} {} of {}{lasted}  {}",
        text("began"),
        text("service"),
        text("outcome"),
        rollout["done"],
        rollout["total"],
        text("by"),
    );
    if let Some(reason) = rollout["reason"].as_str() {
        let worker = rollout["worker"].as_str().map_or_else(String::new, |worker| format!("{worker}: "));
        line += &format!("  ({worker}{reason})");
    }
    line.push('\n');
    for word in rollout["words"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        line += &format!("    {word}\n");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rollout_is_one_line_and_its_words() {
        let rollout = json!({
            "began": "2026-01-01T00:00:00.000Z", "service": "web", "outcome": "stopped", "done": 1, "total": 4,
            "lasted_seconds": 2.25, "by": "restart by uid 0 (pid 7)", "reason": "exit code 1", "worker": "web.2",
            "words": ["no such module"],
        });
        assert_eq!(
            lines(&rollout),
            "2026-01-01T00:00:00.000Z  web  stopped 1 of 4  2.2 s  restart by uid 0 (pid 7)  (web.2: exit code 1)\n    no such module\n"
        );
    }
}
