//! What happens to one worker, and what that means for its slot.

use super::fault::Fault;
use super::phase::{End, Input, Verdict, verdict};
use super::schedule::Timer;
use super::service::{Seat, Service, slot_number};
use super::step::Step;
use super::worker::LONGEST_EXTENSION;
use super::{
    DrainReason, ExitReason, ExitStatus, Generation, Ladder, LastExit, Notice, Phase, Readiness, Restart, Role, Slot,
    StopReason, Trial, WorkerId, WorkerMemory, ladder::Rung,
};
use crate::Signal;

impl Service {
    /// Tells the worker what happened to it. Unknown workers are late news of dead ones: nothing follows.
    pub(super) fn tell(&mut self, slot: Slot, worker: WorkerId, input: Input, step: &mut Step<'_>) {
        let Some(seat) = self.find(slot, worker) else { return };
        match verdict(self.worker(seat).phase.stage(), input) {
            Verdict::Ignore => return,
            Verdict::Boot => self.boot(seat, step),
            Verdict::Note => self.note_exec(seat, step),
            Verdict::Serve => self.serve(seat, step),
            Verdict::Beat => {
                let Self { policy, memory, .. } = self;
                memory.slots[seat.slot].workers[seat.index].beat(policy, step.now);
            }
            Verdict::Extend(by) => {
                let until = step.now.after(by.min(LONGEST_EXTENSION));
                self.worker_mut(seat).extend(until);
            }
            Verdict::Bow => self.bow(seat, step),
            Verdict::Age => self.worker_mut(seat).aged = true,
            Verdict::Gone(how) => self.gone(seat, how, step),
            Verdict::Forget => self.forget(seat, step),
            Verdict::Resend => {
                if let Some(signal) = self.worker(seat).last_signal(&self.policy) {
                    match self.worker(seat).phase {
                        Phase::Draining(_) => step.ask(worker, signal, self.is_detached(seat)),
                        Phase::Spawning
                        | Phase::Booting { .. }
                        | Phase::Ready { .. }
                        | Phase::Stopping(_)
                        | Phase::Killed => step.signal(worker, signal),
                    }
                }
            }
            Verdict::TimeOut => self.time_out(seat, step),
            Verdict::Due => self.due(seat, step),
            Verdict::Climb => self.climb(seat, step),
            Verdict::Drain(reason) => self.drain(seat, reason, step),
            Verdict::Kill(reason) => self.kill(seat, ExitReason::Asked(reason), step),
        }
        self.refresh(seat.slot, step.tools);
    }

    /// The engine asks the worker to leave.
    pub(super) fn leave(&mut self, seat: Seat, reason: StopReason, step: &mut Step<'_>) {
        let worker = self.worker(seat).worker;
        self.tell(slot_number(seat.slot), worker, Input::Leave(reason), step);
    }

    fn note_exec(&mut self, seat: Seat, step: &mut Step<'_>) {
        let now = step.now;
        let worker = self.worker_mut(seat);
        if worker.started.is_none() {
            worker.started = Some(now);
            step.notice(Notice::WorkerSpawned { worker: worker.worker });
        }
    }

    fn boot(&mut self, seat: Seat, step: &mut Step<'_>) {
        self.note_exec(seat, step);
        let epoch = if step.planted(Fault::TermsOfNewVersion) { self.memory.epoch } else { self.worker(seat).epoch };
        match self.policy.terms(epoch).ready {
            Readiness::Exec => self.serve(seat, step),
            Readiness::Reported => {
                let ready_by = step.now.after(self.policy.ready_timeout);
                self.worker_mut(seat).phase = Phase::Booting { ready_by };
            }
        }
    }

