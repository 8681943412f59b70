//! What the core decides, done.

use std::sync::Arc;
use std::time::Duration;

use evercrew_core::fleet::{Generation, Scope, Slot, WorkerId};
use evercrew_core::pool::{Action, Doom, Event, Failure, JobId, Outcome as Ended};
use evercrew_core::{Level, Signal};
use evercrew_sys::process;
use evercrew_wire::child;

use crate::dispatcher::Dispatcher;
use crate::hearing::Words;
use crate::log::Source;
use crate::outcome::{Done, Failed, Outcome};
use crate::reason;

impl Dispatcher {
    pub(crate) fn perform(&mut self, action: Action, words: &Words<'_>) {
        match action {
            Action::Spawn { child, slot, generation, .. } => self.spawn(child, slot, generation),
            Action::Hand { child, job } => self.hand(child, job),
            Action::AskCancel { child, job } => self.ask_cancel(child, job),
            Action::Close(child) => self.close(child),
            Action::Kill { child, why } => self.kill(child, why),
            Action::Signal { child, signal, scope } => self.signal(child, signal, scope),
            Action::Settled { job, outcome, child } => self.settled(job, outcome, child, words),
            Action::Refused { job, why } => {
                if let Some(entry) = self.jobs.remove(&job) {
                    (entry.done)(Outcome::Refused(why));
                }
            }
            Action::Began { .. } => {}
            Action::Requeued(job) => {
                let id = self.jobs.get(&job).map(|entry| Arc::clone(&entry.id)).unwrap_or_default();
                self.say(None, Level::Info, format!("{id} waits again: its child died and had not begun it"));
            }
            Action::Relay { child, .. } => {
                if let Words::Line(line) = words {
                    let line = String::from_utf8_lossy(line).into_owned();
                    self.record(child, None, Source::Child, Level::Debug, line);
                }
            }
            Action::Noise { child, first } => {
                if let Words::Line(line) = words {
                    self.noise(child, first, line);
                }
            }
            Action::Disregarded(_) => {}
            Action::Crew(notice) => self.notice(notice),
            Action::Over => self.over = true,
        }
    }

    fn spawn(&mut self, id: WorkerId, slot: Slot, generation: Generation) {
        let started = self.launch.start(id, slot, generation);
        let failed = match started {
            Ok(process) => match self.watch(process) {
                Ok(()) => return,
                // Not watched it is ended by its dropped pipes at the latest.
                Err(error) => crate::launch::Failure::Io(error),
            },
            Err(error) => error,
        };
        let transient = failed.is_transient();
        self.not_started(&failed.to_string());
        self.news.push(Event::SpawnFailed { child: id, transient });
    }

    fn hand(&mut self, child: WorkerId, job: JobId) {
        let (Some(entry), Some(process)) = (self.jobs.get(&job), self.processes.get_mut(&child)) else { return };
        let time = entry.job.timeout.or_else(|| self.kinds.timeout(&entry.job.kind)).unwrap_or(self.config.timeout);
        let line = child::Job {
            id: &entry.job.id,
            payload: &entry.job.payload,
            kind: &entry.job.kind,
            attempt: entry.job.attempt,
            queue: entry.job.queue.as_deref(),
            deadline_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            trace: entry.job.trace.as_deref(),
        };
        let speaks = process.speaks;
        process.hand(job, Arc::clone(&entry.id), |out| if speaks { line.own(out) } else { line.plain(out) });
        self.mark_dirty(child);
    }

    fn ask_cancel(&mut self, child: WorkerId, job: JobId) {
        let (Some(entry), Some(process)) = (self.jobs.get(&job), self.processes.get_mut(&child)) else { return };
        process.queue(|out| child::cancel(out, &entry.job.id));
        self.mark_dirty(child);
    }

    fn close(&mut self, child: WorkerId) {
        let Some(process) = self.processes.get_mut(&child) else { return };
        if process.speaks {
            process.queue(child::drain);
        }
        process.closing = true;
        self.mark_dirty(child);
    }

