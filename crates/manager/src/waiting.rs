//! Commands that are answered when the fleet gets there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::{Fleet, Notice, ServiceId, ServiceState, Slot};
use evercrew_wire::control::{Reply, ReplyStatus};
use serde_json::{Value, json};

use crate::clients::{ClientId, failure};
use crate::crew::Crew;
use crate::rollouts::Failed;
use crate::standing::Standing;
use crate::text;

/// What a command waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Every one of these services is ready, stopped on purpose or finished.
    Ready(Vec<ServiceId>),
    /// These services have that many ready workers and nothing drains.
    Scaled(Vec<(ServiceId, u32)>),
    /// These rollouts end: the ones still open, and the services of the others that ended because no worker is wanted.
    Replaced(Vec<(ServiceId, Option<Slot>)>, Vec<ServiceId>),
    /// These services have no process left.
    Stopped(Vec<ServiceId>),
    /// The next manager has taken over; that it lives until then shows that it works.
    Upgraded(Option<Mono>),
    /// The reload of this number is committed and, if the second says so, everything came of it that follows.
    Reload(u64, bool, Option<Settling>),
}

/// What follows a committed reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settling {
    /// Services whose rollout runs.
    pub(crate) rolling: BTreeSet<ServiceId>,
    /// Services that have to be ready.
    pub(crate) ready: Vec<ServiceId>,
    /// Services that have to be gone.
    pub(crate) gone: Vec<ServiceId>,
    /// What went wrong.
    pub(crate) stopped: Vec<String>,
    /// The plan, for the answer.
    pub(crate) content: Value,
}

/// One command that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
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
pub(crate) struct Waitings(BTreeMap<ClientId, Vec<Waiting>>);

impl Waitings {
    pub(crate) fn add(&mut self, client: ClientId, waiting: Waiting) {
        self.0.entry(client).or_default().push(waiting);
    }

    /// The client is gone, or one of its requests is cancelled; how many waited.
    pub(crate) fn remove(&mut self, client: ClientId, request: Option<&str>) -> usize {
        let before = self.count(client);
        self.retain(|of, waiting| of != client || request.is_some_and(|request| waiting.request != request));
        before - self.count(client)
    }

    /// How many requests of this client wait.
    pub(crate) fn count(&self, client: ClientId) -> usize {
        self.0.get(&client).map_or(0, Vec::len)
    }

    pub(crate) fn deadline(&self) -> Option<Mono> {
        let proven = |waiting: &Waiting| match waiting.goal {
            Goal::Upgraded(at) => at,
            _ => None,
        };
        self.0.values().flatten().flat_map(|waiting| [waiting.deadline, proven(waiting)]).flatten().min()
    }

    /// Those of a client.
    pub(crate) fn of(&self, client: ClientId) -> &[Waiting] {
        self.0.get(&client).map(Vec::as_slice).unwrap_or_default()
    }

    /// Those who wait for an upgrade wait no more.
    pub(crate) fn take_upgrade(&mut self) -> Vec<(ClientId, String)> {
        self.take(|goal| matches!(goal, Goal::Upgraded(_)))
    }

    fn take(&mut self, is_meant: impl Fn(&Goal) -> bool) -> Vec<(ClientId, String)> {
        let mut taken = Vec::new();
        self.retain(|client, waiting| {
            let is_it = is_meant(&waiting.goal);
            if is_it {
                taken.push((client, waiting.request.clone()));
            }
            !is_it
        });
        taken
    }

