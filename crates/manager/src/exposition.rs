//! Figures as families of samples, in JSON and in Prometheus' text.

use std::collections::BTreeMap;
use std::fmt::Write;

use evercrew_core::fleet::WorkerId;
use evercrew_core::metrics::{Book, Histogram, Measure, Refused};
use evercrew_sys::process;
use serde_json::{Value, json};

use crate::families::{self, FAMILIES, Family};

/// What workers tell of the connections that they accept.
const ACCEPTED: &str = "http_connections_total";

/// What only grows while this manager lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) commands: BTreeMap<&'static str, u64>,
    pub(crate) events: BTreeMap<&'static str, u64>,
    pub(crate) exits: BTreeMap<(String, &'static str), u64>,
    pub(crate) drains: BTreeMap<String, Histogram>,
    pub(crate) lags: BTreeMap<String, Histogram>,
    pub(crate) disregarded: BTreeMap<&'static str, u64>,
}

/// One worker's process.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) uptime: f64,
    /// How long ago it last beat.
    pub(crate) beat: Option<f64>,
    /// Whether it has told any figure, where it can.
    pub(crate) reports: Option<bool>,
}

/// What workers counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reported {
    series: Vec<One>,
    refused: BTreeMap<(String, Refused), u64>,
}

#[derive(Clone, Debug)]
struct One {
    service: String,
    name: String,
    help: String,
    labels: BTreeMap<String, String>,
    value: Measure,
    workers: Vec<(String, Measure)>,
}

impl Reported {
    pub(crate) fn of(book: &Book, name: impl Fn(WorkerId) -> String) -> Self {
        let series = book.merged().into_iter().map(|(service, series, merged)| One {
            service: service.to_owned(),
            name: series.name.clone(),
            help: book.help(service, &series.name).unwrap_or("told by workers").to_owned(),
            labels: series.labels.clone(),
            value: merged.value,
            workers: merged.workers.into_iter().map(|(worker, value)| (name(worker), value)).collect(),
        });
        Self { series: series.collect(), refused: book.refused().clone() }
    }
}

/// Everything that the loop knows at a moment.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Name, state, wanted, ready, restarts.
    pub(crate) services: Vec<(String, &'static str, u32, u32, u64)>,
    pub(crate) engine: Vec<(&'static str, u32)>,
    pub(crate) workers: Vec<Sight>,
    pub(crate) merged: Reported,
    pub(crate) totals: Totals,
    pub(crate) generation: u64,
    pub(crate) revision: u64,
    pub(crate) clients: usize,
    pub(crate) followers: usize,
    pub(crate) calls: usize,
    /// Whether processes are looked at.
    pub(crate) looks: bool,
}

/// One sample of a family.
#[derive(Clone, Debug)]
struct Sample {
    labels: Vec<(String, String)>,
    value: Measure,
    workers: Vec<(String, Measure)>,
}

#[derive(Clone, Debug)]
struct Filled {
    name: String,
    kind: &'static str,
    help: String,
    samples: Vec<Sample>,
}

/// All figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    families: Vec<Filled>,
    missing: Vec<String>,
}

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Document {
    fn add(&mut self, family: &'static Family, labels: Labels<'_>, value: f64) {
        let value = match family.kind {
            "counter" => Measure::Counter(value),
            _ => Measure::Gauge(value, evercrew_core::metrics::Rule::Sum),
        };
        self.sample(family, labels, value);
    }

    fn sample(&mut self, family: &'static Family, labels: Labels<'_>, value: Measure) {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sample = Sample { labels, value, workers: Vec::new() };
        self.take((family.name, family.kind, family.help), sample);
    }

    /// Samples of one name stay together; of one with another kind there is no saying what it is.
    fn take(&mut self, (name, kind, help): (&str, &'static str, &str), sample: Sample) {
        let known = self.families.iter_mut().rev().find(|family| family.name == name);
        match known {
            Some(family) if family.kind == kind => family.samples.push(sample),
            Some(_) => {}
            None => {
                self.families.push(Filled { name: name.to_owned(), kind, help: help.to_owned(), samples: vec![sample] })
            }
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let sample = |sample: &Sample| {
            let labels: serde_json::Map<String, Value> =
                sample.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            let mut entry = json!({"labels": labels, "value": measure(&sample.value)});
            if !sample.workers.is_empty() {
                let workers = sample.workers.iter().map(|(name, value)| (name.clone(), measure(value)));
                entry["workers"] = Value::Object(workers.collect());
            }
            entry
        };
        let family = |family: &Filled| {
            json!({"name": family.name, "kind": family.kind, "help": family.help,
                   "samples": family.samples.iter().map(sample).collect::<Vec<_>>()})
        };
        let families: Vec<Value> = self.families.iter().map(family).collect();
        json!({"families": families, "missing": self.missing})
    }

    /// Prometheus' text format, 0.0.4.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for Filled { name, kind, help, samples } in &self.families {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for sample in samples {
                write_sample(&mut text, name, sample);
            }
        }
        text
    }
}

fn write_sample(text: &mut String, name: &str, sample: &Sample) {
    let labels = |more: Option<(&str, &str)>| {
        let own = sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<String> = own
            .chain(more)
            .map(|(name, value)| {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                format!("{name}=\"{value}\"")
            })
            .collect();
        if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
    };
    let _ = match &sample.value {
        Measure::Counter(value) | Measure::Gauge(value, _) => writeln!(text, "{name}{} {value}", labels(None)),
        Measure::Histogram(Histogram { buckets, sum, count }) => {
            for (bound, under) in buckets.iter().filter(|(bound, _)| bound.is_finite()) {
                let _ = writeln!(text, "{name}_bucket{} {under}", labels(Some(("le", &bound.to_string()))));
            }
            let _ = writeln!(text, "{name}_bucket{} {count}", labels(Some(("le", "+Inf"))));
            writeln!(text, "{name}_sum{} {sum}\n{name}_count{} {count}", labels(None), labels(None))
        }
    };
}

