//! `top`: the live view, or one picture of the same.

use std::io::{self, IsTerminal};

use clap::Args;
use evercrew_sys::terminal;
use serde_json::{Map, Value, json};

use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::top::{self, MINUTE, Rates};
use crate::{table, up};

/// Events in a picture.
const LAST: usize = 10;

/// Watch services and workers live; ? in it explains the keys
///
/// Where standard input or output is no terminal, and with --once or --json, it prints how things stand, once.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Print how things stand, and end
    #[arg(long)]
    once: bool,
}

impl Top {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let engine = Engine::of(global);
        let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        if terminal && !self.once && !global.json {
            // One that does not run is told as every command tells it; one that goes later is waited for.
            ask(&engine, global, "status")?;
            return top::run(global, up::colored_on(global.color, &io::stdout()));
        }
        let status = ask(&engine, global, "status")?;
        let told = ask(&engine, global, "events")?;
        let events: Vec<&Value> = told["events"].as_array().into_iter().flatten().collect();
        let rates = Rates::of(events.iter().copied(), &evercrew_logger::ago(MINUTE));
        let last = &events[events.len().saturating_sub(LAST)..];
        if global.json {
            print_json(&json!({"status": status, "rates": rates.document(), "events": last}))?;
            return Ok(0);
        }
        let output = io::stdout();
        let style = table::Style { width: terminal::width(&output), color: up::colored_on(global.color, &output) };
        let mut text = table::status(&status, style);
        text += &format!("last minute: {} restarts, {} events\n", rates.restarts, rates.events);
        for event in last {
            text += &table::event(event);
            text.push('\n');
        }
        print(&text)?;
        Ok(0)
    }
}

fn ask(engine: &Engine, global: &Global, verb: &'static str) -> Result<Value, Failure> {
    Ok(engine.ask(&Question::look(verb, Map::new(), global.timeout), |_| {})?.content)
}