    fn retain(&mut self, mut keep: impl FnMut(ClientId, &mut Waiting) -> bool) {
        self.0.retain(|client, waitings| {
            waitings.retain_mut(|waiting| keep(*client, waiting));
            !waitings.is_empty()
        });
    }

    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether somebody waits for the fleet.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells the waiting what they want to know of a notice.
    pub(crate) fn notice(
        &mut self,
        notice: &Notice,
        failed: Option<&Failed>,
        fleet: &Fleet,
        crew: &Crew,
    ) -> Vec<(ClientId, Reply)> {
        let mut replies = Vec::new();
        self.retain(|client, waiting| {
            if let Goal::Reload(_, _, Some(settling)) = &mut waiting.goal {
                replies.extend(settling.notice(&waiting.request, notice, failed, crew).map(|reply| (client, reply)));
                return true;
            }
            let Goal::Replaced(open, none) = &mut waiting.goal else { return true };
            let about = |service: &ServiceId| open.iter().any(|(open, _)| open == service);
            match notice {
                Notice::RolloutProgress { service, done, total } if about(service) => {
                    let text = format!("{} {done} of {total}", crew.name(*service));
                    let content = json!({"service": crew.name(*service), "done": done, "total": total});
                    let reply = Reply::new(&waiting.request, ReplyStatus::Processing, text).with_content(content);
                    replies.push((client, reply));
                    true
                }
                Notice::RolloutFinished { service } if about(service) => {
                    open.retain(|(open, _)| open != service);
                    none.extend(fleet.service(*service).filter(|view| view.wanted == 0).map(|_| *service));
                    true
                }
                Notice::RolloutPaused { service, .. } | Notice::RolloutResumed { service }
                    if about(service) && failed.is_none() =>
                {
                    let paused = matches!(notice, Notice::RolloutPaused { .. });
                    let text = format!("{} {}", crew.name(*service), if paused { "paused" } else { "goes on" });
                    let content = json!({"service": crew.name(*service), "paused": paused});
                    let reply = Reply::new(&waiting.request, ReplyStatus::Processing, text).with_content(content);
                    replies.push((client, reply));
                    true
                }
                Notice::RolloutStopped { service, .. } | Notice::RolloutPaused { service, .. }
                    if about(service) && failed.is_some() =>
                {
                    let stopped = matches!(notice, Notice::RolloutStopped { .. });
                    replies.extend(
                        failed.map(|failed| (client, failed.answer(&waiting.request, crew.name(*service), stopped))),
                    );
                    false
                }
                Notice::RolloutStopped { service, reason, .. } if about(service) => {
                    let name = crew.name(*service);
                    let text =
                        format!("the rollout of {name} stopped: {}", text::rollout_stopped(*reason, *service, fleet));
                    let hint = format!("`evercrew status {name}` shows how things stand");
                    replies.push((client, failure(&waiting.request, 1, text, hint)));
                    false
                }
                _ => true,
            }
        });
        replies
    }

    /// The reload of this number is committed: what those who asked are told of it.
    pub(crate) fn committed(&mut self, number: u64, settling: &Settling) -> Vec<(ClientId, Reply)> {
        let mut replies = Vec::new();
        self.retain(|client, waiting| {
            let Goal::Reload(of, waits, open) = &mut waiting.goal else { return true };
            if *of != number {
                return true;
            }
            let (status, text) =
                if *waits { (ReplyStatus::Processing, "") } else { (ReplyStatus::Ok, "committed; the rest follows") };
            replies.push((client, Reply::new(&waiting.request, status, text).with_content(settling.content.clone())));
            *open = Some(settling.clone());
            *waits
        });
        replies
    }

    /// The rollouts that somebody has waited for long enough.
    pub(crate) fn late_rollouts(&self, now: Mono) -> Vec<ServiceId> {
        let late = self.0.values().flatten().filter(|waiting| waiting.deadline.is_some_and(|at| now >= at));
        let open = late.filter_map(|waiting| match &waiting.goal {
            Goal::Replaced(open, _) => Some(open),
            _ => None,
        });
        open.flatten().map(|(service, _)| *service).collect()
    }

    /// Answers those who wait for a rollout that is undone.
    pub(crate) fn undone(&mut self, service: ServiceId, name: &str) -> Vec<(ClientId, Reply)> {
        let mut replies = Vec::new();
        self.retain(|client, waiting| {
            let waits = matches!(&waiting.goal, Goal::Replaced(open, _) if open.iter().any(|(of, _)| *of == service));
            if waits {
                let text = format!("the rollout of {name} was undone by another command");
                let hint = format!("`evercrew rollout history {name}` shows by whom");
                replies.push((client, failure(&waiting.request, 1, text, hint)));
            }
            !waits
        });
        replies
    }

    /// Those who wait for the reload of this number wait no more.
    pub(crate) fn take_reload(&mut self, number: u64) -> Vec<(ClientId, String)> {
        self.take(|goal| matches!(goal, Goal::Reload(of, ..) if *of == number))
    }

    /// Answers everybody: the engine ends.
    pub(crate) fn end(&mut self) -> Vec<(ClientId, Reply)> {
        let hint = "start it again with `evercrew up`";
        let ended = |w: Waiting| failure(&w.request, 1, "the engine was stopped meanwhile", hint);
        let all = std::mem::take(&mut self.0).into_iter();
        all.flat_map(|(client, waitings)| waitings.into_iter().map(move |w| (client, ended(w)))).collect()
    }