    fn serve(&mut self, seat: Seat, step: &mut Step<'_>) {
        self.note_exec(seat, step);
        let trial = self.trial_time(seat.slot, step);
        let Self { policy, memory, .. } = self;
        let slot = &mut memory.slots[seat.slot];
        slot.served = true;
        let worker = &mut slot.workers[seat.index];
        worker.serve(policy, trial, step.now);
        if step.planted(Fault::SettleIgnored)
            && let Phase::Ready { settle_by: Some(at), .. } = &mut worker.phase
        {
            *at = step.now;
        }
        let took = worker.started.map_or_else(Default::default, |started| step.now.since(started));
        step.notice(Notice::WorkerReady { worker: worker.worker, took });
    }

    /// The worker said that it ends. It has the time of the ladder's first step. Whether its slot is started again is
    /// known at once where every exit is followed by a start, else by its exit status.
    fn bow(&mut self, seat: Seat, step: &mut Step<'_>) {
        self.note_exec(seat, step);
        let ladder = Ladder::unasked(self.policy.stop.steps.first(), step.now);
        let worker = self.worker_mut(seat);
        worker.phase = Phase::Draining(ladder);
        worker.since = step.now;
        step.notice(Notice::WorkerDraining { worker: worker.worker, reason: DrainReason::Itself });
        if self.policy.restart == Restart::Always {
            self.lose(seat, step);
        }
    }

    fn time_out(&mut self, seat: Seat, step: &mut Step<'_>) {
        if step.planted(Fault::ReadyTimeoutForgotten) {
            self.worker_mut(seat).phase = Phase::Booting { ready_by: crate::Mono::from_nanos(u64::MAX) };
            return;
        }
        let worker = self.worker(seat);
        let after = worker.started.map_or_else(Default::default, |started| step.now.since(started));
        step.notice(Notice::ReadyTimedOut { worker: worker.worker, after });
        let had = WorkerMemory { ending: Some(ExitReason::ReadyTimeout), ..*worker };
        self.kill(seat, ExitReason::ReadyTimeout, step);
        self.fell(seat.slot, &had, End::Doomed, step);
    }

    /// One or more of the moments that a ready worker waits for have come.
    fn due(&mut self, seat: Seat, step: &mut Step<'_>) {
        let now = step.now;
        let Phase::Ready { heard, beat_by, settle_by, recycle_at } = self.worker(seat).phase else { return };
        let silent = beat_by.is_some_and(|at| at <= now);
        if silent && !step.planted(Fault::HeartbeatForgotten) {
            self.silent(seat, now.since(heard), step);
            return;
        }
        let settled = settle_by.is_some_and(|at| at <= now);
        let old = recycle_at.is_some_and(|at| at <= now);
        let worker = self.worker_mut(seat);
        worker.aged |= old;
        worker.phase = Phase::Ready {
            heard,
            beat_by: beat_by.filter(|_| !silent),
            settle_by: settle_by.filter(|_| !settled),
            recycle_at: recycle_at.filter(|_| !old),
        };
        if settled {
            self.prove(seat, step);
        }
    }

    /// A silent worker loses its slot at once, so that its replacement need not wait for its end where surge allows.
    fn silent(&mut self, seat: Seat, silent: std::time::Duration, step: &mut Step<'_>) {
        let had = WorkerMemory { ending: Some(ExitReason::Heartbeat), ..*self.worker(seat) };
        step.notice(Notice::HeartbeatLost { worker: had.worker, silent });
        let signal = self.policy.terms(had.epoch).heartbeat.map_or(Signal::Kill, |heartbeat| heartbeat.signal);
        if signal == Signal::Kill {
            self.kill(seat, ExitReason::Heartbeat, step);
        } else {
            let ladder = WorkerMemory::last_words(&self.policy.stop.steps, step.now);
            self.doom(seat, Phase::Stopping(ladder), ExitReason::Heartbeat, step);
            step.signal(had.worker, signal);
        }
        self.fell(seat.slot, &had, End::Doomed, step);
    }

