//! What is told of children: to the log, to whoever waits for a start or a rollout, to whoever asks how the pool stands.

use evercrew_core::Level;
use evercrew_core::fleet::{ExitReason, Notice, WorkerId};
use evercrew_core::pool::{ChildView, Event};
use evercrew_sys::{clock, process};

use crate::dispatcher::Dispatcher;
use crate::error::Error;
use crate::log::Source;
use crate::reason;
use crate::statistics::{ChildStatistics, RunningJob, Statistics};

impl Dispatcher {
    pub(crate) fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::WorkerReady { worker, took } => {
                let line = format!("ready after {} ms", took.as_millis());
                self.record(worker, None, Source::Pool, Level::Debug, line);
            }
            Notice::WorkerExited { worker, slot, status, reason, .. } => self.exited(worker, slot.0, status, reason),
            Notice::SlotBackoff { slot, wait, .. } => {
                let child = format!("{}.{}", self.config.name, slot.0);
                self.say(Some(&child), Level::Warn, format!("is started again in {} ms", wait.as_millis()));
            }
            Notice::SlotFailed { slot, retry, .. } => {
                let child = format!("{}.{}", self.config.name, slot.0);
                let again =
                    retry.map_or_else(String::new, |after| format!("; it is tried again in {} s", after.as_secs()));
                self.say(Some(&child), Level::Error, format!("failed too often{again}"));
            }
            Notice::HeartbeatLost { worker, silent } => {
                let line = format!("gave no sign of life for {} s", silent.as_secs());
                self.record(worker, None, Source::Pool, Level::Warn, line);
            }
            Notice::RolloutFinished { .. } => self.rolled(&Ok(())),
            Notice::RolloutStopped { reason, .. } => {
                let why = match reason {
                    Some(ExitReason::ReadyTimeout) => "a new child did not get ready in time",
                    Some(ExitReason::SpawnFailed) => "a new child could not be started",
                    Some(_) => "a new child died",
                    None => "it was stopped",
                };
                self.rolled(&Err(format!("{why}; the children that were there go on")));
            }
            Notice::ReadyTimedOut { .. } | Notice::WorkerSpawned { .. } | Notice::WorkerDraining { .. } => {}
            Notice::StopEscalated { .. } | Notice::Prepared { .. } | Notice::PrologueFailed { .. } => {}
            Notice::ServiceChanged { .. } | Notice::RolloutStarted { .. } | Notice::RolloutProgress { .. } => {}
            Notice::RolloutPaused { .. } | Notice::RolloutResumed { .. } | Notice::WasAway { .. } => {}
        }
    }

    fn rolled(&mut self, outcome: &Result<(), String>) {
        for waiting in self.restarting.drain(..) {
            // Whoever asked may be gone.
            let _ = waiting.send(outcome.clone());
        }
    }

    fn exited(
        &mut self,
        worker: WorkerId,
        slot: u32,
        status: Option<evercrew_core::fleet::ExitStatus>,
        reason: ExitReason,
    ) {
        let how = reason::exit(status);
        let asked = matches!(reason, ExitReason::Asked(_));
        if status.is_some() && !asked {
            self.record(worker, None, Source::Pool, Level::Warn, format!("died: {how}"));
        }
        if reason != ExitReason::SpawnFailed {
            let output = self.processes.get(&worker).map(|process| process.tail.iter().cloned().collect());
            let reason = if reason == ExitReason::ReadyTimeout { "it was not ready in time".to_owned() } else { how };
            let child = format!("{}.{slot}", self.config.name);
            self.fail_start(Error::NotReady { child, reason, output: output.unwrap_or_default() });
        }
    }

    /// A child could not be started.
    pub(crate) fn not_started(&mut self, reason: &str) {
        let program = self.launch.program();
        self.say(None, Level::Error, format!("`{program}` could not be started: {reason}"));
        self.fail_start(Error::NotStarted { program, reason: reason.to_owned() });
    }

    /// The first failure of a start is the start's.
    fn fail_start(&mut self, error: Error) {
        if let Some(starting) = self.starting.take() {
            let _ = starting.send(Err(error));
            self.news.push(Event::Stopped { now: true });
        }
    }

    /// Whether all children are ready for the first time.
    pub(crate) fn check_start(&mut self) {
        if self.starting.is_none() {
            return;
        }
        let ready = self.core.crew().is_some_and(|crew| crew.ready >= crew.wanted);
        if let Some(starting) = self.starting.take_if(|_| ready) {
            let _ = starting.send(Ok(()));
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let now = clock::mono();
        let children = self.core.children();
        Statistics {
            children: children.iter().filter_map(|view| self.child_statistics(view, now)).collect(),
            counts: self.core.counts(),
            waiting: self.core.waiting(),
            room: self.core.room(),
            dropped_lines: self.log.lost,
        }
    }

    fn child_statistics(&self, view: &ChildView, now: evercrew_core::Mono) -> Option<ChildStatistics> {
        let process = self.processes.get(&view.child)?;
        let running = view.held.iter().filter_map(|held| {
            let job = &self.jobs.get(&held.job)?.job;
            let (id, kind) = (job.id.clone(), job.kind.clone());
            Some(RunningJob { id, kind, attempt: job.attempt, since: now.since(held.since) })
        });
        Some(ChildStatistics {
            name: process.name.to_string(),
            slot: process.slot,
            generation: process.generation,
            pid: process.pid,
            state: view.state,
            ready: view.ready.map(|at| now.since(at)),
            takes: view.takes,
            jobs_in_hand: running.collect(),
            jobs: view.jobs,
            errors: view.errors,
            busy: view.busy,
            memory: process::memory(process.pid),
            last_error: process.last_error.clone(),
            output: process.tail.iter().cloned().collect(),
        })
    }
}
