//! What runs to success before the first worker of a generation: the commands of `before_start`, one after the other.
//!
//! A generation begins with the first start of a service, with a start after a stop, and with every rollout of the
//! whole service. Then its prologue is *owed*, and until it is done nothing of the new generation is started: at a
//! first start nothing at all, in a rollout no canary. A rollout back to a version whose workers are still there needs
//! nothing of it. Crashes, scaling, recycling and the restart of one slot begin no
//! generation.
//!
//! Each command is a process with a [`WorkerId`] of its own in slot 0, which is no slot that work is done in: it is
//! not counted as a worker and never ready. It has `ready_timeout` to end. One that fails stops the rollout that it
//! was for. Where nothing serves, it is tried again as an empty slot is, with backoff and start limit; commands
//! that succeeded are not run again. At most one lives at a time: what is no longer wanted ends before another starts.

use super::fault::Fault;
use super::phase::{End, Input, Verdict, verdict};
use super::schedule::Timer;
use super::service::Service;
use super::step::{Step, Tools};
use super::worker::Birth;
use super::{
    Action, DrainReason, Epoch, ExitReason, ExitStatus, Generation, Ladder, LastExit, Notice, Phase, Policy,
    PrologueMemory, Role, Slot, SlotMemory, Standing, StopReason, Why, WorkerId, WorkerMemory, ladder::Rung,
};
use crate::{Mono, Signal};

/// Where the commands run; workers have slots from 1 on.
pub(super) const PROLOGUE: Slot = Slot(0);

impl PrologueMemory {
    fn new(epoch: Epoch, now: Mono) -> Self {
        Self { owed: false, epoch, command: 0, slot: SlotMemory::new(now) }
    }

    /// That of a service that is new.
    pub(super) fn first(policy: &Policy, epoch: Epoch, now: Mono) -> Option<Self> {
        (policy.terms(epoch).before_start > 0).then(|| Self { owed: true, ..Self::new(epoch, now) })
    }

    /// The command that runs.
    pub(super) fn process(&self) -> Option<&WorkerMemory> {
        self.slot.workers.first()
    }
}

impl Service {
    /// Whether nothing of the present generation may be started yet.
    pub(super) fn owes_prologue(&self) -> bool {
        let due = |prologue: &PrologueMemory| prologue.command < self.policy.terms(prologue.epoch).before_start;
        self.memory.prologue.as_ref().is_some_and(|prologue| prologue.owed && due(prologue))
    }

    /// The command that runs.
    pub(super) fn prologue_process(&self) -> Option<&WorkerMemory> {
        self.memory.prologue.as_ref().and_then(PrologueMemory::process)
    }

    /// A generation begins. What was done of the same version for one that never came to be counts for it.
    pub(super) fn owe_prologue(&mut self, step: &mut Step<'_>) {
        let epoch = self.memory.epoch;
        let count = self.policy.terms(epoch).before_start;
        if count == 0 && self.memory.prologue.is_none() {
            return;
        }
        let prologue = self.memory.prologue.get_or_insert_with(|| PrologueMemory::new(epoch, step.now));
        let goes_on = prologue.owed && prologue.epoch == epoch;
        (prologue.owed, prologue.epoch) = (count > 0, epoch);
        prologue.slot.clear(step.now);
        if !goes_on {
            prologue.command = 0;
            self.disown_prologue(StopReason::Rollout, step);
        }
        self.refresh_prologue(step.tools);
    }

    /// Nothing of the generation will be started: the one that serves goes on.
    pub(super) fn excuse_prologue(&mut self, reason: StopReason, step: &mut Step<'_>) {
        let Some(prologue) = self.memory.prologue.as_mut().filter(|prologue| prologue.owed) else { return };
        prologue.owed = false;
        prologue.slot.clear(step.now);
        self.disown_prologue(reason, step);
        self.refresh_prologue(step.tools);
    }

    /// The outcome of what runs is nobody's any more: it leaves.
    fn disown_prologue(&mut self, reason: StopReason, step: &mut Step<'_>) {
        self.leave_prologue(reason, step);
        self.change_prologue(|process| process.role = Role::Leaver);
    }

