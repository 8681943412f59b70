//! What the server counts, as series.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::jobs::{QueueView, Set};
use evercrew_core::metrics::Histogram;
use evercrew_wire::command_pipe::{Measure, Metric};

use crate::info::latency;
use crate::server::Server;

/// Queues that are told apart; those with the fewest jobs are told together, as queue `*`.
const MOST_QUEUES: usize = 200;
/// The name of all others, which no queue can have.
const OTHERS: &str = "*";
/// Upper bounds of how long jobs wait, in seconds.
const WAITS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 3600.0];

/// How long jobs waited in their queues before they were handed out.
#[derive(Debug, Default)]
pub(crate) struct Waits(HashMap<Arc<str>, Histogram>);

impl Waits {
    /// A job of this queue was handed out.
    pub(crate) fn observe(&mut self, queue: &Arc<str>, wait: Duration) {
        if let Some(of_queue) = self.0.get_mut(queue) {
            return of_queue.observe(wait.as_secs_f64());
        }
        let name = if self.0.len() < MOST_QUEUES { Arc::clone(queue) } else { OTHERS.into() };
        let empty = || Histogram { buckets: WAITS.map(|bound| (bound, 0)).to_vec(), ..Histogram::default() };
        self.0.entry(name).or_insert_with(empty).observe(wait.as_secs_f64());
    }

    /// Those of queues that are no more are forgotten.
    fn keep(&mut self, queues: &[QueueView]) {
        let is_there = |name: &str| queues.binary_search_by(|queue| (*queue.name).cmp(name)).is_ok();
        self.0.retain(|name, _| &**name == OTHERS || is_there(name));
    }
}

/// All series, those of one name together.
pub(crate) fn figures(server: &mut Server) -> Vec<Metric> {
    let queues = server.core.queues();
    server.waits.keep(&queues);
    let mut metrics = of_queues(server, queues);
    for (set, members) in [
        ("scheduled", Set::Scheduled),
        ("retries", Set::Retries),
        ("dead", Set::Dead),
        ("working", Set::Working),
        ("enqueued", Set::Enqueued),
    ] {
        let size = server.core.size(members) as u64;
        metrics.push(metric("set_size", "Jobs in a set", &[("set", set)], gauge(size)));
    }
    let (totals, count) = (server.core.totals(), &server.count);
    let counters: [(&str, &str, u64); 16] = [
        ("pushed_total", "Jobs taken in", totals.pushed),
        ("leased_total", "Jobs handed out", totals.leased),
        ("done_total", "Jobs done", totals.done),
        ("failed_total", "Failures of jobs", totals.failed),
        ("dead_total", "Jobs that are tried no more", totals.died),
        ("expired_total", "Reservations that ran out", totals.expired),
        ("orphaned_total", "Jobs whose worker died", totals.orphaned),
        ("refunded_total", "Jobs given back before they were begun", totals.refunded),
        ("cancelled_total", "Jobs cancelled", totals.cancelled),
        ("stale_total", "Answers of those who held the job no more", totals.stale),
        ("commits_total", "Batches kept", count.commits),
        ("refused_commits_total", "Batches that could not be kept", count.refused_commits),
        ("syncs_total", "Syncs of the store", server.syncs()),
        ("commands_total", "Commands of clients", count.commands),
        ("turns_total", "Turns of the loop that serves", count.turns),
        ("evicted_connections_total", "Clients sent away because they were slow", count.evicted),
    ];
    metrics
        .extend(counters.map(|(name, help, count)| metric(name, help, &[], Measure::Counter { value: float(count) })));
    let gauges = [
        ("connections", "Clients that are connected", u64::from(server.sessions.count())),
        ("workers", "Workers that are known", server.core.consumer_count() as u64),
        ("waiting_workers", "Workers that wait for a job", server.core.waiting() as u64),
        ("text_bytes", "Bytes of jobs in memory", server.texts.bytes()),
        ("buffer_bytes", "Bytes of unfinished commands and unsent answers", server.room.held()),
    ];
    metrics.extend(gauges.map(|(name, help, count)| metric(name, help, &[], gauge(count))));
    metrics
}

/// What is told of one queue, or of those that are told together.
struct Row {
    name: Arc<str>,
    size: u64,
    age: f64,
    paused: u64,
}

fn of_queues(server: &Server, mut queues: Vec<QueueView>) -> Vec<Metric> {
    let age = |queue: &QueueView| latency(server.wall, queue.oldest);
    queues.sort_by(|left, right| right.size.cmp(&left.size).then_with(|| left.name.cmp(&right.name)));
    let others = queues.split_off(queues.len().min(MOST_QUEUES));
    let mut rows: Vec<Row> = queues
        .iter()
        .map(|queue| Row {
            name: Arc::clone(&queue.name),
            size: queue.size as u64,
            age: age(queue),
            paused: u64::from(queue.paused),
        })
        .collect();
    if !others.is_empty() {
        let size = others.iter().map(|queue| queue.size as u64).sum();
        let paused = others.iter().filter(|queue| queue.paused).count() as u64;
        rows.push(Row { name: OTHERS.into(), size, age: others.iter().map(age).fold(0.0, f64::max), paused });
    }
    let of_each = |name: &str, help: &str, value: &dyn Fn(&Row) -> Measure| -> Vec<Metric> {
        rows.iter().map(|row| metric(name, help, &[("queue", &row.name)], value(row))).collect()
    };
    let mut metrics = of_each("depth", "Jobs that wait in a queue", &|row| gauge(row.size));
    let oldest = "How long the oldest job of a queue has waited";
    metrics.extend(of_each("oldest_ready_age_seconds", oldest, &|row| Measure::Gauge { value: row.age, merge: None }));
    metrics.extend(of_each("paused", "Whether nothing is handed out of a queue", &|row| gauge(row.paused)));
    let mut waits: Vec<_> = server.waits.0.iter().collect();
    waits.sort_unstable_by_key(|(name, _)| Arc::clone(name));
    let help = "How long jobs were ready in their queue before they were handed out";
    metrics.extend(waits.into_iter().map(|(name, waits)| {
        let Histogram { buckets, sum, count } = waits.clone();
        metric("wait_seconds", help, &[("queue", name)], Measure::Histogram { buckets, sum, count })
    }));
    metrics
}

fn metric(name: &str, help: &str, labels: &[(&str, &str)], value: Measure) -> Metric {
    let labels: BTreeMap<_, _> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Metric { name: format!("evercrew_queue_{name}"), labels, help: help.to_owned(), value }
}

fn gauge(count: u64) -> Measure {
    Measure::Gauge { value: float(count), merge: None }
}

/// Counts above 2^53 lose their last digits.
#[allow(clippy::cast_precision_loss)]
fn float(count: u64) -> f64 {
    count as f64
}