    fn climb(&mut self, seat: Seat, step: &mut Step<'_>) {
        let Self { policy, memory, .. } = self;
        let worker = &mut memory.slots[seat.slot].workers[seat.index];
        let (Phase::Draining(ladder) | Phase::Stopping(ladder)) = &mut worker.phase else { return };
        match ladder.due(&policy.stop.steps, step.now) {
            Rung::Wait => {}
            Rung::Repeat(rung) => step.signal(worker.worker, rung.signal),
            Rung::Next(index, rung) if rung.signal != Signal::Kill => {
                let (id, signal) = (worker.worker, rung.signal);
                if !matches!(worker.phase, Phase::Stopping(_)) {
                    worker.since = step.now;
                }
                worker.phase = Phase::Stopping(Ladder::enter(index, rung, step.now));
                step.notice(Notice::StopEscalated { worker: id, signal });
                step.signal(id, signal);
            }
            Rung::End if step.planted(Fault::LadderWithoutEnd) => {
                worker.phase = Phase::Stopping(Ladder { ends: None, ..*ladder });
            }
            Rung::Next(..) | Rung::End => {
                let reason = worker.ending.unwrap_or(ExitReason::Unasked);
                self.kill(seat, reason, step);
            }
        }
    }

    fn drain(&mut self, seat: Seat, reason: StopReason, step: &mut Step<'_>) {
        if !self.worker(seat).is_untold() {
            self.worker_mut(seat).role = Role::Leaver;
            return;
        }
        let first = match self.policy.stop.steps.first() {
            Some(first) if first.signal != Signal::Kill => self.first_step(*first, reason, step),
            Some(_) | None => return self.kill(seat, ExitReason::Asked(reason), step),
        };
        let ladder = Ladder::enter(0, &first, step.now);
        self.doom(seat, Phase::Draining(ladder), ExitReason::Asked(reason), step);
        let worker = self.worker(seat).worker;
        step.notice(Notice::WorkerDraining { worker, reason: DrainReason::Asked(reason) });
        step.ask(worker, first.signal, self.is_detached(seat));
    }

    fn kill(&mut self, seat: Seat, reason: ExitReason, step: &mut Step<'_>) {
        self.doom(seat, Phase::Killed, reason, step);
        let worker = self.worker(seat).worker;
        step.notice(Notice::StopEscalated { worker, signal: Signal::Kill });
        step.signal(worker, Signal::Kill);
    }

    /// The worker is made to end. The first reason stays. It has lost its slot, except when it had said by itself that
    /// it ends: then its exit status still decides what the slot does.
    fn doom(&mut self, seat: Seat, phase: Phase, reason: ExitReason, step: &Step<'_>) {
        let worker = self.worker_mut(seat);
        let before = worker.state();
        worker.phase = phase;
        if worker.state() != before {
            worker.since = step.now;
        }
        if reason != ExitReason::Unasked {
            worker.role = Role::Leaver;
            worker.ending.get_or_insert(reason);
        }
    }

    /// The worker loses its slot though nobody asked it to leave.
    fn lose(&mut self, seat: Seat, step: &mut Step<'_>) {
        let had = *self.worker(seat);
        self.worker_mut(seat).role = Role::Leaver;
        self.fell(seat.slot, &had, End::Doomed, step);
    }

    /// Takes the worker out of everything that knows it.
    fn take_out(&mut self, seat: Seat, step: &mut Step<'_>) -> WorkerMemory {
        let slot = self.slot_mut(seat.slot);
        let worker = slot.workers.remove(seat.index);
        if slot.workers.is_empty() {
            slot.since = step.now;
        }
        step.tools.places.remove(&worker.worker);
        step.tools.schedule.set(Timer::Worker(worker.worker), None);
        worker
    }

