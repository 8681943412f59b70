//! Workers that were replaced and finish what they have begun.
//!
//! Where `rollout.draining` allows it, or the rollout is detached, such a worker drains apart: it does not count as one
//! of `wanted + surge`, so the rollout need not wait for it. What bounds them is the number of generations: those that
//! one rollout replaced, at most one a slot. Where one more generation begins, the oldest goes on to the next step of
//! its stop. So no more than `wanted + surge` processes start or serve, and `draining × wanted` finish.
//!
//! Recycled workers, and those that have to leave before their successor starts, count like everybody else.

use super::fault::Fault;
use super::service::{Seat, Service};
use super::step::Step;
use super::{ExitReason, Pace, Phase, StopReason, StopStep, Trial, WorkerMemory};

impl Service {
    /// A worker whose slot was taken is about to leave: whether it drains apart.
    pub(super) fn set_apart(&mut self, old: Seat, trial: Trial, step: &mut Step<'_>) {
        let detached = self.memory.rollout.is_some_and(|rollout| rollout.pace == Pace::Detached);
        let allowed = self.policy.rollout.draining.max(u32::from(detached));
        if trial == Trial::Recycle || allowed == 0 || !self.worker(old).is_ready() {
            return;
        }
        let stamp = self.memory.stamp;
        self.worker_mut(old).apart = Some(stamp);
        if !step.planted(Fault::DrainingUnbounded) {
            self.end_oldest(stamp, allowed, step);
        }
    }

    /// Whether the worker leaves for a set that was started whole beside it.
    pub(super) fn is_detached(&self, seat: Seat) -> bool {
        let detached = self.memory.rollout.is_some_and(|rollout| rollout.pace == Pace::Detached);
        detached && self.worker(seat).ending == Some(ExitReason::Asked(StopReason::Rollout))
    }

    /// Ends generations that drain, the oldest first, until `allowed` are left with the one of `newest`.
    fn end_oldest(&mut self, newest: u64, allowed: u32, step: &mut Step<'_>) {
        let drains = |worker: &WorkerMemory| worker.apart.filter(|_| matches!(worker.phase, Phase::Draining(_)));
        let workers = self.memory.slots.iter().flat_map(|slot| &slot.workers);
        let mut stamps: Vec<u64> = workers.filter_map(drains).filter(|stamp| *stamp != newest).collect();
        stamps.sort_unstable();
        stamps.dedup();
        let most = (allowed as usize).saturating_sub(1);
        let surplus = stamps.len().saturating_sub(most);
        let ended = &stamps[..surplus];
        if ended.is_empty() {
            return;
        }
        for slot in 0..self.memory.slots.len() {
            for worker in &mut self.slot_mut(slot).workers {
                if let (Some(stamp), Phase::Draining(ladder)) = (worker.apart, &mut worker.phase)
                    && ended.contains(&stamp)
                {
                    ladder.cut(step.now);
                }
            }
            self.refresh(slot, step.tools);
        }
    }

    /// The stop ladder's first step for a worker that leaves for `reason`.
    pub(super) fn first_step(&self, first: StopStep, reason: StopReason, step: &Step<'_>) -> StopStep {
        match reason {
            StopReason::Rollout | StopReason::Recycle if step.planted(Fault::DrainForgotten) => {
                StopStep { lasting: None, ..first }
            }
            StopReason::Rollout | StopReason::Recycle => {
                StopStep { lasting: self.policy.rollout.drain.or(first.lasting), ..first }
            }
            StopReason::Stop | StopReason::Scale | StopReason::RolledBack => first,
        }
    }

    /// The whole service stops: who drains for a rollout has no more time than every other worker has from here on.
    pub(super) fn hurry_drains(&mut self, step: &mut Step<'_>) {
        let Some(first) = self.policy.stop.steps.first().and_then(|first| first.lasting) else { return };
        let until = step.now.after(first);
        for slot in 0..self.memory.slots.len() {
            for worker in &mut self.slot_mut(slot).workers {
                let replaced =
                    matches!(worker.ending, Some(ExitReason::Asked(StopReason::Rollout | StopReason::Recycle)));
                if let (true, Phase::Draining(ladder)) = (replaced, &mut worker.phase) {
                    ladder.cut(until);
                }
            }
        }
    }
}
