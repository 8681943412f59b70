//! The verbs of rollouts: who asks for one, looks at it, holds it or takes it back.

use evercrew_core::fleet::{Event, Pace, ServiceId, ServiceView};
use evercrew_sys::clock;
use evercrew_wire::control::{Reply, Request};
use evercrew_wire::deposit::{Rollout, RolloutOutcome};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

use crate::clients::ClientId;
use crate::commands::{Refusal, flag, ok};
use crate::manager::Manager;
use crate::text;
use crate::waiting::Goal;

impl Manager {
    pub(crate) fn restart(&mut self, client: ClientId, request: &Request) -> Result<Option<Reply>, Refusal> {
        let targets = self.some_targets(request)?;
        let pace = match (flag(request, "now"), flag(request, "detach")) {
            (true, true) => {
                let hint = "`now` leaves the old workers no time, `detach` all that they need: choose one".to_owned();
                return Err((2, "`now` and `detach` exclude each other".to_owned(), hint));
            }
            (true, false) => Pace::AtOnce,
            (false, true) => Pace::Detached,
            (false, false) => Pace::Gradual,
        };
        if pace == Pace::Detached {
            let surge = |service: ServiceId| self.crew.service(service).map_or(0, |s| s.policy.rollout.surge);
            if let Some((service, _)) = targets.iter().find(|(service, _)| surge(*service) == 0) {
                let name = self.crew.name(*service);
                let hint = format!("give [service.{name}] a `rollout.surge`, or leave out --detach");
                return Err((1, format!("{name} may have no worker beside those that it has (`surge` is 0)"), hint));
            }
        }
        let who = self.clients.peer(client).to_string();
        // The waiting stands before the decision, so that a rollout which ends at once is seen ending.
        self.later(client, request, Goal::Replaced(targets.clone(), Vec::new()));
        for (service, slot) in targets {
            let epoch = self.fleet.service(service).map(|view| view.epoch).unwrap_or_default();
            self.rollouts.asked_by(service, format!("restart by {who}"));
            self.decide(Event::Restart { service, slot, epoch, pace });
        }
        Ok(None)
    }

    /// The services that a request names; without names those whose rollout runs.
    fn rolling(&self, request: &Request) -> Result<Vec<ServiceView>, Refusal> {
        let named = self.optional_services(request)?;
        let all = named.is_empty();
        let services = if all { self.services() } else { named };
        let views = services.into_iter().filter_map(|service| self.fleet.service(service));
        let views: Vec<ServiceView> = views.filter(|view| !all || view.rolling).collect();
        match views.iter().find(|view| !view.rolling) {
            Some(view) => Err(none_runs(&format!("no rollout of {} runs", self.crew.name(view.service)))),
            None if views.is_empty() => Err(none_runs("no rollout runs")),
            None => Ok(views),
        }
    }

    pub(crate) fn rollout_pause(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let names = self.steer(request, |service| Event::Pause { service })?;
        Ok(ok(request, &format!("paused: {}", names.join(", ")), json!({"services": names})))
    }

    pub(crate) fn rollout_resume(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let names = self.steer(request, |service| Event::Resume { service })?;
        Ok(ok(request, &format!("goes on: {}", names.join(", ")), json!({"services": names})))
    }

    fn steer(&mut self, request: &Request, event: impl Fn(ServiceId) -> Event) -> Result<Vec<String>, Refusal> {
        let views = self.rolling(request)?;
        for view in &views {
            self.decide(event(view.service));
        }
        Ok(views.iter().map(|view| self.crew.name(view.service).to_owned()).collect())
    }

