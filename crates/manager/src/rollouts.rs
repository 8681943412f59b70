//! What became of rollouts: the ones that run, the last ones that ended, and the last words of a worker that stopped
//! one.
//!
//! Whether and when workers are replaced is decided by the fleet; this only keeps account of it. Who looks for the
//! reason of a failed rollout finds it in its event, in the log and in the answer to `restart`: those three wait,
//! [`PATIENCE`] at most, until the logger has told what the worker last wrote.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, UNIX_EPOCH};

use evercrew_core::Mono;
use evercrew_core::fleet::{ExitReason, Notice, ServiceId, WorkerId};
use evercrew_core::gather::Exit;
use evercrew_sys::clock;
use evercrew_wire::control::Reply;
use evercrew_wire::deposit::{Rollout, RolloutOutcome};
use evercrew_wire::logger::ToLogger;
use serde_json::json;

use crate::clients::failure;
use crate::link::Record;
use crate::manager::Manager;
use crate::notices::{self, Level};
use crate::text;

/// Rollouts that are remembered, those that run included.
const MOST_REMEMBERED: usize = 50;
/// How long the last words of a worker are waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Characters of one line of them.
const LONGEST_LINE: usize = 400;

/// A worker that failed on trial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failed {
    /// `web.1`.
    pub(crate) worker: String,
    /// `exit code 1`, `not ready in time`.
    pub(crate) how: String,
    /// What it last wrote.
    pub(crate) words: Vec<String>,
}

impl Failed {
    /// What whoever waited for the rollout is told.
    pub(crate) fn text(&self, service: &str, stopped: bool) -> String {
        let Self { worker, how, words } = self;
        let became = if stopped { "stopped" } else { "is paused" };
        let mut text = format!("the rollout of {service} {became} at {worker}: {how}; its old workers serve on");
        for line in words {
            text.push_str("\n  ");
            text.push_str(line);
        }
        text
    }

    /// The answer to the command that waited for it.
    pub(crate) fn answer(&self, request: &str, service: &str, stopped: bool) -> Reply {
        let Self { worker, how, words } = self;
        let hint = if stopped {
            format!("repair it and restart again; `evercrew logs {worker}` may tell more")
        } else {
            format!("`evercrew rollout resume {service}` tries again, `evercrew rollout undo {service}` goes back")
        };
        let content = json!({"service": service, "worker": worker, "how": how, "words": words});
        failure(request, 1, self.text(service, stopped), hint).with_content(content)
    }
}

/// A notice that waits for last words.
#[derive(Debug)]
struct Parked {
    service: ServiceId,
    worker: WorkerId,
    failed: Failed,
    notice: Notice,
    until: Mono,
}

/// The account.
#[derive(Debug, Default)]
pub(crate) struct Rollouts {
    known: VecDeque<Rollout>,
    /// Who asked for the next rollout of a service.
    asked: BTreeMap<ServiceId, String>,
    /// The worker that ended last, and how.
    last_exit: Option<(WorkerId, String, String)>,
    /// Why no process came of a worker, said last.
    trouble: Option<(WorkerId, String)>,
    parked: Vec<Parked>,
}

impl Rollouts {
    pub(crate) fn restore(known: &[Rollout]) -> Self {
        Self { known: known.iter().cloned().collect(), ..Self::default() }
    }

    /// All of them, oldest first.
    pub(crate) fn known(&self) -> impl DoubleEndedIterator<Item = &Rollout> {
        self.known.iter()
    }

    /// Who asks for what follows.
    pub(crate) fn asked_by(&mut self, service: ServiceId, who: String) {
        self.asked.insert(service, who);
    }

