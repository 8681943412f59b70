//! What becomes of jobs, and of children that are ended.

use super::child::{Held, Phase};
use super::event::{Action, Doom};
use super::fault::Fault;
use super::job::{JobId, Place};
use super::machine::Pool;
use super::outcome::{Failure, Outcome};
use super::timers::Timer;
use crate::fleet::{Event as Order, ExitStatus, WorkerId};

impl Pool {
    /// The one end of a job.
    pub(super) fn settle(&mut self, job: JobId, outcome: Outcome, child: Option<WorkerId>, out: &mut Vec<Action>) {
        let Some(entry) = self.jobs.remove(&job) else { return };
        if let Place::Waiting(_) = entry.place {
            self.timers.unset(entry.job.expires, Timer::Expiry(job));
        }
        if outcome == Outcome::Done && !self.suspects.is_empty() {
            self.suspects.remove(&entry.job.key);
        }
        self.counts.add(outcome);
        out.push(Action::Settled { job, outcome, child });
    }

    /// Takes the job out of the child's hand, where it is in it, and ends it.
    fn wrest(&mut self, id: WorkerId, job: JobId, outcome: Outcome, out: &mut Vec<Action>) {
        let now = self.now;
        let mut had = None;
        self.change(id, |child| {
            had = child.hands.iter().position(|held| held.job == job).map(|index| child.hands.remove(index));
            if had.is_some() && child.hands.is_empty() {
                child.busy += now.since(child.changed);
                child.changed = now;
            }
            child.errors += u64::from(had.is_some());
        });
        if let Some(held) = had {
            self.timers.unset(Some(held.due), Timer::Job(job));
            self.settle(job, outcome, Some(id), out);
        }
    }

    /// Ends a child: it is never used again, and its slot has another at once. A child that is ended for the sake of a job
    /// is not to blame; one that is to blame counts as having died, which has its slot back off when it goes on so.
    pub(super) fn doom(&mut self, id: WorkerId, why: Doom, out: &mut Vec<Action>) {
        match self.children.get(&id) {
            Some(child) if !child.is_doomed() => {}
            Some(_) | None => return,
        }
        self.change(id, |child| child.phase = Phase::Doomed(why));
        out.push(Action::Kill { child: id, why });
        if let Some(child) = self.children.get_mut(&id) {
            let (plain, doubt, idle, leave) =
                (child.plain_at.take(), child.doubt.take(), child.idle_at.take(), child.leave_by.take());
            self.timers.unset(plain, Timer::Plain(id));
            self.timers.unset(doubt, Timer::Doubt(id));
            self.timers.unset(idle, Timer::Idle(id));
            self.timers.unset(leave, Timer::Leave(id));
            // What it has in hand is over with its exit, not with its time.
            for held in &child.hands {
                self.timers.unset(Some(held.due), Timer::Job(held.job));
            }
        }
        match why {
            Doom::TimedOut(_) | Doom::Cancelled(_) => self.order(Order::Lost { worker: id }, out),
            Doom::OutOfStep | Doom::Garbage | Doom::Foreign => self.order(Order::Stopping { worker: id }, out),
            Doom::Stayed | Doom::Stopped => {}
        }
    }

    pub(super) fn time_out(&mut self, id: WorkerId, job: JobId, out: &mut Vec<Action>) {
        let Some(held) = self.children.get_mut(&id).and_then(|child| child.held(job)).copied() else { return };
        if held.cancelled {
            self.doom(id, Doom::Cancelled(job), out);
            return self.wrest(id, job, Outcome::Cancelled, out);
        }
        self.doom(id, Doom::TimedOut(job), out);
        let failure = Failure::TimedOut(held.timeout);
        self.wrest(id, job, Outcome::Failed { failure, poison: false }, out);
    }