    /// Workers of it are there, so it was done, or nobody can tell any more.
    pub(super) fn forgive_prologue(&mut self) {
        if let Some(prologue) = &mut self.memory.prologue {
            prologue.owed = false;
        }
    }

    /// Starts the next command, if it is its turn.
    pub(super) fn run_prologue(&mut self, step: &mut Step<'_>) {
        let epoch = self.memory.epoch;
        let Some(prologue) = self.memory.prologue.as_ref().filter(|_| self.owes_prologue() && self.wanted() > 0) else {
            return;
        };
        let paused = self.memory.rollout.is_some_and(|rollout| rollout.paused);
        if paused || prologue.process().is_some() || prologue.slot.standing != Standing::Open {
            return;
        }
        let worker = step.new_worker();
        let (id, now, stamp, command) = (self.id(), step.now, self.memory.stamp, prologue.command);
        let Self { policy, memory, .. } = self;
        memory.released = true;
        let Some(PrologueMemory { slot, .. }) = &mut memory.prologue else { return };
        slot.generation = slot.generation.saturating_add(1);
        slot.started(false, policy, now);
        let generation = Generation(slot.generation);
        let birth =
            Birth { worker, generation: slot.generation, epoch, stamp, role: Role::Incumbent, trial: None, lot: 0 };
        slot.workers.push(WorkerMemory::asked_for(&birth, now));
        step.tools.places.insert(worker, (id, PROLOGUE));
        step.out.push(Action::Prepare { worker, service: id, generation, epoch, command });
        self.refresh_prologue(step.tools);
    }

    /// Tells the command what happened to it. By the table of workers; but it is never ready and owes no beats.
    pub(super) fn tell_prologue(&mut self, worker: WorkerId, input: Input, step: &mut Step<'_>) {
        let known = self.prologue_process().copied().filter(|process| process.worker == worker);
        let Some(process) = known else { return };
        match verdict(process.phase.stage(), input) {
            Verdict::Ignore | Verdict::Serve | Verdict::Beat | Verdict::Bow | Verdict::Age | Verdict::Due => return,
            Verdict::Boot => {
                let ready_by = step.now.after(self.policy.ready_timeout);
                self.note_prologue(Some(Phase::Booting { ready_by }), step);
            }
            Verdict::Note => self.note_prologue(None, step),
            // It cannot ask for it: it has no notify socket.
            Verdict::Extend(_) => return,
            Verdict::Gone(how) => self.prologue_gone(how, step),
            Verdict::Forget => self.forget_prologue(step),
            Verdict::Resend => {
                if let Some(signal) = process.last_signal(&self.policy) {
                    step.signal(worker, signal);
                }
            }
            Verdict::TimeOut if step.planted(Fault::PrologueTimeoutForgotten) => {
                self.change_prologue(|process| process.phase = Phase::Booting { ready_by: Mono::from_nanos(u64::MAX) });
            }
            Verdict::TimeOut => {
                let after = process.started.map_or_else(Default::default, |started| step.now.since(started));
                step.notice(Notice::ReadyTimedOut { worker, after });
                self.kill_prologue(ExitReason::ReadyTimeout, step);
            }
            Verdict::Climb => self.climb_prologue(step),
            Verdict::Drain(reason) => self.leave_prologue(reason, step),
            Verdict::Kill(reason) => self.kill_prologue(ExitReason::Asked(reason), step),
        }
        self.refresh_prologue(step.tools);
    }

    fn change_prologue(&mut self, change: impl FnOnce(&mut WorkerMemory)) {
        if let Some(process) = self.memory.prologue.as_mut().and_then(|prologue| prologue.slot.workers.first_mut()) {
            change(process);
        }
    }

    /// Its program runs.
    fn note_prologue(&mut self, phase: Option<Phase>, step: &mut Step<'_>) {
        let now = step.now;
        let Some(process) = self.prologue_process().copied() else { return };
        if process.started.is_none() {
            step.notice(Notice::WorkerSpawned { worker: process.worker });
        }
        self.change_prologue(|process| {
            process.started.get_or_insert(now);
            process.phase = phase.unwrap_or(process.phase);
        });
    }