    /// No process came of this worker.
    pub(crate) fn trouble(&mut self, worker: WorkerId, words: String) {
        self.trouble = Some((worker, words));
    }

    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.parked.iter().map(|parked| parked.until).min()
    }

    /// The one of this service that has not ended.
    pub(crate) fn open(&self, service: &str) -> Option<&Rollout> {
        self.known.iter().rfind(|rollout| rollout.service == service && rollout.lasted_ms.is_none())
    }

    fn open_mut(&mut self, service: &str) -> Option<&mut Rollout> {
        self.known.iter_mut().rfind(|rollout| rollout.service == service && rollout.lasted_ms.is_none())
    }

    fn end(&mut self, service: &str, outcome: RolloutOutcome, now: Mono) {
        if let Some(rollout) = self.open_mut(service) {
            let lasted = now.since(Mono::from_nanos(rollout.began));
            rollout.lasted_ms = Some(lasted.as_millis().try_into().unwrap_or(u64::MAX));
            rollout.outcome = outcome;
        }
    }

    /// The rollout that runs is being undone.
    pub(crate) fn undone(&mut self, service: &str, now: Mono) {
        self.end(service, RolloutOutcome::Undone, now);
    }

    fn begin(&mut self, service: &str, by: String, total: u32, now: Mono) {
        self.end(service, RolloutOutcome::Replaced, now);
        while self.known.len() >= MOST_REMEMBERED {
            let ended = self.known.iter().position(|rollout| rollout.lasted_ms.is_some()).unwrap_or(0);
            self.known.remove(ended);
        }
        let began_at = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.known.push_back(Rollout {
            service: service.to_owned(),
            by,
            began_at: began_at.as_millis().try_into().unwrap_or(u64::MAX),
            began: now.as_nanos(),
            lasted_ms: None,
            done: 0,
            total,
            outcome: RolloutOutcome::Running,
            reason: String::new(),
            worker: None,
            words: Vec::new(),
        });
    }

    /// Writes down what a notice says; `name` is that of its service.
    fn note(&mut self, notice: &Notice, name: &str, now: Mono) {
        let why = |reason: &Option<ExitReason>| reason.map_or("by command", text::exit_reason).to_owned();
        match notice {
            Notice::RolloutStarted { service, total, .. } => {
                let by = self.asked.remove(service).unwrap_or_else(|| "configuration".to_owned());
                self.begin(name, by, *total, now);
            }
            Notice::RolloutProgress { service, done, total } => {
                self.asked.remove(service);
                if let Some(rollout) = self.open_mut(name) {
                    (rollout.done, rollout.total) = (*done, *total);
                    // One that joins resumes it.
                    rollout.outcome = RolloutOutcome::Running;
                }
            }
            Notice::RolloutPaused { reason, .. } => {
                if let Some(rollout) = self.open_mut(name) {
                    (rollout.outcome, rollout.reason) = (RolloutOutcome::Paused, why(reason));
                }
            }
            Notice::RolloutResumed { .. } => {
                if let Some(rollout) = self.open_mut(name) {
                    // What it was paused for is over.
                    (rollout.outcome, rollout.reason) = (RolloutOutcome::Running, String::new());
                    (rollout.worker, rollout.words) = (None, Vec::new());
                }
            }
            Notice::RolloutFinished { .. } => self.end(name, RolloutOutcome::Finished, now),
            Notice::RolloutStopped { reason, .. } => {
                if let Some(rollout) = self.open_mut(name) {
                    rollout.reason = why(reason);
                }
                self.end(name, RolloutOutcome::Stopped, now);
            }
            _ => {}
        }
    }
}

/// A worker that failed, and why.
type Culprit = (WorkerId, Option<ExitReason>);

/// The service whose rollout it is about, and the worker that failed.
fn about(notice: &Notice) -> Option<(ServiceId, Option<Culprit>)> {
    match notice {
        Notice::RolloutStarted { service, .. }
        | Notice::RolloutProgress { service, .. }
        | Notice::RolloutResumed { service }
        | Notice::RolloutFinished { service } => Some((*service, None)),
        Notice::RolloutPaused { service, worker, reason } | Notice::RolloutStopped { service, worker, reason } => {
            Some((*service, worker.map(|worker| (worker, *reason))))
        }
        _ => None,
    }
}

/// A line as it may be shown: a worker's own escapes are not for the terminal of whoever reads of its end.
fn shown(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_LINE).collect()
}

impl Manager {
    /// Makes a fact known: log, events, and those who wait for it.
    pub(crate) fn notice(&mut self, notice: Notice) {
        if let Notice::WorkerExited { worker, service, slot, status, reason, .. } = &notice {
            if matches!(reason, ExitReason::Asked(_)) {
                self.leaves(*worker, Exit::Replaced);
            }
            let name = self.crew.worker_name(*service, *slot);
            self.rollouts.last_exit = Some((*worker, name, text::exit_status(*status)));
        }
        let Some((service, failed)) = about(&notice) else { return self.announce(&notice, None) };
        self.announce_parked(|parked| parked.service == service);
        let name = self.crew.name(service).to_owned();
        self.rollouts.note(&notice, &name, clock::mono());
        let Some((worker, reason)) = failed else { return self.announce(&notice, None) };
        let mut failed = self.failed(worker, reason, &name);
        let trouble = self.rollouts.trouble.take().filter(|(of, _)| *of == worker);
        failed.words.extend(trouble.map(|(_, words)| words));
        if failed.words.is_empty() && self.asks_for_tail(worker) {
            let until = clock::mono().after(PATIENCE);
            self.rollouts.parked.push(Parked { service, worker, failed, notice, until });
        } else {
            self.announce_failed(&notice, &name, &failed);
        }
    }

    fn failed(&self, worker: WorkerId, reason: Option<ExitReason>, service: &str) -> Failed {
        let exit = self.rollouts.last_exit.as_ref().filter(|(of, ..)| *of == worker);
        let living = self.fleet.worker(worker).map(|(service, slot, ..)| self.crew.worker_name(service, slot));
        let how = match (reason, exit) {
            (Some(ExitReason::ReadyTimeout), _) => "not ready in time".to_owned(),
            (Some(ExitReason::Heartbeat), _) => "its heartbeat was lost".to_owned(),
            (Some(ExitReason::SpawnFailed), _) => "it could not be started".to_owned(),
            (_, Some((_, _, how))) => how.clone(),
            (reason, None) => reason.map_or("it ended", text::exit_reason).to_owned(),
        };
        let worker = exit.map(|(_, name, _)| name.clone()).or(living).unwrap_or_else(|| service.to_owned());
        Failed { worker, how, words: Vec::new() }
    }