fn measure(value: &Measure) -> Value {
    match value {
        Measure::Counter(value) | Measure::Gauge(value, _) => json!(value),
        Measure::Histogram(Histogram { buckets, sum, count }) => {
            json!({"buckets": buckets, "sum": sum, "count": count})
        }
    }
}

impl Seen {
    /// Without a look at processes.
    pub(crate) fn blind(self) -> Self {
        Self { looks: false, ..self }
    }

    /// Looks at every process and writes everything down.
    pub(crate) fn document(&self) -> Document {
        let mut document = Document::default();
        let d = &mut document;
        d.add(&families::INFO, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        d.add(&families::GENERATION, &[], self.generation as f64);
        d.add(&families::REVISION, &[], self.revision as f64);
        d.add(&families::CLIENTS, &[], self.clients as f64);
        d.add(&families::FOLLOWERS, &[], self.followers as f64);
        d.add(&families::CALLS, &[], self.calls as f64);
        for (verb, count) in &self.totals.commands {
            d.add(&families::COMMANDS, &[("verb", verb)], *count as f64);
        }
        for (kind, count) in &self.totals.events {
            d.add(&families::EVENTS, &[("kind", kind)], *count as f64);
        }
        for (why, count) in &self.totals.disregarded {
            d.add(&families::DISREGARDED, &[("why", why)], *count as f64);
        }
        for (name, pid) in &self.engine {
            self.look(d, &families::ENGINE, &[("process", name)], *pid);
        }
        for (name, state, wanted, ready, restarts) in &self.services {
            d.add(&families::WANTED, &[("service", name)], f64::from(*wanted));
            d.add(&families::READY, &[("service", name)], f64::from(*ready));
            d.add(&families::STATE, &[("service", name), ("state", state)], 1.0);
            d.add(&families::RESTARTS, &[("service", name)], *restarts as f64);
        }
        for ((service, reason), count) in &self.totals.exits {
            d.add(&families::EXITS, &[("service", service), ("reason", reason)], *count as f64);
        }
        for (service, drains) in &self.totals.drains {
            d.sample(&families::DRAINS, &[("service", service)], Measure::Histogram(drains.clone()));
        }
        for (service, lags) in &self.totals.lags {
            d.sample(&families::LAG, &[("service", service)], Measure::Histogram(lags.clone()));
        }
        self.balance(d);
        for worker in &self.workers {
            let labels: Labels<'_> = &[("service", &worker.service), ("worker", &worker.name)];
            self.look(d, &families::WORKER, labels, worker.pid);
            d.add(&families::UPTIME, labels, worker.uptime);
            if let Some(beat) = worker.beat {
                d.add(&families::BEAT, labels, beat);
            }
            if let Some(reports) = worker.reports {
                d.add(&families::REPORTS, labels, f64::from(u8::from(reports)));
                d.missing.extend((!reports).then(|| worker.name.clone()));
            }
        }
        self.reported(d);
        // In the order of the table, each family whole.
        d.families.sort_by_key(|family| {
            FAMILIES.iter().position(|known| known.name == family.name).unwrap_or(FAMILIES.len())
        });
        document
    }

    /// How evenly siblings accept: by the time that each has been there, since one that has just come has few.
    fn balance(&self, d: &mut Document) {
        let uptime = |sight: &Sight| ((sight.service.clone(), sight.name.clone()), sight.uptime);
        let uptimes: BTreeMap<(String, String), f64> = self.workers.iter().map(uptime).collect();
        let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for one in self.merged.series.iter().filter(|one| one.name == ACCEPTED) {
            for (name, value) in &one.workers {
                let uptime = uptimes.get(&(one.service.clone(), name.clone()));
                if let (Measure::Counter(count), Some(uptime)) = (value, uptime) {
                    d.add(&families::ACCEPTED, &[("service", &one.service), ("worker", name)], *count);
                    rates.entry(&one.service).or_default().push(count / uptime.max(1.0));
                }
            }
        }
        for (service, rates) in rates {
            let mean = rates.iter().sum::<f64>() / rates.len() as f64;
            if rates.len() > 1 && mean > 0.0 {
                let most = rates.iter().copied().fold(0.0, f64::max);
                d.add(&families::IMBALANCE, &[("service", service)], most / mean);
            }
        }
    }

    fn reported(&self, d: &mut Document) {
        for ((service, why), count) in &self.merged.refused {
            d.add(&families::REFUSED, &[("service", service), ("why", why.name())], *count as f64);
        }
        for one in &self.merged.series {
            let own = std::iter::once(("service".to_owned(), one.service.clone()));
            let labels = own.chain(one.labels.clone()).collect();
            let sample = Sample { labels, value: one.value.clone(), workers: one.workers.clone() };
            d.take((&one.name, one.value.kind(), &one.help), sample);
        }
    }

    fn look(&self, d: &mut Document, [cpu, memory, descriptors]: &'static [Family; 3], labels: Labels<'_>, pid: u32) {
        if !self.looks {
            return;
        }
        if let Some(used) = process::cpu_time(pid) {
            d.add(cpu, labels, used.as_secs_f64());
        }
        if let Some(bytes) = process::memory(pid) {
            d.add(memory, labels, bytes as f64);
        }
        if let Some(kinds) = process::descriptors(pid) {
            d.add(descriptors, labels, kinds.values().sum::<usize>() as f64);
        }
    }
}

#[cfg(test)]
mod tests;
