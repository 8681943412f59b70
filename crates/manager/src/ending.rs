//! When the engine ends by itself, and what is left to do when the supervisor is gone.

use std::os::fd::AsFd;

use evercrew_core::Signal;
use evercrew_core::fleet::{EndWhen, Event, Outcome};
use evercrew_sys::process;
use serde_json::json;

use crate::boot::Found;
use crate::crew::LOGGER_NAME;
use crate::manager::Manager;
use crate::notices::Level;
use crate::orphans::{self, Spared};

impl Manager {
    /// Ends every service without grace; the logger has its own, so that their last lines are not lost.
    pub(crate) fn stop_now(&mut self) {
        for service in self.services() {
            self.decide(Event::Stop { service, now: true });
        }
        self.decide(Event::Shutdown { now: false });
    }

    /// `[engine] exit`.
    pub(crate) fn end_by_configuration(&mut self) {
        let when = self.crew.settings().engine.exit;
        let Some(Outcome { code, failed }) = self.fleet.outcome(when, &self.services()) else { return };
        self.exit_code = code;
        let who = failed.map(|(service, slot)| self.crew.worker_name(service, slot));
        let (level, words) = match (when, &who) {
            (EndWhen::AnyFailed, Some(who)) => (Level::Error, format!("{who} failed: ending, as `engine.exit` says")),
            (_, Some(who)) => (Level::Error, format!("every service has ended; {who} failed")),
            (_, None) => (Level::Info, "every service has finished".to_owned()),
        };
        let reason = if when == EndWhen::AnyFailed { "any-failed" } else { "all-done" };
        self.tell(level, "engine.stopping", json!({"reason": reason, "failed": who, "code": code}), &words);
        self.decide(Event::Shutdown { now: false });
    }

    /// Nobody is left who could: every worker's group is killed by its pidfd, which names no other process, then what
    /// left its group. The logger sees its link end and leaves by itself when the pipes are empty.
    pub(crate) fn supervisor_is_gone(&mut self) {
        self.write_log(Level::Error, "the supervisor is gone; ending every worker");
        let logger = self.logger.take().map(|(logger, _)| logger);
        let mut spared = None;
        for (worker, process) in &self.crew.processes {
            let pidfd = process.pidfd.as_ref().map(|pidfd| pidfd.as_fd());
            if logger == Some(*worker) {
                spared = Some(Spared { worker: worker.0, pid: process.pid, pidfd });
            } else if let Some(pidfd) = pidfd {
                let _ = process::signal_group_by_pidfd(pidfd, process.pid, Signal::Kill);
            }
        }
        if let Some(remark) = orphans::end(&self.crew.cgroups, spared.as_ref()) {
            self.write_log(Level::Warn, &remark);
        }
    }
}

/// As [`Manager::supervisor_is_gone`], for a manager that was only about to take over.
pub(crate) fn kill_orphans(found: &mut Found) -> Option<String> {
    let cgroups = found.cgroups();
    let mut spared = None;
    for (worker, parts) in &mut found.workers {
        parts.link = None;
        let pidfd = parts.pidfd.as_ref().map(AsFd::as_fd);
        if worker.label.service == LOGGER_NAME {
            spared = Some(Spared { worker: worker.worker, pid: worker.pid, pidfd });
        } else if let Some(pidfd) = pidfd {
            let _ = process::signal_group_by_pidfd(pidfd, worker.pid, Signal::Kill);
        }
    }
    orphans::end(&cgroups, spared.as_ref())
}
