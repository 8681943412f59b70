//! How the server stands, in the words that clients read.

use std::sync::Arc;

use evercrew_core::jobs::{Place, Record, Set, Stage, Wall};
use evercrew_sys::process;
use evercrew_wire::faktory::{Own, stamp};
use serde_json::{Map, Value, json};

use crate::finished::Finished;
use crate::handout;
use crate::server::Server;

/// What clients compare with what they need: they want 1.8 or later.
const FAKTORY_VERSION: &str = "1.9.3";

/// The answer to INFO.
pub(crate) fn info(server: &Server) -> String {
    let core = &server.core;
    let now = server.wall;
    let totals = core.totals();
    let queues = core.queues();
    let sizes: Map<String, Value> = queues.iter().map(|queue| (queue.name.to_string(), json!(queue.size))).collect();
    let own: Vec<Value> = queues
        .iter()
        .map(|queue| json!({ "name": &*queue.name, "size": queue.size, "paused": queue.paused, "latency": latency(now, queue.oldest) }))
        .collect();
    let size = |set| json!(core.size(set));
    let task =
        |name: &str, size: usize| json!({ "name": name, "reaped": 0, "cycles": 0, "wall_time_sec": 0.0, "size": size });
    let verbs: Vec<&str> = Own::ALL.iter().map(|(verb, _)| *verb).collect();
    json!({
        "now": stamp::text(now.0),
        "server_utc_time": stamp::text(now.0).get(11..19).map(|time| format!("{time} UTC")),
        "faktory": {
            "queues": sizes,
            "sets": {
                "scheduled": size(Set::Scheduled),
                "retries": size(Set::Retries),
                "dead": size(Set::Dead),
                "working": size(Set::Working),
            },
            "tasks": {
                "Busy": task("Busy", core.size(Set::Working)),
                "Dead": task("Dead", core.size(Set::Dead)),
                "Retries": task("Retries", core.size(Set::Retries)),
                "Scheduled": task("Scheduled", core.size(Set::Scheduled)),
                "Workers": task("Workers", core.consumer_count()),
            },
            "total_failures": totals.failed,
            "total_processed": totals.done + totals.failed,
            "total_enqueued": core.size(Set::Enqueued),
            "total_queues": queues.len(),
        },
        "server": {
            "description": "Evercrew",
            "faktory_version": FAKTORY_VERSION,
            "uptime": server.now.since(server.started).as_secs(),
            "connections": server.sessions.count(),
            "command_count": server.count.commands,
            "used_memory_mb": process::memory(std::process::id()).unwrap_or(0) >> 20,
        },
        "evercrew": {
            "version": env!("CARGO_PKG_VERSION"),
            "verbs": verbs,
            "durability": server.durability(),
            "queues": own,
            "totals": {
                "pushed": totals.pushed,
                "leased": totals.leased,
                "done": totals.done,
                "failed": totals.failed,
                "dead": totals.died,
                "expired": totals.expired,
                "orphaned": totals.orphaned,
                "refunded": totals.refunded,
                "cancelled": totals.cancelled,
                "stale": totals.stale,
                "commits": server.count.commits,
                "refused_commits": server.count.refused_commits,
                "syncs": server.syncs(),
                "refused_commands": server.count.refused,
                "accepted_connections": server.count.connections,
                "turns": server.count.turns,
                "evicted_connections": server.count.evicted,
            },
            "waiting_workers": core.waiting(),
            "text_bytes": server.texts.bytes(),
            "buffer_bytes": server.room.held(),
        },
    })
    .to_string()
}

/// The answer to QUEUE LATENCY, for these queues or all.
pub(crate) fn latencies(server: &Server, names: Option<&[Arc<str>]>) -> String {
    let queues = server.core.queues();
    let latency = |name: &str| {
        let oldest = queues.iter().find(|queue| &*queue.name == name).and_then(|queue| queue.oldest);
        json!(latency(server.wall, oldest))
    };
    let names: Vec<Arc<str>> = match names {
        Some(names) if !names.is_empty() => names.to_vec(),
        Some(_) | None => queues.iter().map(|queue| Arc::clone(&queue.name)).collect(),
    };
    let latencies: Map<String, Value> = names.iter().map(|name| (name.to_string(), latency(name))).collect();
    Value::Object(latencies).to_string()
}