    /// Answers those whose goal is reached, out of reach or late.
    pub(crate) fn settle(&mut self, now: Mono, fleet: &Fleet, crew: &Crew) -> Vec<(ClientId, Reply)> {
        let mut replies = Vec::new();
        let mut standings = Standings { fleet, crew, seen: BTreeMap::new() };
        self.retain(|client, waiting| {
            let reply = match standings.outcome(now, &waiting.goal) {
                Outcome::Done(text) => {
                    let content = match &waiting.goal {
                        Goal::Reload(_, _, Some(settling)) => settling.content.clone(),
                        _ => Value::Null,
                    };
                    Reply::new(&waiting.request, ReplyStatus::Ok, text).with_content(content)
                }
                Outcome::Failed(text, hint) => failure(&waiting.request, 1, text, hint),
                Outcome::Open if waiting.deadline.is_some_and(|at| now >= at) => {
                    let hint = late_hint(&waiting.goal, crew);
                    let text = format!("not done in time: {}", standings.still(&waiting.goal));
                    failure(&waiting.request, 124, text, hint)
                }
                Outcome::Open => return true,
            };
            replies.push((client, reply));
            false
        });
        replies
    }
}

/// What becomes of a command's goal that was not reached in time.
fn late_hint(goal: &Goal, crew: &Crew) -> String {
    match goal {
        Goal::Replaced(open, _) => {
            let name = open.first().map_or("", |(service, _)| crew.name(*service));
            format!(
                "the rollout is paused; `evercrew rollout resume {name}` goes on, `evercrew rollout undo {name}` goes back"
            )
        }
        _ => "it goes on in the engine; `evercrew status` tells how far it is".to_owned(),
    }
}

/// How services stand, looked at once however many wait for them.
struct Standings<'a> {
    fleet: &'a Fleet,
    crew: &'a Crew,
    seen: BTreeMap<ServiceId, Standing>,
}

impl Standings<'_> {
    fn all(&mut self, services: impl IntoIterator<Item = ServiceId>) -> Vec<Standing> {
        let mut all = Vec::new();
        for service in services {
            if !self.seen.contains_key(&service)
                && let Some(view) = self.fleet.service(service)
            {
                self.seen.insert(service, Standing::of(&view));
            }
            all.extend(self.seen.get(&service).cloned());
        }
        all
    }

    fn outcome(&mut self, now: Mono, goal: &Goal) -> Outcome {
        let idle = |standing: &Standing| matches!(standing.state, ServiceState::Stopped | ServiceState::Finished);
        match goal {
            // An engine that is being stopped reaches neither: what it stops would look settled.
            Goal::Ready(_) | Goal::Scaled(_) if self.fleet.stopping() => Outcome::Failed(
                "the engine is being stopped".to_owned(),
                "start it again with `evercrew up`".to_owned(),
            ),
            Goal::Ready(services) => {
                let standings = self.all(services.iter().copied());
                let there = |standing: &Standing| standing.state == ServiceState::Ready || idle(standing);
                let failed = self.failed(&standings);
                // Slots of one that is ready, stopped or finished are not waited for, whatever became of them.
                failed
                    .or_else(|| self.partly_failed(standings.iter().filter(|standing| !there(standing))))
                    .unwrap_or_else(|| done(standings.iter().all(there), "ready"))
            }
            Goal::Scaled(targets) => {
                let standings = self.all(targets.iter().map(|(service, _)| *service));
                let there = |standing: &Standing| standing.settled || idle(standing);
                let over = |standing: &Standing| there(standing) || !standing.failed.is_empty();
                match self.failed(&standings) {
                    Some(failed) => failed,
                    None if standings.iter().all(over) => self
                        .partly_failed(standings.iter())
                        .unwrap_or_else(|| done(standings.iter().all(there), "scaled")),
                    None => Outcome::Open,
                }
            }
            Goal::Replaced(open, none) => match none.first() {
                Some(service) if open.is_empty() => {
                    let name = self.crew.name(*service);
                    Outcome::Done(format!("nothing is left to replace: {name} is to have no workers"))
                }
                Some(_) | None => done(open.is_empty(), "every worker was replaced"),
            },
            Goal::Upgraded(proven) => done(
                proven.is_some_and(|at| now >= at),
                &format!("upgraded to {}, manager {}", env!("CARGO_PKG_VERSION"), std::process::id()),
            ),
            Goal::Reload(_, _, None) => Outcome::Open,
            Goal::Reload(_, _, Some(_)) if self.fleet.stopping() => Outcome::Failed(
                "committed, but the engine is being stopped".to_owned(),
                "start it again with `evercrew up`".to_owned(),
            ),
            Goal::Reload(_, _, Some(settling)) => self.reloaded(settling, idle),
            Goal::Stopped(services) => {
                let standings = self.all(services.iter().copied());
                let serves =
                    |standing: &&Standing| matches!(standing.state, ServiceState::Starting | ServiceState::Ready);
                match standings.iter().find(serves) {
                    Some(standing) => Outcome::Failed(
                        format!("{} was started again by another command", self.crew.name(standing.service)),
                        "`evercrew status` shows how things stand".to_owned(),
                    ),
                    None => done(standings.iter().all(|standing| standing.gone), "stopped"),
                }
            }
        }
    }

    fn reloaded(&mut self, settling: &Settling, idle: impl Fn(&Standing) -> bool) -> Outcome {
        let gone = self.all(settling.gone.iter().copied()).iter().all(|standing| standing.gone);
        let standings = self.all(settling.ready.iter().copied());
        let failed = |standing: &Standing| standing.state == ServiceState::Failed;
        let there =
            |standing: &Standing| standing.settled || idle(standing) || failed(standing) || !standing.failed.is_empty();
        if !settling.rolling.is_empty() || !gone || !standings.iter().all(there) {
            return Outcome::Open;
        }
        let failed = standings.iter().filter_map(|standing| match failed(standing) {
            true => Some(format!("{} failed", self.crew.name(standing.service))),
            false => standing.failed_slots(self.crew.name(standing.service)),
        });
        let wrong: Vec<String> = settling.stopped.iter().cloned().chain(failed).collect();
        if wrong.is_empty() {
            return Outcome::Done("reloaded".to_owned());
        }
        let hint = "the log says what their workers said; mend the file and reload again".to_owned();
        Outcome::Failed(format!("committed, but {}", wrong.join("; ")), hint)
    }

    fn failed(&self, standings: &[Standing]) -> Option<Outcome> {
        standings.iter().find(|standing| standing.state == ServiceState::Failed).map(|standing| {
            let name = self.crew.name(standing.service);
            Outcome::Failed(format!("{name} failed"), format!("`evercrew status {name}` shows how its workers ended"))
        })
    }

    fn partly_failed<'s>(&self, mut standings: impl Iterator<Item = &'s Standing>) -> Option<Outcome> {
        standings.find_map(|standing| {
            let name = self.crew.name(standing.service);
            let hint = format!("`evercrew status {name}` shows how its workers ended");
            standing.failed_slots(name).map(|words| Outcome::Failed(words, hint))
        })
    }

    fn still(&mut self, goal: &Goal) -> String {
        let services: Vec<ServiceId> = match goal {
            Goal::Ready(services) | Goal::Stopped(services) => services.clone(),
            Goal::Scaled(targets) => targets.iter().map(|(service, _)| *service).collect(),
            Goal::Replaced(open, _) => open.iter().map(|(service, _)| *service).collect(),
            Goal::Reload(_, _, None) => return "the new configuration is read or tried".to_owned(),
            Goal::Upgraded(_) => return "the next manager is tried".to_owned(),
            Goal::Reload(_, _, Some(settling)) => settling.ready.iter().chain(&settling.gone).copied().collect(),
        };
        let replaces = matches!(goal, Goal::Replaced(..));
        let describe = |standing: &Standing| match standing.replaced(self.crew.name(standing.service)) {
            Some(text) if replaces => text,
            Some(_) | None => standing.describe(self.crew.name(standing.service)),
        };
        self.all(services).iter().map(describe).collect::<Vec<_>>().join(", ")
    }
}