    fn gone(&mut self, seat: Seat, how: End, step: &mut Step<'_>) {
        let worker = self.take_out(seat, step);
        let status = match how {
            // It was ours to begin with; that the kernel killed another process of the worker once is beside it.
            End::Exited(ExitStatus::OutOfMemory) if worker.phase == Phase::Killed => {
                Some(ExitStatus::Signal(Some(Signal::Kill)))
            }
            End::Exited(status) => Some(status),
            End::Stillborn { .. } | End::Doomed => None,
        };
        self.write_exit(seat.slot, &worker, status, worker.reason(how), step);
        self.fell(seat.slot, &worker, how, step);
        if step.planted(Fault::CommandedStopCounts) && matches!(worker.ending, Some(ExitReason::Asked(_))) {
            let Self { policy, memory, .. } = self;
            memory.slots[seat.slot].fall(policy, None, how, step);
        }
    }

    fn write_exit(
        &mut self,
        slot: usize,
        worker: &WorkerMemory,
        status: Option<ExitStatus>,
        reason: ExitReason,
        step: &mut Step<'_>,
    ) {
        let now = step.now;
        self.slot_mut(slot).last_exit = Some(LastExit { status, reason, at: now });
        step.notice(Notice::WorkerExited {
            worker: worker.worker,
            service: self.id(),
            slot: slot_number(slot),
            generation: Generation(worker.generation),
            status,
            reason,
            ran: worker.started.map_or_else(Default::default, |started| now.since(started)),
        });
    }

    /// No such process was ever made, or none is left and nothing is known of its end: the slot is as if it had not
    /// been asked for, and nothing counts.
    fn forget(&mut self, seat: Seat, step: &mut Step<'_>) {
        if step.planted(Fault::LostForgotten) {
            return;
        }
        let worker = self.take_out(seat, step);
        if worker.phase == Phase::Spawning {
            self.forget_start(seat.slot, &worker);
        } else {
            let reason = worker.ending.unwrap_or(ExitReason::Unasked);
            self.write_exit(seat.slot, &worker, None, reason, step);
        }
        if worker.role == Role::Incumbent {
            self.inherit(seat.slot);
        }
    }

    /// The worker that was asked for never was one: a start into an empty slot is taken back.
    fn forget_start(&mut self, slot: usize, worker: &WorkerMemory) {
        if worker.role == Role::Incumbent && worker.trial.is_none() {
            self.slot_mut(slot).forget_start(worker.since);
        }
    }

    /// A successor takes the slot of a worker that is gone.
    fn inherit(&mut self, slot: usize) -> bool {
        let Some(seat) = self.in_role(slot, Role::Successor) else { return false };
        self.worker_mut(seat).role = Role::Incumbent;
        true
    }

    /// A worker ended, or is sure to end, and nobody had asked it to: `had` is the worker as it was before.
    fn fell(&mut self, slot: usize, had: &WorkerMemory, how: End, step: &mut Step<'_>) {
        if !self.is_up() || slot >= self.wanted() as usize || !had.holds_slot() {
            return;
        }
        if how == (End::Stillborn { transient: true }) {
            self.forget_start(slot, had);
        }
        if had.trial == Some(Trial::Rollout) && self.trial_failed(slot, had, how, step) {
            return;
        }
        match had.role {
            Role::Leaver => {}
            Role::Successor => {
                let Self { policy, memory, .. } = self;
                memory.slots[slot].replacement_failed(policy.backoff, step);
            }
            Role::Incumbent => {
                if !self.inherit(slot) {
                    self.rest(slot, had, how, step);
                }
            }
        }
    }

    /// The slot is empty: what it does next, and who hears of it. One that a rollout is about to renew anyway is
    /// renewed now.
    fn rest(&mut self, slot: usize, had: &WorkerMemory, how: End, step: &mut Step<'_>) {
        if self.is_renewed_next(slot) {
            self.reopen(slot, step);
            return;
        }
        let Self { policy, memory, .. } = self;
        memory.slots[slot].fall(policy, had.ready, how, step);
        memory.slots[slot].standing.tell(memory.service, slot_number(slot), step);
    }
}
