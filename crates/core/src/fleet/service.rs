//! One service: its policy, its memory, and counts that are kept while it changes.

use std::time::Duration;

use super::schedule::Timer;
use super::step::{Step, Tools};
use super::{
    Epoch, Haste, Pace, Policy, PrologueMemory, Role, ServiceId, ServiceMemory, ServiceState, Slot, SlotMemory,
    Standing, Why, Wish, WorkerId, WorkerMemory,
};
use crate::Mono;

/// The most slots of one service. A number above it (a slip of the finger in `scale`) is held to it.
pub const MAX_WORKERS: u32 = 10_000;

/// A service at work.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) policy: Policy,
    pub(super) memory: ServiceMemory,
    /// The engine is being stopped.
    pub(super) halted: Option<Haste>,
    /// What observers were last told.
    pub(super) state: ServiceState,
    /// A worker of another version was adopted; it is replaced as soon as the whole inventory is known.
    pub(super) adopted: bool,
    /// The sum of `counted`.
    pub(super) tally: Tally,
    /// What each slot added to the sum. Only `refresh` and `recount` write it.
    counted: Vec<Tally>,
}

/// Where a worker is within its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// Index of its slot.
    pub(super) slot: usize,
    /// Index in the slot's workers.
    pub(super) index: usize,
}

/// Counts over slots. Those of wanted slots are zero for a service that is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Living processes.
    pub(super) living: u32,
    /// Of them those that drain beside the wanted ones.
    pub(super) apart: u32,
    /// Ready processes.
    pub(super) ready: u32,
    /// Living processes that are not wanted and were not told.
    pub(super) surplus: u32,
    /// Wanted slots with a ready process.
    pub(super) serving: u32,
    /// Wanted slots without a process that holds them, which will be started sooner or later.
    pub(super) vacant: u32,
    /// Wanted slots that reached their limit, and none is ready there.
    pub(super) failed: u32,
    /// Wanted slots whose program is done.
    pub(super) finished: u32,
    /// Wanted slots without a process that failed for good.
    pub(super) given_up: u32,
    /// Wanted slots that have never had a ready process.
    pub(super) unserved: u32,
    /// Wanted slots that the rollout has yet to do.
    pub(super) pending: u32,
    /// Wanted slots whose process is old enough.
    pub(super) aged: u32,
}

impl Tally {
    fn each(&mut self, other: Self, count: impl Fn(u32, u32) -> u32) {
        let Self {
            living,
            apart,
            ready,
            surplus,
            serving,
            vacant,
            failed,
            finished,
            given_up,
            unserved,
            pending,
            aged,
        } = self;
        *living = count(*living, other.living);
        *apart = count(*apart, other.apart);
        *ready = count(*ready, other.ready);
        *surplus = count(*surplus, other.surplus);
        *serving = count(*serving, other.serving);
        *vacant = count(*vacant, other.vacant);
        *failed = count(*failed, other.failed);
        *finished = count(*finished, other.finished);
        *given_up = count(*given_up, other.given_up);
        *unserved = count(*unserved, other.unserved);
        *pending = count(*pending, other.pending);
        *aged = count(*aged, other.aged);
    }
}

impl Service {
    pub(super) fn new(id: ServiceId, policy: Policy, epoch: Epoch, now: Mono) -> Self {
        let memory = ServiceMemory {
            service: id,
            wish: Wish::Run,
            scale: None,
            epoch,
            serving: epoch,
            previous: None,
            stamp: 1,
            released: false,
            next_start: Mono::default(),
            rollout: None,
            prologue: PrologueMemory::first(&policy, epoch, now),
            slots: Vec::new(),
        };
        Self::remembered(policy, memory)
    }