    fn kill(&mut self, child: WorkerId, why: Doom) {
        let Some(process) = self.processes.get(&child) else { return };
        // It may have ended by itself by now.
        let _ = process::signal_group_by_pidfd(std::os::fd::AsFd::as_fd(&process.pidfd), process.pid, Signal::Kill);
        let level = match why {
            Doom::TimedOut(_) | Doom::OutOfStep | Doom::Garbage | Doom::Foreign | Doom::Stayed => Level::Warn,
            Doom::Cancelled(_) | Doom::Stopped => Level::Info,
        };
        self.record(child, None, Source::Pool, level, format!("ended: {}", reason::doom(why)));
    }

    fn signal(&mut self, child: WorkerId, signal: Signal, scope: Scope) {
        let Some(process) = self.processes.get(&child) else { return };
        let pidfd = std::os::fd::AsFd::as_fd(&process.pidfd);
        let _ = match scope {
            Scope::Process => process::signal(pidfd, signal),
            Scope::Group => process::signal_group_by_pidfd(pidfd, process.pid, signal),
        };
    }

    fn settled(&mut self, job: JobId, ended: Ended, child: Option<WorkerId>, words: &Words<'_>) {
        let process = child.and_then(|child| self.processes.get_mut(&child));
        let mut output = Vec::new();
        let mut last_error = None;
        if let Some(process) = process {
            if let Some(at) = process.hands.iter().position(|held| held.job == job) {
                process.hands.remove(at);
            }
            if let Ended::Failed { failure: failure @ (Failure::Died(_) | Failure::TimedOut(_)), .. } = ended {
                output = process.tail.iter().cloned().collect();
                last_error = Some(reason::failure(failure).1);
            }
            if let (Ended::Failed { failure: Failure::Said, .. }, Words::Answer(answer)) = (ended, words) {
                last_error = Some(answer.message.clone().into_owned());
            }
            if last_error.is_some() {
                process.last_error = last_error;
            }
        }
        let Some(entry) = self.jobs.remove(&job) else { return };
        (entry.done)(outcome(ended, words, output));
        self.inbox.made_room();
    }
}

/// What is told of a job's end.
fn outcome(ended: Ended, words: &Words<'_>, output: Vec<String>) -> Outcome {
    let answer = match words {
        Words::Answer(answer) => Some(*answer),
        Words::None | Words::Line(_) => None,
    };
    let message = || answer.map(|answer| answer.message.clone().into_owned()).unwrap_or_default();
    match ended {
        Ended::Done => Outcome::Done(Done {
            result: answer.and_then(|answer| answer.result).map(ToOwned::to_owned),
            enqueue: answer.and_then(|answer| answer.enqueue).map(ToOwned::to_owned),
        }),
        Ended::Failed { failure: Failure::Said, poison } => {
            let class = answer.map(|answer| answer.class.clone().into_owned()).unwrap_or_default();
            let other = answer.is_some_and(|answer| answer.status == child::Status::Other);
            Outcome::Failed(Failed {
                reason: if other {
                    format!("its child answered with a status that nobody knows: {}", message())
                } else {
                    message()
                },
                class: if class.is_empty() { "Error".to_owned() } else { class },
                backtrace: answer.and_then(|answer| answer.backtrace).map(ToOwned::to_owned),
                retryable: answer.and_then(|answer| answer.retryable),
                poison,
                output,
            })
        }
        Ended::Failed { failure, poison } => {
            let (class, reason) = reason::failure(failure);
            Outcome::Failed(Failed { reason, class: class.to_owned(), poison, output, ..Failed::default() })
        }
        Ended::Throttled(after) => Outcome::Throttled(after.max(Duration::from_millis(1))),
        Ended::Discarded => Outcome::Discarded(message()),
        Ended::Unknown => Outcome::Unknown(message()),
        Ended::Cancelled => Outcome::Cancelled,
        Ended::Expired => Outcome::Expired,
        Ended::Returned { begun } => Outcome::Returned { begun },
    }
}