    /// Asks the command to leave: its service stops, or nobody wants its outcome any more.
    pub(super) fn leave_prologue(&mut self, reason: StopReason, step: &mut Step<'_>) {
        let Some(process) = self.prologue_process().copied().filter(WorkerMemory::is_untold) else { return };
        let first = match self.policy.stop.steps.first() {
            Some(first) if first.signal != Signal::Kill => *first,
            Some(_) | None => return self.kill_prologue(ExitReason::Asked(reason), step),
        };
        let phase = Phase::Draining(Ladder::enter(0, &first, step.now));
        self.doom_prologue(phase, ExitReason::Asked(reason), step.now);
        step.notice(Notice::WorkerDraining { worker: process.worker, reason: DrainReason::Asked(reason) });
        step.signal(process.worker, first.signal);
        self.refresh_prologue(step.tools);
    }

    /// KILL to its group.
    pub(super) fn kill_prologue(&mut self, reason: ExitReason, step: &mut Step<'_>) {
        let known = self.prologue_process().copied().filter(|process| process.phase != Phase::Killed);
        let Some(process) = known else { return };
        self.doom_prologue(Phase::Killed, reason, step.now);
        step.notice(Notice::StopEscalated { worker: process.worker, signal: Signal::Kill });
        step.signal(process.worker, Signal::Kill);
        self.refresh_prologue(step.tools);
    }

    fn doom_prologue(&mut self, phase: Phase, reason: ExitReason, now: Mono) {
        self.change_prologue(|process| {
            process.phase = phase;
            process.since = now;
            if reason != ExitReason::ReadyTimeout {
                process.role = Role::Leaver;
            }
            process.ending.get_or_insert(reason);
        });
    }

    fn climb_prologue(&mut self, step: &mut Step<'_>) {
        let Self { policy, memory, .. } = self;
        let process = memory.prologue.as_mut().and_then(|prologue| prologue.slot.workers.first_mut());
        let Some(process) = process else { return };
        let (Phase::Draining(ladder) | Phase::Stopping(ladder)) = &mut process.phase else { return };
        match ladder.due(&policy.stop.steps, step.now) {
            Rung::Wait => {}
            Rung::Repeat(rung) => step.signal(process.worker, rung.signal),
            Rung::Next(index, rung) if rung.signal != Signal::Kill => {
                process.phase = Phase::Stopping(Ladder::enter(index, rung, step.now));
                step.notice(Notice::StopEscalated { worker: process.worker, signal: rung.signal });
                step.signal(process.worker, rung.signal);
            }
            Rung::Next(..) | Rung::End => {
                let reason = process.ending.unwrap_or(ExitReason::Unasked);
                self.kill_prologue(reason, step);
            }
        }
    }

    fn take_prologue(&mut self, step: &mut Step<'_>) -> Option<WorkerMemory> {
        let prologue = self.memory.prologue.as_mut()?;
        let process = prologue.slot.workers.pop()?;
        prologue.slot.since = step.now;
        step.tools.places.remove(&process.worker);
        step.tools.schedule.set(Timer::Worker(process.worker), None);
        Some(process)
    }

    /// The shell never made it, or nothing is known of its end: it is run again.
    fn forget_prologue(&mut self, step: &mut Step<'_>) {
        let Some(process) = self.take_prologue(step) else { return };
        if let Some(prologue) = self.memory.prologue.as_mut().filter(|_| process.phase == Phase::Spawning) {
            prologue.slot.forget_start(process.since);
        }
    }

    fn prologue_gone(&mut self, how: End, step: &mut Step<'_>) {
        let Some(process) = self.take_prologue(step) else { return };
        let status = match how {
            End::Exited(status) => Some(status),
            End::Stillborn { .. } | End::Doomed => None,
        };
        let reason = process.reason(how);
        let (service, now) = (self.id(), step.now);
        let Some(prologue) = &mut self.memory.prologue else { return };
        prologue.slot.last_exit = Some(LastExit { status, reason, at: now });
        step.notice(Notice::WorkerExited {
            worker: process.worker,
            service,
            slot: PROLOGUE,
            generation: Generation(process.generation),
            status,
            reason,
            ran: process.started.map_or_else(Default::default, |started| now.since(started)),
        });
        if process.role == Role::Leaver || !prologue.owed {
            return;
        }
        let good = process.ending.is_none() && status == Some(ExitStatus::Code(0));
        if good || step.planted(Fault::PrologueFailureIgnored) {
            prologue.slot.clear(now);
            prologue.command = prologue.command.saturating_add(1);
            if prologue.command >= self.policy.terms(prologue.epoch).before_start {
                prologue.owed = false;
                step.notice(Notice::Prepared { service });
            }
            return;
        }
        let (command, epoch) = (prologue.command, prologue.epoch);
        let rolls = self.memory.rollout.is_some_and(|rollout| rollout.fallback.is_some());
        step.notice(Notice::PrologueFailed { service, epoch, command, status, reason, rollout: rolls });
        if rolls {
            self.stop_rollout(Some((process.worker, reason)), step);
        } else {
            self.prologue_falls(&process, how, step);
        }
    }

