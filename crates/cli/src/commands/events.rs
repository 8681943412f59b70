//! `events`: what happened.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::Failure;
use crate::output::{Reader, print};
use crate::table;

/// Show what happened, or follow it
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on as events happen
    #[arg(short, long)]
    follow: bool,
    /// From this number on
    #[arg(long, value_name = "N")]
    since: Option<u64>,
    /// Only the last N so far
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "since")]
    lines: Option<usize>,
    /// Only events of this service; may be given again
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// Only this kind: worker.exit, or worker for all that begin so; may be given again
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
}

impl Events {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let mut args = Map::new();
        for (name, texts) in [("service", &self.service), ("kind", &self.kind)] {
            if !texts.is_empty() {
                args.insert(name.into(), json!(texts));
            }
        }
        if let Some(since) = self.since {
            args.insert("since".into(), json!(since));
        }
        let engine = Engine::of(global);
        let line = |event: &Value| format!("{}\n", if global.json { event.to_string() } else { table::event(event) });
        let mut since = None;
        if !self.follow || self.lines.is_some() {
            let reply = engine.ask(&Question::look("events", args.clone(), global.timeout), |_| {})?;
            let events: Vec<&Value> = reply.content["events"].as_array().into_iter().flatten().collect();
            let skipped = self.lines.map_or(0, |lines| events.len().saturating_sub(lines));
            print(&events.into_iter().skip(skipped).map(line).collect::<String>())?;
            since = reply.content["next"].as_u64();
        }
        if self.follow {
            args.insert("follow".into(), json!(true));
            args.extend(since.map(|since| ("since".to_owned(), json!(since))));
            let question = Question::look("events", args, global.timeout);
            engine.follow(&question, |event| Ok(print(&line(event))? == Reader::Listens))?;
        }
        Ok(0)
    }
}
