//! What a signal to the engine has it do. What it means is decided in `core::operator`.

use evercrew_core::fleet::{Event, Pace, Scope, ServiceState};
use evercrew_core::operator::{Meaning, Verdict};
use evercrew_core::{Mono, Signal};
use evercrew_sys::signal::Received;
use serde_json::json;

use crate::manager::Manager;
use crate::notices::Level;
use crate::reload::By;

impl Manager {
    /// Does what `signal` means, and says who sent it and what comes of it.
    pub(crate) fn signal_heard(&mut self, signal: Signal, (pid, uid): (u32, u32), from_kernel: bool, at: Mono) {
        let sender = if from_kernel { "the terminal".to_owned() } else { format!("pid {pid} (uid {uid})") };
        let verdict = match self.operator.hear(signal, from_kernel, at) {
            Verdict::Obeyed(meaning) => lacking(meaning).map_or(Verdict::Obeyed(meaning), Verdict::Ignored),
            nothing @ (Verdict::Ignored(_) | Verdict::Passed(_)) => nothing,
        };
        let (level, words) = match verdict {
            Verdict::Obeyed(meaning) => words(meaning),
            Verdict::Ignored(why) => (Level::Warn, why),
            Verdict::Passed(why) => (Level::Debug, why),
        };
        let fields = json!({"signal": signal.to_string(), "pid": pid, "uid": uid, "from_kernel": from_kernel});
        self.tell(level, "engine.signal", fields, &format!("{signal} from {sender}: {words}"));
        match verdict {
            Verdict::Obeyed(meaning) => self.obey(meaning),
            Verdict::Ignored(_) | Verdict::Passed(_) => {}
        }
    }

    /// A signal that was sent to this process: the supervisor is the one to be signalled.
    pub(crate) fn signalled_directly(&mut self, received: &Received) {
        let words = format!(
            "signal {} from pid {} was sent to the manager and is ignored; send it to the supervisor, pid {}",
            received.number, received.sender_pid, self.engine.supervisor
        );
        self.tell(Level::Warn, "engine.signal-ignored", json!({"number": received.number}), &words);
    }

    fn obey(&mut self, meaning: Meaning) {
        match meaning {
            Meaning::Stop { .. } => self.decide(Event::Shutdown { now: false }),
            Meaning::StopNow => self.stop_now(),
            Meaning::More => self.resize_first(1),
            Meaning::Less => self.resize_first(-1),
            Meaning::Restart(pace) => self.restart_all(pace),
            Meaning::StopServices => {
                for service in self.services() {
                    self.decide(Event::Stop { service, now: false });
                }
            }
            Meaning::Reopen => self.reopen_logs(),
            Meaning::Dump => self.dump_to_file(),
            Meaning::Reload => self.reload_by_signal(false),
            Meaning::Deploy => self.reload_by_signal(true),
            Meaning::ReloadAndReopen => {
                self.reopen_logs();
                self.reload_by_signal(false);
            }
            Meaning::Upgrade => self.upgrade_by_signal(),
            Meaning::Quiet | Meaning::Resume => {}
        }
    }

    fn reload_by_signal(&mut self, deploy: bool) {
        if self.reloads.ask(By::Signal { deploy }).is_none() {
            self.write_log(Level::Warn, "too many reloads wait; this one is not taken");
        }
    }

    fn resize_first(&mut self, by: i32) {
        let first = self.crew.ids().first().copied();
        if let Some((service, view)) = first.and_then(|id| Some((id, self.fleet.service(id)?))) {
            self.decide(Event::Scale { service, workers: view.wanted.saturating_add_signed(by) });
        }
    }

    /// Replaces the workers of every service that has some: what was stopped by hand stays stopped, and a program that
    /// did what it was there for is not run again.
    pub(crate) fn restart_all(&mut self, pace: Pace) {
        for service in self.services() {
            let Some(view) = self.fleet.service(service) else { continue };
            match view.state {
                ServiceState::Stopping | ServiceState::Stopped | ServiceState::Finished => {}
                ServiceState::Starting | ServiceState::Ready | ServiceState::Degraded | ServiceState::Failed => {
                    self.decide(Event::Restart { service, slot: None, epoch: view.epoch, pace });
                }
            }
        }
    }

    /// The logger opens its files again at a USR1 of its own.
    fn reopen_logs(&mut self) {
        if let Some((logger, _)) = self.logger {
            self.signal(logger, Signal::Usr1, Scope::Process, None);
        }
    }
}

/// Why nothing can come of it in this version, where that is so.
fn lacking(meaning: Meaning) -> Option<&'static str> {
    match meaning {
        Meaning::Quiet => Some("there are no jobs to fetch, so there is nothing to quiet"),
        Meaning::Resume => Some("nothing to resume"),
        Meaning::Stop { .. }
        | Meaning::StopNow
        | Meaning::More
        | Meaning::Less
        | Meaning::Restart(_)
        | Meaning::StopServices
        | Meaning::Reopen
        | Meaning::Reload
        | Meaning::ReloadAndReopen
        | Meaning::Deploy
        | Meaning::Upgrade
        | Meaning::Dump => None,
    }
}

/// How much it matters, and what the log says of it.
fn words(meaning: Meaning) -> (Level, &'static str) {
    match meaning {
        Meaning::Stop { .. } => (Level::Info, "stopping"),
        Meaning::StopNow => (Level::Warn, "stopping at once"),
        Meaning::More => (Level::Info, "one worker more"),
        Meaning::Less => (Level::Info, "one worker less"),
        Meaning::Reload => (Level::Info, "reload"),
        Meaning::ReloadAndReopen => (Level::Info, "reload, and log files are opened again"),
        Meaning::Deploy => (Level::Info, "reload, and every worker is replaced"),
        Meaning::Restart(Pace::Gradual) => (Level::Info, "every worker is replaced"),
        Meaning::Restart(Pace::Detached) => {
            (Level::Info, "new workers beside the old ones, which finish what they have")
        }
        Meaning::Restart(Pace::AtOnce) => (Level::Warn, "every worker is replaced at once"),
        Meaning::StopServices => (Level::Warn, "every service is stopped; the engine stays"),
        Meaning::Reopen => (Level::Info, "log files are opened again"),
        Meaning::Upgrade => (Level::Info, "upgrade"),
        Meaning::Dump => (Level::Info, "dump"),
        Meaning::Quiet => (Level::Info, "no new jobs are fetched"),
        Meaning::Resume => (Level::Info, "jobs are fetched again"),
    }
}