/// Seconds that the oldest job has waited.
pub(crate) fn latency(now: Wall, oldest: Option<Wall>) -> f64 {
    oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64())
}

/// Whether a place is in a set.
pub(crate) fn is_in(place: &Place, set: Set) -> bool {
    match place {
        Place::Enqueued => set == Set::Enqueued,
        Place::Scheduled(_) => set == Set::Scheduled,
        Place::Retry(_) => set == Set::Retries,
        Place::Reserved { .. } => set == Set::Working,
        Place::Dead(_) => set == Set::Dead,
    }
}

/// How often a job has been begun, as far as that is known.
pub(crate) fn tries(record: &Record) -> u32 {
    let failed = record.failure.as_ref().map_or(0, |failure| failure.count);
    failed + u32::from(matches!(record.place, Place::Reserved { .. }))
}

/// A job for whoever asks after it; with its text when that is at hand.
pub(crate) fn job(record: &Record, text: Option<Value>) -> Value {
    let mut job = text.filter(Value::is_object).unwrap_or_else(|| json!({}));
    let at = match &record.place {
        Place::Enqueued => record.enqueued_at,
        Place::Scheduled(at) | Place::Retry(at) | Place::Dead(at) => *at,
        Place::Reserved { since, .. } => *since,
    };
    job["jid"] = json!(&*record.jid);
    job["jobtype"] = json!(&*record.kind);
    job["queue"] = json!(&*record.queue);
    job["state"] = json!(record.place.word());
    job["at"] = json!(stamp::text(at.0));
    job["enqueued_at"] = json!(stamp::text(record.enqueued_at.0));
    job["tries"] = json!(tries(record));
    job["worker_deaths"] = json!(record.deaths);
    let failure = record.failure.as_ref().map(|failure| handout::failure(failure, record.retry));
    job["failure"] = failure.unwrap_or(Value::Null);
    if let Place::Reserved { wid, lease, .. } = &record.place {
        job["worker"] = json!(&**wid);
        job["lease"] = json!(lease.0);
    }
    job
}

/// How a job failed each time, the first one first, as far as that is kept.
pub(crate) fn attempts(record: &Record) -> Vec<Value> {
    let Some(failure) = &record.failure else { return Vec::new() };
    let earlier = failure.earlier.iter().map(|attempt| {
        json!({ "failed_at": stamp::text(attempt.at.0), "errtype": attempt.kind, "message": attempt.message })
    });
    earlier.chain([handout::failure(failure, record.retry)]).collect()
}

/// A job that is done.
pub(crate) fn finished(job: &Finished) -> Value {
    json!({
        "jid": &*job.jid,
        "jobtype": &*job.kind,
        "queue": &*job.queue,
        "state": "done",
        "at": stamp::text(job.at.0),
        "tries": job.tries,
        "attempts": job.attempts.as_ref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| json!([])),
        "result": job.result.as_ref().and_then(|result| serde_json::from_str::<Value>(result).ok()),
    })
}

/// The workers.
pub(crate) fn workers(server: &Server) -> Vec<Value> {
    let workers = server.core.consumers().map(|(wid, worker)| {
        let state = match worker.stage {
            Stage::Running => "running",
            Stage::Quiet => "quiet",
            Stage::Terminating => "terminate",
        };
        json!({
            "wid": &**wid,
            "state": state,
            "hostname": worker.host,
            "pid": worker.pid,
            "labels": worker.labels,
            "rss_kb": worker.rss,
            "jobs": worker.leases.len(),
            "since": stamp::text(worker.since.0),
            "silent_seconds": server.now.since(worker.heard).as_secs(),
        })
    });
    workers.collect()
}
