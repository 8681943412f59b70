//! `status`: the fleet's view with what the kernel says of each process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use evercrew_config::{Address, Service};
use evercrew_core::Mono;
use evercrew_core::fleet::{Fleet, LastExit, ServiceId, ServiceView, WorkerState, WorkerView};
use evercrew_sys::{clock, process};
use serde_json::{Value, json};

use crate::crew::{Crew, LOGGER};
use crate::listeners;
use crate::text;

/// What was seen of processes.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    /// CPU time at the last look, so that `cpu_percent` is that of the time since.
    cpu: BTreeMap<u32, (Mono, Duration)>,
    /// Services as this batch's first request saw them: every reply of a batch leaves at its end.
    services: BTreeMap<ServiceId, Value>,
}

/// Who runs this.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) supervisor: u32,
    pub(crate) generation: u32,
    /// How the manager after an upgrade ended, where this one is of the binary before it.
    pub(crate) returned: Option<String>,
    /// The engine's directory.
    pub(crate) directory: PathBuf,
    /// Ports that were chosen, by listener: those of address `…:0`.
    pub(crate) bound: BTreeMap<String, SocketAddr>,
}

impl Engine {
    /// Where services listen, and where their output is.
    fn places(&self, crew: &Crew) -> (Vec<Value>, Value) {
        let listeners = crew.settings().listeners.iter().filter_map(|listener| {
            let uses = |service: &&Service| service.listen.contains(&listener.name);
            let services: Vec<&str> =
                crew.settings().services.iter().filter(uses).map(|service| service.name.as_str()).collect();
            let address = match &listener.address {
                Address::Tcp(address) => self.bound.get(&listeners::key(listener)).unwrap_or(address).to_string(),
                Address::Unix(path) => format!("unix:{}", path.display()),
            };
            let used = !services.is_empty();
            used.then(|| json!({"name": listener.name, "address": address, "services": services}))
        });
        (listeners.collect(), json!(crew.settings().log.directory.to_string_lossy()))
    }
}

impl Samples {
    /// Per cent of one processor since the last look, or since the start.
    fn cpu(&mut self, now: Mono, pid: u32, started: Mono) -> f64 {
        let Some(used) = process::cpu_time(pid) else { return 0.0 };
        let (since, before) = self.cpu.insert(pid, (now, used)).unwrap_or((started, Duration::ZERO));
        let wall = now.since(since).as_secs_f64();
        let percent = if wall > 0.0 { used.saturating_sub(before).as_secs_f64() / wall * 100.0 } else { 0.0 };
        (percent * 10.0).round() / 10.0
    }

    /// What is asked from now on is looked at anew.
    pub(crate) fn end_batch(&mut self) {
        self.services.clear();
    }

    fn keep(&mut self, crew: &Crew) {
        let pids: std::collections::BTreeSet<u32> = crew.processes.values().map(|process| process.pid).collect();
        self.cpu.retain(|pid, _| pids.contains(pid));
    }
}

/// The document of CONTRACT "status --json" with the `asked` services.
pub(crate) fn document(
    fleet: &Fleet,
    crew: &Crew,
    engine: &Engine,
    samples: &mut Samples,
    asked: &[ServiceId],
) -> Value {
    if samples.services.is_empty() {
        samples.keep(crew);
    }
    let mut services = Vec::new();
    for id in asked.iter().filter(|id| **id != LOGGER) {
        if !samples.services.contains_key(id)
            && let Some(view) = fleet.service(*id)
        {
            let entry = service(&view, crew, samples);
            samples.services.insert(*id, entry);
        }
        services.extend(samples.services.get(id).cloned());
    }
    let (listeners, logs) = engine.places(crew);
    let mut manager = json!({"pid": std::process::id(), "generation": engine.generation});
    if let Some(reason) = &engine.returned {
        manager["returned"] = json!(reason);
    }
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "supervisor": {"pid": engine.supervisor},
        "manager": manager,
        "revision": crew.revision,
        "directory": engine.directory.to_string_lossy(),
        "listeners": listeners,
        "logs": logs,
        "services": services,
    })
}

/// What a person who has just started the engine wants to know: where it listens and where the output of workers goes.
pub(crate) fn places(engine: &Engine, crew: &Crew) -> Vec<String> {
    let (listeners, logs) = engine.places(crew);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listening = listeners.iter().map(|listener| {
        let services: Vec<String> = listener["services"].as_array().into_iter().flatten().map(text).collect();
        format!("{} listens on {}", services.join(", "), text(&listener["address"]))
    });
    listening.chain([format!("output of workers is in {}", text(&logs))]).collect()
}

fn service(view: &ServiceView, crew: &Crew, samples: &mut Samples) -> Value {
    let workers: Vec<Value> = view.workers.iter().map(|worker| one(view.service, worker, crew, samples)).collect();
    json!({
        "name": crew.name(view.service),
        "state": text::service_state(view.state),
        "wanted": view.wanted,
        "ready": view.ready,
        "rolling": view.rolling,
        "revision": view.epoch.0,
        "rollout": view.rollout.map(|rollout| json!({"done": rollout.done, "total": rollout.total, "paused": rollout.paused})),
        "workers": workers,
    })
}

fn one(service: ServiceId, view: &WorkerView, crew: &Crew, samples: &mut Samples) -> Value {
    let now = clock::mono();
    let process = view.worker.and_then(|worker| crew.processes.get(&worker));
    let mut entry = json!({
        "slot": view.slot.0,
        "name": crew.worker_name(service, view.slot),
        "pid": process.map(|process| process.pid),
        "generation": view.generation.0,
        "revision": view.epoch.0,
        "state": text::worker_state(view.state),
        "since": text::wall_of(view.since),
        "uptime_seconds": process.map(|process| (now.since(process.started).as_secs_f64() * 1000.0).round() / 1000.0),
        "restarts": view.restarts,
        "memory_bytes": process.and_then(|process| process::memory(process.pid)),
        "cpu_percent": process.map(|process| samples.cpu(now, process.pid, process.started)),
        "last_exit": view.last_exit.map(last_exit),
    });
    if let Some(status) = process.and_then(|process| process.status.as_ref()) {
        entry["status"] = json!(status);
    }
    entry
}

fn last_exit(exit: LastExit) -> Value {
    let (code, signal) = text::code_and_signal(exit.status);
    json!({"code": code, "signal": signal, "reason": text::exit_reason(exit.reason), "at": text::wall_of(exit.at)})
}

/// Whether every slot that is wanted has a ready worker and nothing drains or stops.
pub(crate) fn is_settled(view: &ServiceView) -> bool {
    view.ready == view.wanted && !view.workers.iter().any(is_leaving)
}

/// Whether it drains or stops.
pub(crate) fn is_leaving(worker: &WorkerView) -> bool {
    matches!(worker.state, WorkerState::Draining | WorkerState::Stopping)
}