    /// Nothing serves that could go on without it: it is tried again, as far as the policy lets an empty slot be.
    fn prologue_falls(&mut self, process: &WorkerMemory, how: End, step: &mut Step<'_>) {
        let Self { policy, memory, .. } = self;
        let Some(PrologueMemory { slot, .. }) = &mut memory.prologue else { return };
        if how == (End::Stillborn { transient: true }) {
            slot.forget_start(process.since);
        }
        // What was killed for its time failed like any other, whatever its exit says.
        slot.fall(policy, None, if process.ending.is_some() { End::Doomed } else { how }, step);
        slot.standing.tell(memory.service, PROLOGUE, step);
    }

    /// What it does while no process runs that it owes.
    pub(super) fn prologue_standing(&self) -> Option<Standing> {
        let prologue = self.memory.prologue.as_ref().filter(|_| self.owes_prologue())?;
        prologue.slot.workers.is_empty().then_some(prologue.slot.standing)
    }

    /// Its wait is over.
    pub(super) fn prologue_due(&mut self, step: &mut Step<'_>) {
        let now = step.now;
        let Some(PrologueMemory { slot, .. }) = &mut self.memory.prologue else { return };
        match slot.standing {
            Standing::Backoff { until: at } | Standing::Failed { retry: Some(at) } if at <= now => {
                slot.stand(Standing::Open, now);
            }
            Standing::Backoff { .. } | Standing::Failed { .. } | Standing::Open | Standing::Finished => {}
        }
        self.refresh_prologue(step.tools);
    }

    /// When its wait is over.
    pub(super) fn prologue_deadline(&self) -> Option<(Mono, Why)> {
        let why = Why::Start(self.id());
        match self.prologue_standing().filter(|_| self.is_up())? {
            Standing::Backoff { until } => Some((until, why)),
            Standing::Failed { retry } => retry.map(|at| (at, why)),
            Standing::Open | Standing::Finished => None,
        }
    }

    /// To be called whenever it changed: keeps the deadlines true.
    pub(super) fn refresh_prologue(&self, tools: &mut Tools) {
        tools.schedule.set(Timer::Slot(self.id(), PROLOGUE), self.prologue_deadline());
        if let Some(process) = self.prologue_process() {
            tools.schedule.set(Timer::Worker(process.worker), process.deadline(tools.now));
        }
    }

    /// A command runs that the memory does not know. Which one is not known either, so all are run again, but not
    /// before it has ended.
    pub(super) fn adopt_prologue(
        &mut self,
        worker: WorkerId,
        generation: Generation,
        epoch: Epoch,
        step: &mut Step<'_>,
    ) {
        let now = step.now;
        let stamp = self.memory.stamp;
        let ready_by = now.after(self.policy.ready_timeout);
        let prologue = self.memory.prologue.get_or_insert_with(|| PrologueMemory::new(epoch, now));
        if prologue.process().is_some() {
            return step.signal(worker, Signal::Kill);
        }
        let birth = Birth { worker, generation: generation.0, epoch, stamp, role: Role::Leaver, trial: None, lot: 0 };
        let mut process = WorkerMemory::asked_for(&birth, now);
        process.started = Some(now);
        process.phase = Phase::Booting { ready_by };
        prologue.slot.generation = prologue.slot.generation.max(generation.0);
        prologue.slot.workers.push(process);
        step.tools.places.insert(worker, (self.id(), PROLOGUE));
        self.refresh_prologue(step.tools);
    }
}
