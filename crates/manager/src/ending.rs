//! When the engine ends by itself, and what is left to do when the supervisor is gone.

use std::os::fd::AsFd;

use evercrew_config::Exit;
use evercrew_core::Signal;
use evercrew_core::fleet::{Event, ExitStatus, ServiceId, ServiceState};
use evercrew_sys::process;
use evercrew_wire::supervisor::Worker;
use serde_json::json;

use crate::crew::{LOGGER, LOGGER_NAME, Parts};
use crate::manager::Manager;
use crate::notices::Level;

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
        if self.fleet.stopping() || self.crew.settings.engine.exit == Exit::Never {
            return;
        }
        let states: Vec<(ServiceId, ServiceState)> = self
            .fleet
            .services()
            .iter()
            .filter(|view| view.service != LOGGER)
            .map(|view| (view.service, view.state))
            .collect();
        let failed = states.iter().find(|(_, state)| *state == ServiceState::Failed);
        let done = |state| matches!(state, ServiceState::Finished | ServiceState::Stopped);
        match (self.crew.settings.engine.exit, failed) {
            (Exit::AnyFailed, Some((service, _))) => {
                let words = format!("{} failed: ending, as `engine.exit` says", self.crew.name(*service));
                self.exit_code = self.failure_code(*service);
                self.tell(Level::Error, "engine.stopping", json!({"reason": "any-failed"}), &words);
                self.decide(Event::Shutdown { now: false });
            }
            (Exit::AllDone, _) if states.iter().all(|(_, state)| done(*state)) => {
                self.tell(Level::Info, "engine.stopping", json!({"reason": "all-done"}), "every service has finished");
                self.decide(Event::Shutdown { now: false });
            }
            (Exit::Never | Exit::AllDone | Exit::AnyFailed, _) => {}
        }
    }

    /// The engine's own exit code for a service that failed: the unrecoverable one that a worker gave, else 1.
    fn failure_code(&self, service: ServiceId) -> u8 {
        let unrecoverable = |code: &u8| {
            let policy = self.crew.service(service).map(|service| &service.policy);
            policy.is_some_and(|policy| policy.unrecoverable_exit_codes.contains(code))
        };
        let workers = self.fleet.service(service).map(|view| view.workers).unwrap_or_default();
        let exits = workers.iter().filter_map(|worker| match worker.last_exit?.status? {
            ExitStatus::Code(code) => Some(code),
            ExitStatus::Signal(_) => None,
        });
        exits.into_iter().find(unrecoverable).unwrap_or(1)
    }

    /// Nobody is left who could: every worker's group is killed by its pidfd, which names no other process. The logger
    /// sees its link end and leaves by itself when the pipes are empty.
    pub(crate) fn supervisor_is_gone(&mut self) {
        self.write_log(Level::Error, "the supervisor is gone; ending every worker");
        for (worker, process) in &self.crew.processes {
            if self.logger.as_ref().is_some_and(|(logger, _)| logger == worker) {
                continue;
            }
            if let Some(pidfd) = &process.pidfd {
                let _ = process::signal_group_by_pidfd(pidfd.as_fd(), process.pid, Signal::Kill);
            }
        }
    }
}

/// As [`Manager::supervisor_is_gone`], for a manager that was only about to take over.
pub(crate) fn kill_orphan(worker: &Worker, parts: &Parts) {
    if worker.label.service != LOGGER_NAME
        && let Some(pidfd) = &parts.pidfd
    {
        let _ = process::signal_group_by_pidfd(pidfd.as_fd(), worker.pid, Signal::Kill);
    }
}
