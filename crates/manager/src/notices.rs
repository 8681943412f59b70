//! What notices of the fleet say: fields and words of each. Their levels stand in the table of `kinds`.

use evercrew_core::fleet::{DrainReason, Fleet, Notice, ServiceId, ServiceState, WorkerId};
use serde_json::{Map, Value, json};

use crate::crew::{Crew, LOGGER, PROLOGUE};
use crate::kinds;
use crate::text;
pub(crate) use evercrew_core::Level;

/// A fact as log and subscribers get it.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) level: Level,
    pub(crate) kind: &'static str,
    pub(crate) fields: Map<String, Value>,
    pub(crate) words: String,
    /// Of the engine's own parts: in the log, not among the events.
    pub(crate) internal: bool,
}

struct Names<'a> {
    fleet: &'a Fleet,
    crew: &'a Crew,
}

impl Names<'_> {
    fn worker(&self, worker: WorkerId) -> (Option<ServiceId>, String, Map<String, Value>) {
        let process = self.crew.processes.get(&worker);
        let Some((service, slot, generation, ..)) = self.fleet.worker(worker) else {
            return (None, process.map_or_else(|| "?".to_owned(), |process| process.label.name.clone()), Map::new());
        };
        let name = self.crew.worker_name(service, slot);
        let mut fields = self.fields(service, Some(&name));
        fields.insert("generation".into(), json!(generation.0));
        fields.insert("pid".into(), json!(process.map(|process| process.pid)));
        (Some(service), name, fields)
    }

    fn fields(&self, service: ServiceId, worker: Option<&str>) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("service".into(), json!(self.crew.name(service)));
        if let Some(worker) = worker {
            fields.insert("worker".into(), json!(worker));
        }
        fields
    }
}

/// What a notice says. The fleet and the crew are those after the event.
pub(crate) fn fact(notice: &Notice, fleet: &Fleet, crew: &Crew) -> Fact {
    let names = Names { fleet, crew };
    match notice {
        Notice::WorkerSpawned { worker } => {
            of_worker(&names, *worker, "worker.spawn", vec![], |name| format!("{name} started"))
        }
        Notice::WorkerReady { worker, took } => {
            let fields = vec![("took_seconds", json!(took.as_secs_f64()))];
            of_worker(&names, *worker, "worker.ready", fields, |name| {
                format!("{name} ready after {}", text::span(*took))
            })
        }
        Notice::HeartbeatLost { worker, silent } => {
            let fields = vec![("silent_seconds", json!(silent.as_secs_f64()))];
            of_worker(&names, *worker, "worker.heartbeat-lost", fields, |name| {
                format!("{name} was silent for {}, killing it", text::span(*silent))
            })
        }
        Notice::ReadyTimedOut { worker, after } => {
            let fields = vec![("after_seconds", json!(after.as_secs_f64()))];
            of_worker(&names, *worker, "worker.ready-timeout", fields, |name| {
                let prologue = fleet.worker(*worker).is_some_and(|(_, slot, ..)| slot == PROLOGUE);
                let what = if prologue { "done" } else { "ready" };
                format!("{name} was not {what} within {}, killing it", text::span(*after))
            })
        }
        Notice::WorkerDraining { worker, reason } => {
            let reason = match reason {
                DrainReason::Itself => "itself",
                DrainReason::Asked(reason) => text::stop_reason(*reason),
            };
            of_worker(&names, *worker, "worker.draining", vec![("reason", json!(reason))], |name| {
                format!("{name} draining ({reason})")
            })
        }
        Notice::StopEscalated { worker, signal } => {
            of_worker(&names, *worker, "worker.stop-escalated", vec![("signal", json!(signal.to_string()))], |name| {
                format!("{name} has not stopped yet, sending {signal}")
            })
        }
        Notice::WorkerExited { .. } => exited(notice, &names),
        Notice::SlotBackoff { service, slot, wait } => {
            let name = crew.worker_name(*service, *slot);
            let mut fields = names.fields(*service, Some(&name));
            fields.insert("wait_seconds".into(), json!(wait.as_secs_f64()));
            let words = format!("{name} waits {} before its next start", text::span(*wait));
            of_service(*service, "worker.backoff", fields, words)
        }
        Notice::SlotFailed { service, slot, retry } => {
            let name = crew.worker_name(*service, *slot);
            let mut fields = names.fields(*service, Some(&name));
            fields.insert("retry_seconds".into(), json!(retry.map(|retry| retry.as_secs_f64())));
            let words = match retry {
                Some(retry) => format!("{name} failed: too many starts; tried again in {}", text::span(*retry)),
                None => {
                    let what = if *slot == PROLOGUE { crew.name(*service) } else { &name };
                    format!("{name} failed for good: `evercrew restart {what}` tries again")
                }
            };
            of_service(*service, "worker.failed", fields, words)
        }
        Notice::Prepared { service } => {
            let words = format!("{} is prepared: before_start has succeeded", crew.name(*service));
            of_service(*service, "service.prepared", names.fields(*service, None), words)
        }
        Notice::PrologueFailed { .. } => prologue_failed(notice, &names),
        Notice::ServiceChanged { service, from, to } => changed(&names, *service, *from, *to),
        Notice::RolloutStarted { service, epoch, total } => {
            let mut fields = names.fields(*service, None);
            fields.insert("epoch".into(), json!(epoch.0));
            fields.insert("total".into(), json!(total));
            let words = format!("{} rollout of {total} workers", crew.name(*service));
            of_service(*service, "rollout.started", fields, words)
        }
        Notice::RolloutProgress { service, done, total } => {
            let mut fields = names.fields(*service, None);
            fields.insert("done".into(), json!(done));
            fields.insert("total".into(), json!(total));
            let words = format!("{} rollout {done} of {total}", crew.name(*service));
            of_service(*service, "rollout.progress", fields, words)
        }
        Notice::RolloutFinished { service } => {
            let words = format!("{} rollout finished", crew.name(*service));
            of_service(*service, "rollout.finished", names.fields(*service, None), words)
        }
        Notice::RolloutPaused { service, reason, .. } => {
            let reason = reason.map_or("by command", text::exit_reason);
            let mut fields = names.fields(*service, None);
            fields.insert("reason".into(), json!(reason));
            let words = format!("{} rollout paused ({reason})", crew.name(*service));
            of_service(*service, "rollout.paused", fields, words)
        }
        Notice::RolloutResumed { service } => {
            let words = format!("{} rollout resumed", crew.name(*service));
            of_service(*service, "rollout.resumed", names.fields(*service, None), words)
        }
        Notice::RolloutStopped { service, reason, .. } => {
            let why = text::rollout_stopped(*reason, *service, fleet);
            let reason = reason.map_or("by command", text::exit_reason);
            let mut fields = names.fields(*service, None);
            fields.insert("reason".into(), json!(reason));
            let words = format!("{} rollout stopped: {why}", crew.name(*service));
            of_service(*service, "rollout.stopped", fields, words)
        }
        Notice::WasAway { away } => {
            let mut fields = Map::new();
            fields.insert("away_seconds".into(), json!(away.as_secs_f64()));
            let words = format!("the engine did not run for {}; no worker is blamed for it", text::span(*away));
            Fact { level: kinds::level("engine.away"), kind: "engine.away", fields, words, internal: false }
        }
    }
}

