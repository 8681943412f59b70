//! Children as slots of a fleet: what it decides is done here, and what happens to children is told to it.

use std::time::Duration;

use super::child::{Child, Phase};
use super::event::{Action, Doom};
use super::fault::Fault;
use super::job::JobId;
use super::machine::Pool;
use super::policy::Policy;
use super::timers::Timer;
use crate::Signal;
use crate::fleet::{
    Action as Deed, DrainReason, Epoch, Event as Order, ExitStatus, Generation, Notice, Pace, Scope, ServiceId, Slot,
    WorkerId,
};

/// The one service of a pool's fleet.
pub(super) const CREW: ServiceId = ServiceId(1);
/// Versions that are known to introduce themselves.
const MOST_VERSIONS: usize = 8;

impl Pool {
    pub(super) fn define(&mut self, policy: Policy, epoch: Epoch, out: &mut Vec<Action>) {
        self.policy = policy.checked();
        let crew = self.policy.crew.clone();
        self.order(Order::Define { service: CREW, policy: crew, epoch }, out);
    }

    pub(super) fn scale(&mut self, workers: u32, out: &mut Vec<Action>) {
        self.order(Order::Scale { service: CREW, workers }, out);
    }

    pub(super) fn restart(&mut self, slot: Option<Slot>, epoch: Epoch, pace: Pace, out: &mut Vec<Action>) {
        self.order(Order::Restart { service: CREW, slot, epoch, pace }, out);
    }

    pub(super) fn stop(&mut self, now: bool, out: &mut Vec<Action>) {
        self.stopping = true;
        if !self.faults.has(Fault::WaitingKept) {
            self.recall(out);
        }
        self.order(Order::Shutdown { now }, out);
    }

    /// Tells the fleet, and does what it decides. What is done may lead to more: one after the other.
    pub(super) fn order(&mut self, order: Order, out: &mut Vec<Action>) {
        let mut deeds = std::mem::take(&mut self.deeds);
        self.fleet.handle(self.now, order, &mut deeds);
        let mut asked_to_leave = None;
        for deed in deeds.drain(..) {
            match deed {
                Deed::Spawn { worker, slot, generation, epoch, .. } => self.spawn(worker, slot, generation, epoch, out),
                Deed::Prepare { .. } => {}
                Deed::Signal { worker, signal, scope, .. } => {
                    let first = asked_to_leave.take() == Some(worker);
                    self.signal(worker, signal, scope, first, out);
                }
                Deed::Notice(notice) => {
                    if let Notice::WorkerDraining { worker, reason: DrainReason::Asked(_) } = notice {
                        asked_to_leave = Some(worker);
                    }
                    out.push(Action::Crew(notice));
                }
                Deed::Exit => self.crew_is_gone = true,
            }
        }
        self.deeds = deeds;
    }

    fn spawn(&mut self, id: WorkerId, slot: Slot, generation: Generation, epoch: Epoch, out: &mut Vec<Action>) {
        let mut child = Child::new(slot, generation, epoch, self.now);
        child.lasts = self.policy.jobs.map(|jobs| {
            // Shorter by up to the jitter's share, so that children do not leave together.
            let share =
                self.policy.crew.recycle.jitter.clamp(0.0, 1.0) * f64::from(self.lots.draw()) / f64::from(u32::MAX);
            let less = (f64::from(jobs) * if share.is_nan() { 0.0 } else { share }) as u32;
            jobs.saturating_sub(less).max(1)
        });
        self.children.insert(id, child);
        out.push(Action::Spawn { child: id, slot, generation, epoch });
    }

    /// The first signal of a stop only has the child leave when it has nothing in hand: there is a gentler way to say so.
    fn signal(&mut self, id: WorkerId, signal: Signal, scope: Scope, first: bool, out: &mut Vec<Action>) {
        if signal == Signal::Kill {
            let why = if self.children.get(&id).is_some_and(|child| child.phase == Phase::Booting) {
                Doom::Stayed
            } else {
                Doom::Stopped
            };
            self.doom(id, why, out);
        } else if first {
            self.have_leave(id, out);
        } else if self.children.get(&id).is_some_and(|child| !child.is_doomed()) {
            out.push(Action::Signal { child: id, signal, scope });
        }
    }

    fn have_leave(&mut self, id: WorkerId, out: &mut Vec<Action>) {
        self.change(id, |child| {
            if matches!(child.phase, Phase::Booting | Phase::Serving) {
                child.phase = Phase::Leaving;
            }
        });
        self.leave_if_idle(id, out);
    }

