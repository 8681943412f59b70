//! `metrics`: what is counted.

use std::fmt::Write;

use clap::Args;
use serde_json::{Map, Value};

use crate::arguments::Global;
use crate::client::{Engine, Question};
use crate::failure::Failure;
use crate::output::{print, print_json, say};

/// Show what is counted, in Prometheus' names
///
/// `[metrics] listen` of the file serves the same to Prometheus.
#[derive(Debug, Args)]
pub(crate) struct Metrics {}

impl Metrics {
    pub(crate) fn run(&self, global: &Global) -> Result<u8, Failure> {
        let reply = Engine::of(global).ask(&Question::look("metrics", Map::new(), global.timeout), |_| {})?;
        if global.json {
            print_json(&reply.content)?;
            return Ok(0);
        }
        print(&text(&reply.content))?;
        let missing = reply.content["missing"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let missing: Vec<&str> = missing.collect();
        if !missing.is_empty() {
            say(format_args!("these have told no metrics, and are missing in the sums: {}", missing.join(" ")));
        }
        Ok(0)
    }
}

/// One line a sample; of a histogram its number of values and their average.
fn text(document: &Value) -> String {
    let mut text = String::new();
    for family in document["families"].as_array().into_iter().flatten() {
        let name = family["name"].as_str().unwrap_or("?");
        for sample in family["samples"].as_array().into_iter().flatten() {
            let labels = sample["labels"].as_object().into_iter().flatten();
            let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let value = &sample["value"];
            let _ = match value.as_object() {
                None => writeln!(text, "{name}{labels} {value}"),
                Some(histogram) => {
                    let figure = |name: &str| histogram.get(name).and_then(Value::as_f64).unwrap_or(0.0);
                    let (count, mean) = (figure("count"), figure("sum") / figure("count").max(1.0));
                    writeln!(text, "{name}{labels} {count} values, {mean:.6} on average")
                }
            };
        }
    }
    text
}