    /// Goes back; answered when it is done, or at once where nothing has to be started for it.
    pub(crate) fn rollout_undo(&mut self, client: ClientId, request: &Request) -> Result<Option<Reply>, Refusal> {
        let services = self.whole_services(request)?;
        let views: Vec<ServiceView> = services.iter().filter_map(|service| self.fleet.service(*service)).collect();
        let nothing = |view: &&ServiceView| !view.rolling && view.previous.is_none();
        if let Some(view) = views.iter().find(nothing) {
            let name = self.crew.name(view.service);
            let hint = format!("put the files back that the workers read and `evercrew restart {name}`");
            return Err((1, format!("no other command of {name} is known that could be returned to"), hint));
        }
        let who = self.clients.peer(client).to_string();
        let mut open = Vec::new();
        let mut ended = Vec::new();
        for view in &views {
            let (service, name) = (view.service, self.crew.name(view.service).to_owned());
            for (client, reply) in self.waitings.undone(service, &name) {
                self.clients.reply(client, &reply);
            }
            self.rollouts.undone(&name, clock::mono());
            self.rollouts.asked_by(service, format!("undo by {who}"));
            // The command was the same: what changed is on disk, and nobody here has what was there before.
            let plain = view.rollout.is_some_and(|rollout| rollout.fallback.is_none_or(|back| back == view.epoch));
            if plain { ended.push(name) } else { open.push((service, None)) }
        }
        let waits = !open.is_empty();
        if waits {
            self.later(client, request, Goal::Replaced(open, Vec::new()));
        }
        for view in &views {
            self.decide(Event::Undo { service: view.service });
        }
        if waits {
            return Ok(None);
        }
        let text = format!(
            "the rollout of {} ended; workers that it replaced already run what is on disk: put the old files back and \
             `evercrew restart` them",
            ended.join(", ")
        );
        Ok(Some(ok(request, &text, Value::Null)))
    }

    pub(crate) fn rollout_status(&self, request: &Request) -> Result<Reply, Refusal> {
        let named = self.optional_services(request)?;
        let services = if named.is_empty() { self.services() } else { named };
        let views = services.into_iter().filter_map(|service| self.fleet.service(service));
        let running: Vec<Value> = views.filter_map(|view| self.running(&view)).collect();
        Ok(ok(request, "", json!({"rollouts": running})))
    }

    fn running(&self, view: &ServiceView) -> Option<Value> {
        let (rollout, name) = (view.rollout?, self.crew.name(view.service));
        let pace = match rollout.pace {
            Pace::Gradual => "gradual",
            Pace::Detached => "detached",
            Pace::AtOnce => "at-once",
        };
        let mut entry = self.rollouts.open(name).map_or_else(|| json!({"service": name}), document);
        entry["done"] = json!(rollout.done);
        entry["total"] = json!(rollout.total);
        entry["outcome"] = json!(if rollout.paused { "paused" } else { "running" });
        entry["proved"] = json!(rollout.proved);
        entry["pace"] = json!(pace);
        Some(entry)
    }

    pub(crate) fn rollout_history(&self, request: &Request) -> Result<Reply, Refusal> {
        let named = self.optional_services(request)?;
        let names: Vec<&str> = named.iter().map(|service| self.crew.name(*service)).collect();
        let asked = |rollout: &&Rollout| names.is_empty() || names.contains(&rollout.service.as_str());
        let rollouts: Vec<Value> = self.rollouts.known().rev().filter(asked).map(document).collect();
        Ok(ok(request, "", json!({"rollouts": rollouts})))
    }

    /// What was not done in time is paused, as the command that waited for it is told.
    pub(crate) fn pause_late_rollouts(&mut self) {
        for service in self.waitings.late_rollouts(clock::mono()) {
            self.decide(Event::Pause { service });
        }
    }
}

fn none_runs(text: &str) -> Refusal {
    (1, text.to_owned(), "`evercrew rollout history` shows those that ended".to_owned())
}

/// A rollout as `rollout-status` and `rollout-history` show it.
fn document(rollout: &Rollout) -> Value {
    let outcome = match rollout.outcome {
        RolloutOutcome::Running => "running",
        RolloutOutcome::Paused => "paused",
        RolloutOutcome::Finished => "finished",
        RolloutOutcome::Stopped => "stopped",
        RolloutOutcome::Undone => "undone",
        RolloutOutcome::Replaced => "replaced",
    };
    let began = UNIX_EPOCH.checked_add(Duration::from_millis(rollout.began_at)).unwrap_or(UNIX_EPOCH);
    json!({
        "service": rollout.service,
        "by": rollout.by,
        "began": text::wall(began),
        "lasted_seconds": rollout.lasted_ms.map(|ms| ms as f64 / 1000.0),
        "done": rollout.done,
        "total": rollout.total,
        "outcome": outcome,
        "reason": if rollout.reason.is_empty() { Value::Null } else { json!(rollout.reason) },
        "worker": rollout.worker,
        "words": rollout.words,
    })
}