    fn asks_for_tail(&mut self, worker: WorkerId) -> bool {
        let Some((_, link)) = &mut self.logger else { return false };
        let Ok(bytes) = (ToLogger::Tail { worker: worker.0 }).encode() else { return false };
        link.push(Record { bytes, descriptors: Vec::new() });
        true
    }

    /// The logger told what a worker last wrote.
    pub(crate) fn tail_told(&mut self, worker: u64, lines: &[String]) {
        let worker = WorkerId(worker);
        let lines: Vec<String> = lines.iter().map(|line| shown(line)).collect();
        for parked in self.rollouts.parked.iter_mut().filter(|parked| parked.worker == worker) {
            parked.failed.words.clone_from(&lines);
        }
        self.announce_parked(|parked| parked.worker == worker);
    }

    /// Those whose words have not come in time are told without.
    pub(crate) fn announce_late(&mut self, now: Mono) {
        self.announce_parked(|parked| parked.until <= now);
    }

    /// The engine ends: whoever waits gets what there is.
    pub(crate) fn announce_all(&mut self) {
        self.announce_parked(|_| true);
    }

    fn announce_parked(&mut self, which: impl Fn(&Parked) -> bool) {
        let parked = std::mem::take(&mut self.rollouts.parked);
        let (now, later): (Vec<_>, Vec<_>) = parked.into_iter().partition(which);
        self.rollouts.parked = later;
        for parked in now {
            let name = self.crew.name(parked.service).to_owned();
            self.announce_failed(&parked.notice, &name, &parked.failed);
        }
    }

    fn announce_failed(&mut self, notice: &Notice, service: &str, failed: &Failed) {
        if let Some(rollout) = self.rollouts.known.iter_mut().rfind(|rollout| rollout.service == service) {
            rollout.worker = Some(failed.worker.clone());
            rollout.reason.clone_from(&failed.how);
            rollout.words.clone_from(&failed.words);
            self.changed();
        }
        self.announce(notice, Some(failed));
    }

    fn announce(&mut self, notice: &Notice, failed: Option<&Failed>) {
        let mut fact = notices::fact(notice, &self.fleet, &self.crew);
        if let Some(failed) = failed {
            fact.fields.insert("worker".into(), failed.worker.clone().into());
            fact.fields.insert("how".into(), failed.how.clone().into());
            fact.fields.insert("words".into(), failed.words.clone().into());
            fact.words = format!("{}: {}: {}", fact.words, failed.worker, failed.how);
        }
        let level = if fact.internal && fact.level == Level::Info { Level::Debug } else { fact.level };
        self.log.write(level, &fact.words);
        for line in failed.iter().flat_map(|failed| &failed.words) {
            self.log.write(level, &format!("  {line}"));
        }
        if !fact.internal {
            self.events.add(fact.kind, fact.fields);
        }
        for (client, reply) in self.waitings.notice(notice, failed, &self.fleet, &self.crew) {
            self.clients.reply(client, &reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Mono {
        Mono::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_runs_is_kept() {
        let mut rollouts = Rollouts::default();
        rollouts.begin("slow", "uid 0".into(), 4, at(1));
        for _ in 0..1000 {
            rollouts.begin("web", "uid 0".into(), 4, at(2));
            rollouts.end("web", RolloutOutcome::Finished, at(3));
        }
        assert_eq!(rollouts.known.len(), MOST_REMEMBERED);
        assert!(rollouts.open("slow").is_some());
        assert!(rollouts.open("web").is_none());
    }

    #[test]
    fn a_rollout_has_one_end() {
        let (mut rollouts, service) = (Rollouts::default(), ServiceId(0));
        rollouts.asked_by(service, "uid 7".into());
        let started = Notice::RolloutStarted { service, epoch: evercrew_core::fleet::Epoch(1), total: 2 };
        rollouts.note(&started, "web", at(1));
        rollouts.note(&Notice::RolloutProgress { service, done: 1, total: 2 }, "web", at(2));
        rollouts.undone("web", at(3));
        rollouts.note(&Notice::RolloutStopped { service, worker: None, reason: None }, "web", at(4));
        let rollout = rollouts.known.back().expect("one");
        assert_eq!((rollout.outcome, rollout.lasted_ms, rollout.done), (RolloutOutcome::Undone, Some(2000), 1));
        assert_eq!(rollout.by, "uid 7");
    }

    #[test]
    fn last_words_are_shown_without_their_escapes() {
        assert_eq!(shown("\u{1b}[31mred\u{7}"), " [31mred ");
        assert_eq!(shown(&"x".repeat(10_000)).len(), LONGEST_LINE);
    }
}