    pub(super) fn remembered(policy: Policy, memory: ServiceMemory) -> Self {
        Self {
            policy,
            memory,
            halted: None,
            state: ServiceState::Stopped,
            adopted: false,
            tally: Tally::default(),
            counted: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> ServiceId {
        self.memory.service
    }

    /// How many slots should have a worker while the service runs.
    pub(super) fn wanted(&self) -> u32 {
        self.memory.scale.unwrap_or(self.policy.workers).min(MAX_WORKERS)
    }

    /// Whether it should run.
    pub(super) fn is_up(&self) -> bool {
        self.memory.wish == Wish::Run && self.halted.is_none()
    }

    /// How many processes above wanted may exist. With neither surge nor unavailable nothing could ever be replaced:
    /// then one is allowed. A detached rollout may have its whole new set beside the old one.
    pub(super) fn surge(&self) -> u32 {
        let rollout = self.policy.rollout;
        let surge = if rollout.unavailable == 0 { rollout.surge.max(1) } else { rollout.surge };
        match self.memory.rollout.map(|running| running.pace) {
            Some(Pace::Detached) => surge.max(self.wanted()),
            Some(Pace::Gradual | Pace::AtOnce) | None => surge,
        }
    }

    /// Everything that lives, a command of the prologue too.
    pub(super) fn living(&self) -> u32 {
        self.tally.living + u32::from(self.prologue_process().is_some())
    }

    /// Of that what is not wanted and was not told.
    pub(super) fn surplus(&self) -> u32 {
        let untold = !self.is_up() && self.prologue_process().is_some_and(WorkerMemory::is_untold);
        self.tally.surplus + u32::from(untold)
    }

    /// How many processes may be started.
    ///
    /// Everything alive counts, also a worker that drains for half a minute after it was replaced: `wanted + surge` is
    /// what the machine was sized for. Where `rollout.draining` allows generations beside that, or a rollout is
    /// detached, those that drain for it do not count.
    pub(super) fn room(&self) -> u32 {
        let counted = self.tally.living.saturating_sub(self.tally.apart);
        self.wanted().saturating_add(self.surge()).saturating_sub(counted)
    }

    pub(super) fn find(&self, slot: Slot, worker: WorkerId) -> Option<Seat> {
        let slot = (slot.0 as usize).checked_sub(1)?;
        let index = self.memory.slots.get(slot)?.workers.iter().position(|known| known.worker == worker)?;
        Some(Seat { slot, index })
    }

    pub(super) fn worker(&self, seat: Seat) -> &WorkerMemory {
        &self.memory.slots[seat.slot].workers[seat.index]
    }

    pub(super) fn worker_mut(&mut self, seat: Seat) -> &mut WorkerMemory {
        &mut self.memory.slots[seat.slot].workers[seat.index]
    }

    pub(super) fn slot_mut(&mut self, slot: usize) -> &mut SlotMemory {
        &mut self.memory.slots[slot]
    }

    /// The worker of the slot that has this role.
    pub(super) fn in_role(&self, slot: usize, role: Role) -> Option<Seat> {
        let index = self.memory.slots.get(slot)?.workers.iter().position(|worker| worker.role == role)?;
        Some(Seat { slot, index })
    }

    /// Indexes of the wanted slots.
    pub(super) fn wanted_slots(&self) -> std::ops::Range<usize> {
        0..(self.wanted() as usize).min(self.memory.slots.len())
    }

    /// Makes as many slots as are wanted; those beyond forget everything but their numbers, so that raising the
    /// number again is a first start. Recounts.
    pub(super) fn resize(&mut self, now: Mono, tools: &mut Tools) {
        let wanted = self.wanted() as usize;
        while self.memory.slots.len() < wanted {
            self.memory.slots.push(SlotMemory::new(now));
        }
        for slot in &mut self.memory.slots[wanted..] {
            if !slot.untried || slot.served || slot.renew.is_some() {
                slot.renew_life(now);
            }
        }
        if let Some(rollout) = &mut self.memory.rollout {
            rollout.canary = rollout.canary.filter(|slot| (*slot as usize) <= wanted);
        }
        self.recount(tools);
    }

    /// Counts every slot and arms every deadline anew: when wanted or the policy changed.
    pub(super) fn recount(&mut self, tools: &mut Tools) {
        self.counted.resize(self.memory.slots.len(), Tally::default());
        for slot in 0..self.memory.slots.len() {
            self.refresh(slot, tools);
        }
        self.refresh_prologue(tools);
    }

    /// To be called whenever a slot or one of its workers changed: keeps counts and deadlines true.
    pub(super) fn refresh(&mut self, slot: usize, tools: &mut Tools) {
        let fresh = self.count(slot);
        let Some(counted) = self.counted.get_mut(slot) else { return };
        if *counted != fresh {
            self.tally.each(*counted, |sum, part| sum.saturating_sub(part));
            self.tally.each(fresh, u32::saturating_add);
            *counted = fresh;
        }
        tools.schedule.set(Timer::Slot(self.id(), slot_number(slot)), self.slot_deadline(slot));
        for worker in &self.memory.slots[slot].workers {
            tools.schedule.set(Timer::Worker(worker.worker), worker.deadline(tools.now));
        }
    }

    /// What the slot adds to the counts.
    fn count(&self, index: usize) -> Tally {
        let slot = &self.memory.slots[index];
        let mut tally = Tally { living: slot.workers.len() as u32, ..Tally::default() };
        let (mut held, mut aged) = (false, false);
        for worker in &slot.workers {
            tally.ready += u32::from(worker.is_ready());
            tally.apart += u32::from(worker.apart.is_some());
            held |= worker.holds_slot();
            aged |= worker.is_outlived();
        }
        if !self.is_up() || index >= self.wanted() as usize {
            tally.surplus = slot.workers.iter().filter(|worker| worker.is_untold()).count() as u32;
            return tally;
        }
        let idle = !held && slot.standing == Standing::Finished;
        let given_up = !held && slot.standing == (Standing::Failed { retry: None });
        let failed = slot.tripped || (!held && matches!(slot.standing, Standing::Failed { .. }));
        tally.serving = u32::from(tally.ready > 0);
        tally.vacant = u32::from(!held && !idle && !given_up);
        tally.failed = u32::from(failed && !idle && tally.ready == 0);
        tally.finished = u32::from(idle);
        tally.given_up = u32::from(given_up);
        tally.unserved = u32::from(!slot.served && !idle);
        tally.pending = u32::from(slot.renew.is_some());
        tally.aged = u32::from(aged);
        tally
    }

    /// When the empty slot's wait is over, or the wait before the next replacement for age.
    fn slot_deadline(&self, index: usize) -> Option<(Mono, Why)> {
        if !self.is_up() || index >= self.wanted() as usize {
            return None;
        }
        let slot = &self.memory.slots[index];
        let why = Why::Start(self.id());
        if !slot.workers.iter().any(WorkerMemory::holds_slot) {
            return match slot.standing {
                Standing::Backoff { until } => Some((until, why)),
                Standing::Failed { retry } => retry.map(|at| (at, why)),
                Standing::Open | Standing::Finished => None,
            };
        }
        let aged = slot.workers.iter().any(WorkerMemory::is_outlived);
        slot.replace_after.filter(|_| aged).map(|at| (at, why))
    }

    /// The slot's deadline came: what it waited for is allowed.
    pub(super) fn slot_due(&mut self, slot: Slot, step: &mut Step<'_>) {
        let Some(index) = (slot.0 as usize).checked_sub(1).filter(|index| *index < self.memory.slots.len()) else {
            return;
        };
        let now = step.now;
        let state = self.slot_mut(index);
        match state.standing {
            Standing::Backoff { until: at } | Standing::Failed { retry: Some(at) } if at <= now => {
                state.stand(Standing::Open, now);
            }
            Standing::Backoff { .. } | Standing::Failed { .. } | Standing::Open | Standing::Finished => {}
        }
        state.replace_after = state.replace_after.filter(|at| *at > now);
        self.refresh(index, step.tools);
    }

    /// Everyone's time to speak after the shell was late.
    pub(super) fn look_again(&mut self, now: Mono, tools: &mut Tools) {
        for slot in 0..self.memory.slots.len() {
            let Self { policy, memory, .. } = self;
            memory.slots[slot].workers.iter_mut().for_each(|worker| worker.look_again(policy, now));
            self.refresh(slot, tools);
        }
    }

    /// Everyone's deadlines after the shell was away.
    pub(super) fn grant(&mut self, now: Mono, away: Duration, tools: &mut Tools) {
        for slot in 0..self.memory.slots.len() {
            let Self { policy, memory, .. } = self;
            for worker in &mut memory.slots[slot].workers {
                worker.grant(policy, now, away);
            }
            self.refresh(slot, tools);
        }
        for process in self.memory.prologue.iter_mut().flat_map(|prologue| &mut prologue.slot.workers) {
            process.grant(&self.policy, now, away);
        }
        self.refresh_prologue(tools);
    }

    /// Its state as observers should see it.
    pub(super) fn standing(&self) -> ServiceState {
        let tally = self.tally;
        let required = self.wanted() - tally.finished.min(self.wanted());
        if !self.is_up() || self.wanted() == 0 {
            return if self.living() > 0 { ServiceState::Stopping } else { ServiceState::Stopped };
        }
        if required == 0 {
            return ServiceState::Finished;
        }
        if tally.serving >= required {
            return ServiceState::Ready;
        }
        let failed = matches!(self.prologue_standing(), Some(Standing::Failed { .. }));
        match (failed || tally.failed > 0, tally.serving > 0) {
            (true, true) => ServiceState::Degraded,
            (true, false) => ServiceState::Failed,
            (false, true) if tally.unserved == 0 => ServiceState::Degraded,
            (false, true | false) => ServiceState::Starting,
        }
    }

    /// Whether a service that comes after this one may start.
    pub(super) fn lets_others_start(&self) -> bool {
        match self.state {
            ServiceState::Ready | ServiceState::Degraded | ServiceState::Finished => true,
            ServiceState::Starting | ServiceState::Failed | ServiceState::Stopping | ServiceState::Stopped => false,
        }
    }

    /// Whether the kept counts are those of a new count: the caches cannot lie.
    #[cfg(any(test, feature = "planted-faults"))]
    pub(super) fn counts_are_true(&self) -> bool {
        let mut sum = Tally::default();
        for slot in 0..self.memory.slots.len() {
            sum.each(self.count(slot), u32::saturating_add);
        }
        sum == self.tally
    }
}

/// The number of the slot at `index`.
pub(super) fn slot_number(index: usize) -> Slot {
    Slot(u32::try_from(index).map_or(u32::MAX, |index| index.saturating_add(1)))
}
