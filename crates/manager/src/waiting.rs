//! Commands that are answered when the fleet gets there.

use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::{Fleet, Notice, ServiceId, ServiceState, ServiceView, Slot};
use evercrew_wire::control::{Reply, ReplyStatus};
use serde_json::json;

use crate::clients::{ClientId, failure};
use crate::crew::Crew;
use crate::status::is_settled;
use crate::text;

/// What a command waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Every one of these services is ready, stopped on purpose or finished.
    Ready(Vec<ServiceId>),
    /// These services have that many ready workers and nothing drains.
    Scaled(Vec<(ServiceId, u32)>),
    /// These rollouts end; the ones still open.
    Replaced(Vec<(ServiceId, Option<Slot>)>),
    /// These services have no process left.
    Stopped(Vec<ServiceId>),
}

/// One command that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) client: ClientId,
    pub(crate) request: String,
    pub(crate) goal: Goal,
    pub(crate) deadline: Option<Mono>,
}

/// What became of it.
#[derive(Debug)]
enum Outcome {
    Open,
    Done(String),
    Failed(String, String),
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Waitings(Vec<Waiting>);

impl Waitings {
    pub(crate) fn add(&mut self, waiting: Waiting) {
        self.0.push(waiting);
    }

    /// The client is gone or cancelled.
    pub(crate) fn remove(&mut self, client: ClientId, request: Option<&str>) -> bool {
        let before = self.0.len();
        self.0.retain(|w| w.client != client || request.is_some_and(|request| w.request != request));
        before != self.0.len()
    }

    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.0.iter().filter_map(|waiting| waiting.deadline).min()
    }

    /// Whether somebody waits for the fleet.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells the waiting what they want to know of a notice.
    pub(crate) fn notice(&mut self, notice: &Notice, crew: &Crew) -> Vec<(ClientId, Reply)> {
        let mut replies = Vec::new();
        self.0.retain_mut(|waiting| {
            let Goal::Replaced(open) = &mut waiting.goal else { return true };
            let about = |service: &ServiceId| open.iter().any(|(open, _)| open == service);
            match notice {
                Notice::RolloutProgress { service, done, total } if about(service) => {
                    let text = format!("{} {done} of {total}", crew.name(*service));
                    let content = json!({"service": crew.name(*service), "done": done, "total": total});
                    let reply = Reply::new(&waiting.request, ReplyStatus::Processing, text).with_content(content);
                    replies.push((waiting.client, reply));
                    true
                }
                Notice::RolloutFinished { service } if about(service) => {
                    open.retain(|(open, _)| open != service);
                    true
                }
                Notice::RolloutStopped { service, reason, .. } if about(service) => {
                    let why = reason.map_or("another command ended it", text::exit_reason);
                    let text =
                        format!("the rollout of {} stopped: {why}; its old workers serve on", crew.name(*service));
                    let hint = format!("see what the new worker said in the log of {}", crew.name(*service));
                    replies.push((waiting.client, failure(&waiting.request, 1, text, hint)));
                    false
                }
                _ => true,
            }
        });
        replies
    }

    /// Answers everybody: the engine ends.
    pub(crate) fn end(&mut self) -> Vec<(ClientId, Reply)> {
        let hint = "start it again with `evercrew up`";
        let ended = |w: Waiting| (w.client, failure(&w.request, 1, "the engine was stopped meanwhile", hint));
        std::mem::take(&mut self.0).into_iter().map(ended).collect()
    }

    /// Answers those whose goal is reached, out of reach or late.
    pub(crate) fn settle(&mut self, now: Mono, fleet: &Fleet, crew: &Crew) -> Vec<(ClientId, Reply)> {
        let mut replies = Vec::new();
        self.0.retain(|waiting| {
            let reply = match outcome(&waiting.goal, fleet, crew) {
                Outcome::Done(text) => Reply::new(&waiting.request, ReplyStatus::Ok, text),
                Outcome::Failed(text, hint) => failure(&waiting.request, 1, text, hint),
                Outcome::Open if waiting.deadline.is_some_and(|at| now >= at) => {
                    let hint = "it goes on in the engine; `evercrew status` tells how far it is";
                    failure(
                        &waiting.request,
                        124,
                        format!("not done in time: {}", still(&waiting.goal, fleet, crew)),
                        hint,
                    )
                }
                Outcome::Open => return true,
            };
            replies.push((waiting.client, reply));
            false
        });
        replies
    }
}

fn outcome(goal: &Goal, fleet: &Fleet, crew: &Crew) -> Outcome {
    let views = |services: &[ServiceId]| -> Vec<ServiceView> {
        services.iter().filter_map(|service| fleet.service(*service)).collect()
    };
    let failed = |views: &[ServiceView]| {
        views.iter().find(|view| view.state == ServiceState::Failed).map(|view| {
            let name = crew.name(view.service);
            Outcome::Failed(format!("{name} failed"), format!("`evercrew status {name}` shows how its workers ended"))
        })
    };
    match goal {
        Goal::Ready(services) => {
            let views = views(services);
            let there = |view: &ServiceView| {
                matches!(view.state, ServiceState::Ready | ServiceState::Stopped | ServiceState::Finished)
            };
            match failed(&views) {
                Some(failed) => failed,
                None if views.iter().all(there) => Outcome::Done("ready".to_owned()),
                None => Outcome::Open,
            }
        }
        Goal::Scaled(targets) => {
            let services: Vec<ServiceId> = targets.iter().map(|(service, _)| *service).collect();
            let views = views(&services);
            let stopped = |view: &ServiceView| matches!(view.state, ServiceState::Stopped | ServiceState::Finished);
            match failed(&views) {
                Some(failed) => failed,
                None if views.iter().all(|view| is_settled(view) || stopped(view)) => {
                    Outcome::Done("scaled".to_owned())
                }
                None => Outcome::Open,
            }
        }
        Goal::Replaced(open) if open.is_empty() => Outcome::Done("every worker was replaced".to_owned()),
        Goal::Replaced(_) => Outcome::Open,
        Goal::Stopped(services) => {
            let gone = |view: &ServiceView| view.workers.iter().all(|worker| worker.worker.is_none());
            if views(services).iter().all(gone) { Outcome::Done("stopped".to_owned()) } else { Outcome::Open }
        }
    }
}

fn still(goal: &Goal, fleet: &Fleet, crew: &Crew) -> String {
    let services: Vec<ServiceId> = match goal {
        Goal::Ready(services) | Goal::Stopped(services) => services.clone(),
        Goal::Scaled(targets) => targets.iter().map(|(service, _)| *service).collect(),
        Goal::Replaced(open) => open.iter().map(|(service, _)| *service).collect(),
    };
    let describe = |view: ServiceView| {
        let state = text::service_state(view.state);
        format!("{} is {state} with {} of {} ready", crew.name(view.service), view.ready, view.wanted)
    };
    services.into_iter().filter_map(|service| fleet.service(service)).map(describe).collect::<Vec<_>>().join(", ")
}

/// A deadline from what a client sent.
pub(crate) fn deadline(now: Mono, deadline_ms: Option<u64>) -> Option<Mono> {
    deadline_ms.map(|ms| now.after(Duration::from_millis(ms)))
}