impl Settling {
    /// Takes in how the rollouts go; what to tell of it.
    fn notice(&mut self, request: &str, notice: &Notice, failed: Option<&Failed>, crew: &Crew) -> Option<Reply> {
        match notice {
            Notice::RolloutProgress { service, done, total } if self.rolling.contains(service) => {
                let text = format!("{} {done} of {total}", crew.name(*service));
                let content = json!({"service": crew.name(*service), "done": done, "total": total});
                Some(Reply::new(request, ReplyStatus::Processing, text).with_content(content))
            }
            Notice::RolloutFinished { service } => {
                self.rolling.remove(service);
                None
            }
            Notice::RolloutStopped { service, .. } if self.rolling.remove(service) => {
                let name = crew.name(*service);
                self.stopped.push(match failed {
                    Some(failed) => failed.text(name, true),
                    None => format!("the rollout of {name} stopped: another command ended it"),
                });
                None
            }
            Notice::RolloutPaused { service, .. } if failed.is_some() && self.rolling.remove(service) => {
                self.stopped.extend(failed.map(|failed| failed.text(crew.name(*service), false)));
                None
            }
            _ => None,
        }
    }
}

fn done(is_done: bool, text: &str) -> Outcome {
    if is_done { Outcome::Done(text.to_owned()) } else { Outcome::Open }
}

/// A deadline from what a client sent.
pub(crate) fn deadline(now: Mono, deadline_ms: Option<u64>) -> Option<Mono> {
    deadline_ms.map(|ms| now.after(Duration::from_millis(ms)))
}