fn of_worker(
    names: &Names<'_>,
    worker: WorkerId,
    kind: &'static str,
    more: Vec<(&str, Value)>,
    words: impl Fn(&str) -> String,
) -> Fact {
    let (service, name, mut fields) = names.worker(worker);
    fields.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Fact { level: kinds::level(kind), kind, fields, words: words(&name), internal: service == Some(LOGGER) }
}

fn of_service(service: ServiceId, kind: &'static str, fields: Map<String, Value>, words: String) -> Fact {
    Fact { level: kinds::level(kind), kind, fields, words, internal: service == LOGGER }
}

fn exited(notice: &Notice, names: &Names<'_>) -> Fact {
    let Notice::WorkerExited { worker, service, slot, generation, status, reason, ran } = notice else {
        return of_service(LOGGER, "worker.exit", Map::new(), String::new());
    };
    use evercrew_core::fleet::{ExitReason, ExitStatus};
    let name = names.crew.worker_name(*service, *slot);
    let mut fields = names.fields(*service, Some(&name));
    let (code, signal) = text::code_and_signal(*status);
    fields.insert("generation".into(), json!(generation.0));
    fields.insert("pid".into(), json!(names.crew.processes.get(worker).map(|process| process.pid)));
    fields.insert("code".into(), json!(code));
    fields.insert("signal".into(), json!(signal));
    fields.insert("reason".into(), json!(text::exit_reason(*reason)));
    fields.insert("ran_seconds".into(), json!(ran.as_secs_f64()));
    let words = format!(
        "{name} ended: {} ({}) after {}",
        text::exit_status(*status),
        text::exit_reason(*reason),
        text::span(*ran)
    );
    if *slot == PROLOGUE && *status == Some(ExitStatus::Code(0)) && *reason == ExitReason::Unasked {
        let words = format!("{name} succeeded after {}", text::span(*ran));
        return of_service(*service, "worker.exit", fields, words);
    }
    let asked = match reason {
        ExitReason::Asked(_) => true,
        ExitReason::Unasked
        | ExitReason::ReadyTimeout
        | ExitReason::Heartbeat
        | ExitReason::SpawnFailed
        | ExitReason::OutOfMemory => false,
    };
    let fact = of_service(*service, "worker.exit", fields, words);
    if asked { fact } else { Fact { level: kinds::otherwise("worker.exit"), ..fact } }
}

fn prologue_failed(notice: &Notice, names: &Names<'_>) -> Fact {
    let Notice::PrologueFailed { service, epoch, command, status, reason, rollout } = notice else {
        return of_service(LOGGER, "service.before-start-failed", Map::new(), String::new());
    };
    let mut fields = names.fields(*service, Some(&names.crew.worker_name(*service, PROLOGUE)));
    let (code, signal) = text::code_and_signal(*status);
    let argv = names.crew.before_start(*service, *epoch, *command);
    fields.insert("command".into(), json!(argv));
    fields.insert("code".into(), json!(code));
    fields.insert("signal".into(), json!(signal));
    fields.insert("reason".into(), json!(text::exit_reason(*reason)));
    fields.insert("rollout".into(), json!(rollout));
    let words = format!("{}: {}", names.crew.name(*service), text::prologue_failed(argv, *status, *reason));
    of_service(*service, "service.before-start-failed", fields, words)
}

fn changed(names: &Names<'_>, service: ServiceId, from: ServiceState, to: ServiceState) -> Fact {
    let mut fields = names.fields(service, None);
    let (from, name) = (text::service_state(from), names.crew.name(service));
    fields.insert("from".into(), json!(from));
    fields.insert("to".into(), json!(text::service_state(to)));
    let kind = match to {
        ServiceState::Starting => "service.starting",
        ServiceState::Ready => "service.ready",
        ServiceState::Degraded => "service.degraded",
        ServiceState::Failed => "service.failed",
        ServiceState::Stopping => "service.stopping",
        ServiceState::Stopped => "service.stopped",
        ServiceState::Finished => "service.finished",
    };
    of_service(service, kind, fields, format!("{name} {} (was {from})", text::service_state(to)))
}
