//! Figures as Prometheus reads them.

use std::fmt::Write;

use evercrew_core::jobs::Set;

use crate::info::latency;
use crate::server::Server;

/// All figures, in the text format.
pub(crate) fn metrics(server: &Server) -> String {
    let mut text = String::new();
    let core = &server.core;
    let totals = core.totals();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, String)]| {
        let _ = write!(text, "# HELP evercrew_queue_{name} {help}\n# TYPE evercrew_queue_{name} {kind}\n");
        for (labels, value) in samples {
            let _ = writeln!(text, "evercrew_queue_{name}{labels} {value}");
        }
    };
    let queues = core.queues();
    // Names of queues have no character that would have to be escaped.
    let each = |value: &dyn Fn(&evercrew_core::jobs::QueueView) -> String| -> Vec<(String, String)> {
        queues.iter().map(|queue| (format!("{{queue=\"{}\"}}", queue.name), value(queue))).collect()
    };
    family("depth", "gauge", "Jobs that wait in a queue.", &each(&|queue| queue.size.to_string()));
    family(
        "oldest_ready_age_seconds",
        "gauge",
        "How long the oldest job of a queue has waited.",
        &each(&|queue| format!("{:.6}", latency(server.wall, queue.oldest))),
    );
    family(
        "paused",
        "gauge",
        "Whether nothing is handed out of a queue.",
        &each(&|queue| u8::from(queue.paused).to_string()),
    );
    let sets = [
        ("scheduled", Set::Scheduled),
        ("retries", Set::Retries),
        ("dead", Set::Dead),
        ("working", Set::Working),
        ("enqueued", Set::Enqueued),
    ];
    let sizes: Vec<(String, String)> =
        sets.iter().map(|(name, set)| (format!("{{set=\"{name}\"}}"), core.size(*set).to_string())).collect();
    family("set_size", "gauge", "Jobs in a set.", &sizes);
    let count = &server.count;
    let counters: [(&str, &str, u64); 14] = [
        ("pushed_total", "Jobs taken in.", totals.pushed),
        ("leased_total", "Jobs handed out.", totals.leased),
        ("done_total", "Jobs done.", totals.done),
        ("failed_total", "Failures of jobs.", totals.failed),
        ("dead_total", "Jobs that are tried no more.", totals.died),
        ("expired_total", "Reservations that ran out.", totals.expired),
        ("orphaned_total", "Jobs whose worker died.", totals.orphaned),
        ("refunded_total", "Jobs given back before they were begun.", totals.refunded),
        ("cancelled_total", "Jobs cancelled.", totals.cancelled),
        ("stale_total", "Answers of those who held the job no more.", totals.stale),
        ("commits_total", "Batches kept.", count.commits),
        ("refused_commits_total", "Batches that could not be kept.", count.refused_commits),
        ("syncs_total", "Syncs of the store.", server.syncs()),
        ("commands_total", "Commands of clients.", count.commands),
    ];
    for (name, help, value) in counters {
        family(name, "counter", help, &[(String::new(), value.to_string())]);
    }
    let gauges = [
        ("connections", "Clients that are connected.", u64::from(server.sessions.count())),
        ("workers", "Workers that are known.", core.consumer_count() as u64),
        ("waiting_workers", "Workers that wait for a job.", core.waiting() as u64),
        ("text_bytes", "Bytes of jobs in memory.", server.texts.bytes()),
    ];
    for (name, help, value) in gauges {
        family(name, "gauge", help, &[(String::new(), value.to_string())]);
    }
    text
}