    /// A job in hand is cancelled: its child is asked where it can be, and ended where it cannot.
    pub(super) fn let_go(&mut self, id: WorkerId, job: JobId, out: &mut Vec<Action>) {
        if self.faults.has(Fault::CancelForgotten) {
            return;
        }
        let (by, kills) = (self.now.after(self.policy.cancel_grace), self.faults.has(Fault::CancelKills));
        let Some(child) = self.children.get_mut(&id) else { return };
        let (asks, doomed) = (child.cancels && !kills, child.is_doomed());
        let Some(held) = child.held(job).filter(|held| !held.cancelled) else { return };
        held.cancelled = true;
        if doomed {
            return;
        }
        if asks {
            self.timers.unset(Some(held.due), Timer::Job(job));
            held.due = held.due.min(by);
            self.timers.set(held.due, Timer::Job(job));
            return out.push(Action::AskCancel { child: id, job });
        }
        self.doom(id, Doom::Cancelled(job), out);
        self.wrest(id, job, Outcome::Cancelled, out);
    }

    /// The child is gone: what it had in hand goes where it belongs.
    pub(super) fn forget(&mut self, id: WorkerId, status: Option<ExitStatus>, unread: &[JobId], out: &mut Vec<Action>) {
        self.change(id, |child| child.takes = 0);
        let Some(child) = self.children.remove(&id) else { return };
        self.timers.unset(child.plain_at, Timer::Plain(id));
        self.timers.unset(child.doubt, Timer::Doubt(id));
        self.timers.unset(child.idle_at, Timer::Idle(id));
        self.timers.unset(child.leave_by, Timer::Leave(id));
        // From the last to the first, so that they wait in the order in which they were handed out.
        for held in child.hands.iter().rev() {
            self.timers.unset(Some(held.due), Timer::Job(held.job));
            let begun = child.has_begun(held, unread);
            match child.phase {
                Phase::Doomed(why) => self.orphan(*held, begun, id, Some(why), status, out),
                Phase::Booting | Phase::Serving | Phase::Leaving | Phase::Closed => {
                    self.orphan(*held, begun, id, None, status, out);
                }
            }
        }
    }

    /// A job whose child is gone.
    fn orphan(
        &mut self,
        held: Held,
        begun: bool,
        id: WorkerId,
        why: Option<Doom>,
        status: Option<ExitStatus>,
        out: &mut Vec<Action>,
    ) {
        let job = held.job;
        if held.cancelled {
            return self.settle(job, Outcome::Cancelled, Some(id), out);
        }
        if why == Some(Doom::Stopped) || (self.stopping && !begun) {
            return self.settle(job, Outcome::Returned { begun }, Some(id), out);
        }
        let charged = begun || self.faults.has(Fault::UnbegunIsCharged);
        if !charged || self.faults.has(Fault::BegunIsRequeued) {
            return self.requeue(job, id, out);
        }
        let failure = match why {
            Some(Doom::OutOfStep) => Failure::OutOfStep,
            Some(Doom::Garbage | Doom::Foreign) => Failure::Garbage,
            Some(Doom::TimedOut(_) | Doom::Cancelled(_)) => Failure::Bystander,
            Some(Doom::Stayed | Doom::Stopped) | None => Failure::Died(status),
        };
        let mut poison = false;
        if matches!(failure, Failure::Died(_))
            && let Some(key) = self.jobs.get(&job).map(|entry| entry.job.key)
        {
            poison = self.suspect(key) >= self.policy.poison && !self.faults.has(Fault::PoisonForgotten);
            if poison {
                self.suspects.remove(&key);
            }
        }
        self.settle(job, Outcome::Failed { failure, poison }, Some(id), out);
    }

    /// At the head of its line again, so often and no more.
    fn requeue(&mut self, job: JobId, id: WorkerId, out: &mut Vec<Action>) {
        let most = self.policy.returns;
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        entry.returns += 1;
        let (kind, expires, returns) = (entry.job.kind, entry.job.expires, entry.returns);
        if returns > most && !self.faults.has(Fault::ReturnsUnbounded) {
            let outcome = Outcome::Failed { failure: Failure::NeverBegun, poison: false };
            return self.settle(job, outcome, Some(id), out);
        }
        if expires.is_some_and(|at| at <= self.now) && !self.faults.has(Fault::ExpiryForgotten) {
            return self.settle(job, Outcome::Expired, Some(id), out);
        }
        let kind = self.line_of(kind);
        let at = self.lines.push_front(kind, job);
        if let Some(entry) = self.jobs.get_mut(&job) {
            entry.place = Place::Waiting(at);
        }
        if let Some(expires) = expires {
            self.timers.set(expires, Timer::Expiry(job));
        }
        out.push(Action::Requeued(job));
    }
}