    /// Closes the input of a child that is to leave and has nothing in hand.
    pub(super) fn leave_if_idle(&mut self, id: WorkerId, out: &mut Vec<Action>) {
        let by = self.now.after(self.policy.leave);
        let Some(child) = self.children.get_mut(&id).filter(|child| child.phase == Phase::Leaving) else { return };
        if self.faults.has(Fault::KilledWithJob) || child.hands.is_empty() {
            child.phase = Phase::Closed;
            child.leave_by = Some(by);
            self.timers.set(by, Timer::Leave(id));
            out.push(Action::Close(id));
        }
    }

    pub(super) fn overstayed(&mut self, id: WorkerId, out: &mut Vec<Action>) {
        if let Some(child) = self.children.get_mut(&id) {
            child.leave_by = None;
            self.doom(id, Doom::Stayed, out);
        }
    }

    pub(super) fn spawned(&mut self, id: WorkerId, out: &mut Vec<Action>) {
        self.order(Order::Spawned { worker: id }, out);
        let expected = |epoch| self.speaking.contains(&epoch);
        let Some(child) = self.children.get(&id).filter(|child| child.phase == Phase::Booting) else { return };
        let Some(after) = self.policy.plain_after.filter(|_| !expected(child.epoch)) else { return };
        if after == Duration::ZERO {
            return self.take_for_plain(id, out);
        }
        let at = self.now.after(after);
        self.timers.set(at, Timer::Plain(id));
        if let Some(child) = self.children.get_mut(&id) {
            child.plain_at = Some(at);
        }
    }

    /// It has lived for a while and said nothing: it waits for a job.
    pub(super) fn take_for_plain(&mut self, id: WorkerId, out: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(&id) else { return };
        child.plain_at = None;
        if child.phase == Phase::Booting {
            self.serve(id, out);
        }
    }

    /// It can work.
    pub(super) fn serve(&mut self, id: WorkerId, out: &mut Vec<Action>) {
        let now = self.now;
        self.change(id, |child| {
            child.phase = Phase::Serving;
            child.booted.get_or_insert(now);
            child.changed = now;
        });
        self.order(Order::Ready { worker: id }, out);
    }

    /// A child of this version introduced itself.
    pub(super) fn expect_speech(&mut self, epoch: Epoch) {
        if !self.speaking.contains(&epoch) {
            if self.speaking.len() == MOST_VERSIONS {
                self.speaking.remove(0);
            }
            self.speaking.push(epoch);
        }
    }

    pub(super) fn spawn_failed(&mut self, id: WorkerId, transient: bool, out: &mut Vec<Action>) {
        self.forget(id, None, &[], out);
        self.order(Order::SpawnFailed { worker: id, transient }, out);
    }

    pub(super) fn exited(&mut self, id: WorkerId, status: ExitStatus, unread: &[JobId], out: &mut Vec<Action>) {
        self.forget(id, Some(status), unread, out);
        self.order(Order::Exited { worker: id, status }, out);
    }

    pub(super) fn outgrow(&mut self, id: WorkerId, out: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(&id).filter(|child| child.phase == Phase::Serving) else { return };
        if !child.outgrown {
            child.outgrown = true;
            self.order(Order::Outgrown { worker: id }, out);
        }
    }

    pub(super) fn idled(&mut self, id: WorkerId, out: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(&id) else { return };
        child.idle_at = None;
        if child.hands.is_empty() && !self.faults.has(Fault::IdleForgotten) {
            self.outgrow(id, out);
        }
    }

    /// A child that has had enough is replaced, and one that has nothing to do gets its time.
    pub(super) fn worked(&mut self, id: WorkerId, out: &mut Vec<Action>) {
        let idle = self.policy.idle.map(|idle| self.now.after(idle));
        let Some(child) = self.children.get_mut(&id) else { return };
        if child.hands.is_empty() && child.phase == Phase::Serving && !child.outgrown && child.idle_at.is_none() {
            child.idle_at = idle;
            if let Some(at) = idle {
                self.timers.set(at, Timer::Idle(id));
            }
        }
        let enough = child.lasts.is_some_and(|lasts| child.jobs >= u64::from(lasts));
        if enough && !self.faults.has(Fault::RecycleForgotten) {
            self.outgrow(id, out);
        }
        self.leave_if_idle(id, out);
    }
}
