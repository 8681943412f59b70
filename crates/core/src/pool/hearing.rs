//! What a child says, and whether it may.

use super::child::Phase;
use super::event::{Action, Doom, Echo, Introduction, Reply, Said};
use super::fault::Fault;
use super::job::JobId;
use super::machine::Pool;
use super::outcome::{Failure, Outcome};
use super::timers::Timer;
use crate::fleet::{Event as Order, WorkerId};

/// The version of the protocol that is spoken here.
const PROTOCOL: u32 = 1;

impl Pool {
    pub(super) fn hear(&mut self, id: WorkerId, said: Said, out: &mut Vec<Action>) {
        match self.children.get(&id) {
            // What it wrote before it was ended counts no more: somebody else may have the job.
            Some(child) if !child.is_doomed() => {}
            Some(_) | None => return out.push(Action::Disregarded(id)),
        }
        match said {
            Said::Ready(introduction) => self.introduced(id, introduction, out),
            Said::Started(echo) => self.started(id, echo, out),
            Said::Progress(echo) => self.progressed(id, echo, out),
            Said::Beat => self.order(Order::Beat { worker: id }, out),
            Said::Answer(echo, reply) => self.answered(id, echo, reply, out),
            Said::Log => {}
            Said::Noise => self.noise(id, out),
            Said::Garbage => self.doom(id, Doom::Garbage, out),
        }
    }

    /// One that introduces itself late, since it took long to boot, may have got a job already: that time does not count.
    fn introduced(&mut self, id: WorkerId, introduction: Introduction, out: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(&id) else { return };
        if child.speaks || child.jobs > 0 {
            return out.push(Action::Disregarded(id));
        }
        if introduction.protocol != PROTOCOL || introduction.concurrency == 0 {
            return self.doom(id, Doom::Foreign, out);
        }
        let epoch = child.epoch;
        self.timers.unset(child.plain_at.take(), Timer::Plain(id));
        for held in &mut child.hands {
            self.timers.unset(Some(held.due), Timer::Job(held.job));
            held.since = self.now;
            held.due = self.now.after(held.timeout);
            self.timers.set(held.due, Timer::Job(held.job));
        }
        let takes = introduction.concurrency.min(self.policy.in_hand);
        self.change(id, |child| {
            child.speaks = true;
            child.starts = introduction.starts;
            child.cancels = introduction.cancels;
            child.takes = takes;
        });
        self.expect_speech(epoch);
        if self.children.get(&id).is_some_and(|child| child.phase == Phase::Booting) {
            self.serve(id, out);
        }
    }

    /// The job that a line is for; a line for one that the child does not have is its end.
    fn meant(&mut self, id: WorkerId, echo: Echo, out: &mut Vec<Action>) -> Option<JobId> {
        let child = self.children.get_mut(&id)?;
        let only = match child.hands.as_slice() {
            [held] => Some(held.job),
            _ => None,
        };
        let job = match echo {
            Echo::Job(job) if child.held(job).is_some() => {
                child.echoes = true;
                Some(job)
            }
            Echo::Job(_) | Echo::Stranger if self.faults.has(Fault::StrangerTrusted) => only,
            Echo::Missing if self.faults.has(Fault::UnnamedTrusted) => child.hands.first().map(|held| held.job),
            Echo::Missing if !child.speaks && !child.echoes => only,
            Echo::Missing | Echo::Job(_) | Echo::Stranger => None,
        };
        if job.is_none() && !(self.faults.has(Fault::ExtraIgnored) && child.hands.is_empty()) {
            self.doom(id, Doom::OutOfStep, out);
        }
        job
    }

    fn started(&mut self, id: WorkerId, echo: Echo, out: &mut Vec<Action>) {
        let Some(job) = self.meant(id, echo, out) else { return };
        if let Some(held) = self.children.get_mut(&id).and_then(|child| child.held(job))
            && !std::mem::replace(&mut held.started, true)
        {
            out.push(Action::Began { job, child: id });
        }
    }

    fn progressed(&mut self, id: WorkerId, echo: Echo, out: &mut Vec<Action>) {
        let Some(job) = self.meant(id, echo, out) else { return };
        if let Some(held) = self.children.get_mut(&id).and_then(|child| child.held(job)) {
            held.started = true;
            out.push(Action::Relay { job, child: id });
        }
    }

    fn answered(&mut self, id: WorkerId, echo: Echo, reply: Reply, out: &mut Vec<Action>) {
        let Some(job) = self.meant(id, echo, out) else { return };
        let until = self.now.after(self.policy.doubt);
        let cancelled = self.children.get_mut(&id).and_then(|child| child.held(job)).is_some_and(|held| held.cancelled);
        let outcome = match reply {
            Reply::Ok => Outcome::Done,
            Reply::Error | Reply::Cancelled if cancelled => Outcome::Cancelled,
            Reply::Error | Reply::Cancelled => Outcome::Failed { failure: Failure::Said, poison: false },
            Reply::Throttled(_) if self.faults.has(Fault::ThrottleIsFailure) => {
                Outcome::Failed { failure: Failure::Said, poison: false }
            }
            Reply::Throttled(_) if self.faults.has(Fault::RetryAfterForgotten) => {
                Outcome::Throttled(self.policy.throttle)
            }
            Reply::Throttled(after) => Outcome::Throttled(after.unwrap_or(self.policy.throttle)),
            Reply::Discard => Outcome::Discarded,
            Reply::Unknown => Outcome::Unknown,
        };
        let doubted = echo == Echo::Missing && self.policy.doubt > std::time::Duration::ZERO;
        let now = self.now;
        let mut due = None;
        self.change(id, |child| {
            let had = child.hands.iter().position(|held| held.job == job).map(|index| child.hands.remove(index));
            due = had.map(|held| held.due);
            child.jobs += 1;
            child.errors += u64::from(matches!(outcome, Outcome::Failed { .. }));
            if child.hands.is_empty() {
                child.busy += now.since(child.changed);
                child.changed = now;
            }
            if doubted && child.doubt.is_none() {
                child.doubt = Some(until);
            }
        });
        self.timers.unset(due, Timer::Job(job));
        if doubted && !self.faults.has(Fault::UnnamedTrusted) {
            self.timers.set(until, Timer::Doubt(id));
        } else if doubted {
            self.change(id, |child| child.doubt = None);
        }
        self.settle(job, outcome, Some(id), out);
        self.worked(id, out);
    }

    /// Nothing more came: it is in step.
    pub(super) fn trust_again(&mut self, id: WorkerId) {
        self.change(id, |child| child.doubt = None);
    }

    fn noise(&mut self, id: WorkerId, out: &mut Vec<Action>) {
        if self.faults.has(Fault::NoiseAnswers)
            && let Some(held) = self.children.get(&id).and_then(|child| child.hands.first().copied())
        {
            return self.answered(id, Echo::Job(held.job), Reply::Error, out);
        }
        let Some(child) = self.children.get_mut(&id) else { return };
        let first = !std::mem::replace(&mut child.noisy, true);
        out.push(Action::Noise { child: id, first });
        if self.policy.strict && !self.faults.has(Fault::StrictForgotten) {
            self.doom(id, Doom::Garbage, out);
        }
    }
}
