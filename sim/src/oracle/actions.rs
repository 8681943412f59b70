//! Each action, judged as it comes.

use std::time::Duration;

use evercrew_core::fleet::{
    Action, DrainReason, Epoch, Event, Fleet, Generation, Haste, Notice, Scope, ServiceId, ServiceState, Slot,
    StopReason, Wish, WorkerId,
};
use evercrew_core::{Signal, Word};

use super::crew::Crew;
use super::prologue::PROLOGUE;
use super::{Oracle, Seen, Verdict};

fn demand(holds: bool, message: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(message()) }
}

impl Oracle {
    /// Judges what the fleet answered to `event`.
    pub(crate) fn judge(&mut self, event: &Event, out: &[Action], fleet: &Fleet) -> Verdict {
        self.note_proofs();
        for action in out {
            demand(!self.exited, || format!("after Exit: {action:?}"))?;
            match action {
                Action::Spawn { worker, service, slot, generation, epoch } => {
                    self.judge_need(event, *worker, *service, *epoch)?;
                    self.judge_spawn(*worker, (*service, *slot), *generation, *epoch, fleet)?;
                }
                Action::Prepare { worker, service, generation, epoch, command } => {
                    self.judge_prepare(*worker, *service, (*generation, *epoch, *command), fleet)?;
                }
                Action::Signal { worker, signal, scope, word } => {
                    self.judge_word(*worker, *signal, *word)?;
                    self.judge_signal(*worker, *signal, *scope)?;
                }
                Action::Notice(notice) => self.judge_notice(event, notice)?,
                Action::Exit => {
                    demand(self.halted.is_some(), || "Exit without Shutdown".into())?;
                    demand(self.seen.is_empty(), || format!("Exit with {} living workers", self.seen.len()))?;
                    self.exited = true;
                }
            }
        }
        self.promised = fleet.deadline().map(|(at, _)| at);
        self.epochs = fleet.services().iter().map(|view| (view.service, view.epoch)).collect();
        self.needed = fleet.services().iter().map(|view| (view.service, fleet.versions(view.service))).collect();
        self.sweep(fleet)
    }

    /// A policy alone replaces nobody: only another version of the command does.
    fn judge_cause(&self, event: &Event, service: ServiceId) -> Verdict {
        match (event, self.epochs.get(&service)) {
            (Event::Define { epoch, .. }, Some(before)) => {
                demand(before != epoch, || format!("a rollout of {service:?}, whose command is as it was"))
            }
            _ => Ok(()),
        }
    }

    /// What is started was needed before, or the event asks for it: its program may be gone otherwise.
    fn judge_need(&self, event: &Event, worker: WorkerId, service: ServiceId, epoch: Epoch) -> Verdict {
        let asked = match event {
            Event::Define { epoch: asked, .. } | Event::Restart { epoch: asked, .. } => *asked == epoch,
            _ => false,
        };
        let Some(needed) = self.needed.get(&service).filter(|_| !asked) else { return Ok(()) };
        demand(needed.contains(&epoch), || format!("{worker:?} runs {epoch:?}, of which only {needed:?} were needed"))
    }

    pub(super) fn crew(&self, service: ServiceId) -> Result<&Crew, String> {
        self.crews.get(&service).ok_or_else(|| format!("{service:?} is not known"))
    }

    fn judge_spawn(
        &mut self,
        worker: WorkerId,
        (service, slot): (ServiceId, Slot),
        generation: Generation,
        epoch: Epoch,
        fleet: &Fleet,
    ) -> Verdict {
        let now = self.now;
        demand(self.halted.is_none(), || format!("{worker:?} is started after Shutdown"))?;
        demand(worker.0 > self.newest, || format!("the number of {worker:?} was given before"))?;
        self.newest = worker.0;
        let crew = self.crew(service)?;
        demand(crew.wish == Wish::Run, || format!("{worker:?} of {service:?} is started though it is stopped"))?;
        let (wanted, most, living) = (crew.wanted(), crew.most(), self.counted(service));
        let undone = crew.undone.is_some_and(|back| back != epoch);
        demand(!undone, || format!("{worker:?} runs {epoch:?}, which was undone"))?;
        demand((1..=wanted).contains(&slot.0), || format!("{worker:?} is in {slot:?} of {wanted} wanted"))?;
        demand(living < most, || format!("{worker:?} is one of {} processes, {most} allowed", living + 1))?;
        self.judge_dependencies(service, crew, fleet)?;
        self.judge_version(worker, (service, slot), epoch)?;
        self.judge_prepared(worker, (service, slot), epoch)?;
        self.judge_slot(worker, (service, slot))?;
        let beside = self.of(service).any(|other| other.serves() && other.epoch != epoch);
        let first = beside && !self.crew(service)?.established.contains(&epoch);
        if !beside {
            self.crew_mut(service).established.insert(epoch);
        }
        let crew = self.crew_mut(service);
        crew.released = true;
        let track = crew.track(slot);
        demand(generation.0 > track.generation, || format!("{slot:?} has had {generation:?} already"))?;
        track.generation = generation.0;
        let seen = Seen { first, ..Seen::asked(service, slot, generation, epoch, (now, self.lost)) };
        self.seen.insert(worker, seen);
        Ok(())
    }

    pub(super) fn crew_mut(&mut self, service: ServiceId) -> &mut Crew {
        self.crews.get_mut(&service).expect("judged before")
    }

    pub(super) fn judge_dependencies(&self, service: ServiceId, crew: &Crew, fleet: &Fleet) -> Verdict {
        if crew.released {
            return Ok(());
        }
        for before in &crew.policy.after {
            let state = fleet.service(*before).map(|view| view.state);
            let finished = state == Some(ServiceState::Finished);
            let serves = self.of(*before).any(Seen::serves);
            demand(finished || serves, || format!("{service:?} starts before {before:?}, which is {state:?}"))?;
        }
        Ok(())
    }

    /// A version that has shown nothing yet gets one slot beside those that serve, and that only by a rollout.
    fn judge_version(&self, worker: WorkerId, (service, slot): (ServiceId, Slot), epoch: Epoch) -> Verdict {
        let crew = self.crew(service)?;
        let serves = self.of(service).any(|other| other.serves() && other.epoch != epoch);
        if crew.established.contains(&epoch) || !serves {
            return Ok(());
        }
        demand(crew.rolling, || format!("{worker:?} runs {epoch:?}, which never worked, without a rollout"))?;
        let another = self.of(service).any(|other| {
            other.slot != slot
                && other.slot != PROLOGUE
                && other.epoch == epoch
                && other.holds()
                && other.asked >= crew.rolls_since
        });
        demand(!another, || format!("{worker:?} runs {epoch:?} before its canary has proved itself"))
    }

    /// A slot holds one worker; a second one only replaces it.
    fn judge_slot(&mut self, worker: WorkerId, (service, slot): (ServiceId, Slot)) -> Verdict {
        let now = self.now;
        let mut held = self.of(service).filter(|seen| seen.slot == slot && seen.holds());
        let (first, second) = (held.next().cloned(), held.next().cloned());
        drop(held);
        let crew = self.crew_mut(service);
        demand(second.is_none(), || format!("{worker:?} is the third in {slot:?}"))?;
        match first {
            Some(first) => {
                demand(!crew.paused, || format!("{worker:?} replaces the worker of {slot:?} though all is paused"))?;
                let old = crew.policy.recycle.age.is_some_and(|age| {
                    let youngest = age.mul_f64(1.0 - crew.policy.recycle.jitter.clamp(0.0, 1.0));
                    first.exec.is_some_and(|exec| now.since(exec) + Duration::from_micros(1) >= youngest)
                });
                demand(crew.rolling || old, || format!("{worker:?} is started beside the worker of {slot:?}"))
            }
            None => {
                let rolling = crew.rolling;
                let forbidden = crew.track(slot).forbids(now, rolling);
                demand(forbidden.is_none(), || format!("{worker:?} in {slot:?}: {}", forbidden.unwrap_or_default()))?;
                let over = if crew.rolling { None } else { crew.note_start(slot, now) };
                demand(over.is_none(), || format!("{worker:?} in {slot:?}: {}", over.unwrap_or_default()))
            }
        }
    }

    /// Who is asked to leave is asked by a word first; whatever follows is a signal.
    fn judge_word(&mut self, worker: WorkerId, signal: Signal, word: Option<Word>) -> Verdict {
        let Some(seen) = self.seen.get_mut(&worker) else { return Ok(()) };
        let owed = std::mem::take(&mut seen.owed_word) && signal != Signal::Kill;
        demand(!owed || word.is_some(), || format!("{worker:?} is asked to leave without a word"))?;
        demand(word.is_none() || !seen.escalated, || format!("{word:?} to {worker:?}, which has not left when asked"))
    }

    fn judge_signal(&mut self, worker: WorkerId, signal: Signal, scope: Scope) -> Verdict {
        let seen = self.seen.get(&worker).ok_or_else(|| format!("{signal} to {worker:?}, which does not live"))?;
        demand(seen.is_leaving() || seen.bowed.is_some(), || format!("{signal} to {worker:?} without a reason"))?;
        let right = if signal == Signal::Kill { Scope::Group } else { Scope::Process };
        demand(scope == right, || format!("{signal} to the {scope:?} of {worker:?}"))?;
        demand(signal != Signal::Kill || seen.killed.is_some(), || format!("{worker:?} is killed without a notice"))
    }

    fn judge_notice(&mut self, event: &Event, notice: &Notice) -> Verdict {
        let now = self.now;
        match notice {
            Notice::WorkerDraining { worker, reason: DrainReason::Asked(reason) } => {
                if let Some(seen) = self.seen.get_mut(worker) {
                    // A command before the start has no pipe: it is no program that takes words.
                    seen.owed_word = seen.slot != PROLOGUE;
                }
                self.judge_leave(event, *worker, *reason)
            }
            Notice::ReadyTimedOut { worker, .. } => self.judge_ready_timeout(*worker),
            Notice::HeartbeatLost { worker, .. } => self.judge_heartbeat(*worker),
            Notice::StopEscalated { worker, signal: Signal::Kill } => self.judge_kill(*worker),
            Notice::StopEscalated { worker, .. } => {
                let seen = self.seen.get_mut(worker).ok_or_else(|| format!("{worker:?} does not live"))?;
                demand(seen.is_leaving() || seen.bowed.is_some(), || format!("{worker:?} was not told to stop"))?;
                seen.told.get_or_insert(now);
                seen.escalated = true;
                Ok(())
            }
            Notice::ServiceChanged { service, from, to } => {
                let Some(crew) = self.crews.get_mut(service) else { return Ok(()) };
                let before = std::mem::replace(&mut crew.state, *to);
                demand(before == *from, || format!("{service:?} was {before:?}, not {from:?}"))
            }
            Notice::RolloutStarted { service, epoch, .. } => {
                self.judge_cause(event, *service)?;
                let restarted = matches!(event, Event::Restart { .. });
                let there = self.of(*service).any(|seen| seen.epoch == *epoch && seen.slot != PROLOGUE);
                let crew = self.crew_mut(*service);
                crew.detached &= restarted;
                crew.rolls(now);
                crew.prologue.rolls(event, Some(*epoch), &crew.policy.clone());
                if there && !restarted {
                    crew.prologue.lose_sight();
                }
                Ok(())
            }
            Notice::RolloutPaused { service, .. } | Notice::RolloutResumed { service } => {
                let crew = self.crew_mut(*service);
                crew.paused = matches!(notice, Notice::RolloutPaused { .. });
                crew.free_all();
                demand(crew.rolling, || format!("pause of no rollout of {service:?}"))
            }
            Notice::RolloutProgress { service, done, .. } => {
                let crew = self.crew_mut(*service);
                if *done == 0 {
                    crew.rolls_since = now;
                }
                if matches!(event, Event::Restart { .. } | Event::Define { .. }) {
                    crew.prologue.rolls(event, None, &crew.policy.clone());
                }
                crew.free_all();
                demand(crew.rolling, || format!("progress of no rollout of {service:?}"))
            }
            Notice::RolloutFinished { service } | Notice::RolloutStopped { service, .. } => {
                let stopped = matches!(notice, Notice::RolloutStopped { .. });
                if stopped {
                    self.stopped.push(*service);
                } else {
                    self.judge_undone(*service)?;
                }
                let crew = self.crew_mut(*service);
                crew.prologue.lose_sight();
                crew.free_all();
                crew.detached = false;
                crew.paused = false;
                // What served before may fail as well; then it is nobody's promise.
                let failed = matches!(notice, Notice::RolloutStopped { worker: Some(_), .. });
                crew.undone = crew.undone.filter(|_| !failed);
                demand(std::mem::take(&mut crew.rolling), || format!("end of no rollout of {service:?}"))
            }
            Notice::WasAway { .. } => {
                self.granted = now;
                self.lost += now.since(self.last);
                // A shell that sleeps no longer than it was told is never so late.
                demand(self.returns, || "the fleet let its shell sleep past a deadline".into())
            }
            Notice::WorkerSpawned { .. }
            | Notice::WorkerReady { .. }
            | Notice::WorkerDraining { reason: DrainReason::Itself, .. }
            | Notice::WorkerExited { .. }
            | Notice::Prepared { .. }
            | Notice::PrologueFailed { .. }
            | Notice::SlotBackoff { .. }
            | Notice::SlotFailed { .. } => Ok(()),
        }
    }

    fn judge_leave(&mut self, event: &Event, worker: WorkerId, reason: StopReason) -> Verdict {
        let seen = self.seen.get(&worker).cloned().ok_or_else(|| format!("{worker:?} does not live and drains"))?;
        let what = || format!("{worker:?} of {:?} {:?} leaves for {reason:?}", seen.service, seen.slot);
        demand(!seen.is_leaving(), || format!("{}, though it was told before", what()))?;
        let known = self.crews.get(&seen.service);
        match (reason, known) {
            // A service that nobody knows any more.
            (_, None) => {}
            (StopReason::Stop, Some(crew)) => {
                demand(!self.is_up(seen.service), || format!("{}, which is up", what()))?;
                if self.halted == Some(Haste::Graceful) && crew.wish == Wish::Run && seen.slot != PROLOGUE {
                    let followers = self.followers_living(seen.service);
                    demand(followers == 0, || format!("{} before {followers} workers that need it", what()))?;
                }
            }
            (StopReason::Scale, Some(crew)) => {
                demand(seen.slot.0 > crew.wanted(), || format!("{} of {} wanted", what(), crew.wanted()))?;
            }
            (StopReason::RolledBack, Some(_)) => {
                let ended = self.stopped.contains(&seen.service) || matches!(event, Event::Adopt { .. });
                demand(ended, || format!("{} without one that was stopped", what()))?;
                let other = self.of(seen.service).any(|other| other.slot == seen.slot && other.holds());
                demand(!seen.serves() || other, || format!("{} and served alone", what()))?;
            }
            (StopReason::Rollout | StopReason::Recycle, Some(crew)) => {
                if seen.serves() {
                    let replaced = self.is_replaced(worker, &seen);
                    let spare = crew.policy.rollout.unavailable > 0
                        && self.serving(seen.service, crew)
                            > crew.wanted().saturating_sub(crew.policy.rollout.unavailable);
                    demand(replaced || spare, || format!("{} without a replacement that has settled", what()))?;
                }
            }
        }
        self.note_drain(worker, &seen, reason);
        if let Some(seen) = self.seen.get_mut(&worker) {
            seen.told = Some(self.now);
            seen.lost = self.lost;
        }
        Ok(())
    }

    /// What the worker has to finish, and whether it counts meanwhile.
    fn note_drain(&mut self, worker: WorkerId, seen: &Seen, reason: StopReason) {
        let Some(crew) = self.crews.get(&seen.service) else { return };
        if !matches!(reason, StopReason::Rollout | StopReason::Recycle) || seen.slot == PROLOGUE {
            return;
        }
        let newer = self.of(seen.service).any(|other| {
            let settled = other.ready.is_some_and(|ready| self.now.since(ready) >= other.settle);
            other.slot == seen.slot && other.generation > seen.generation && other.serves() && settled
        });
        let apart = reason == StopReason::Rollout && crew.most_draining() > 0 && seen.serves() && newer;
        let (drain, rollouts) = (crew.policy.rollout.drain, crew.rollouts);
        if let Some(seen) = self.seen.get_mut(&worker) {
            seen.drain = drain;
            seen.apart = apart.then_some(rollouts);
        }
        if apart {
            self.left_apart.push(seen.service);
            self.cut_surplus(seen.service);
        }
    }

    /// Generations above those allowed are ended from here on.
    fn cut_surplus(&mut self, service: ServiceId) {
        let generations = self.draining(service);
        let most = self.crews.get(&service).map_or(0, Crew::most_draining).max(1);
        let surplus = &generations[..generations.len().saturating_sub(most)];
        let own = self.seen.values_mut().filter(|seen| seen.service == service);
        let cut = own.filter(|seen| seen.apart.is_some_and(|apart| surplus.contains(&apart)));
        cut.for_each(|seen| seen.cut = true);
    }

    /// Generations that drain apart, oldest first.
    pub(super) fn draining(&self, service: ServiceId) -> Vec<u64> {
        let drains = self.of(service).filter(|seen| !seen.escalated && seen.killed.is_none());
        let mut generations: Vec<u64> = drains.filter_map(|seen| seen.apart).collect();
        generations.sort_unstable();
        generations.dedup();
        generations
    }

    /// An undone rollout has led back.
    fn judge_undone(&self, service: ServiceId) -> Verdict {
        let crew = self.crew(service)?;
        let Some(back) = crew.undone else { return Ok(()) };
        let other = self.of(service).find(|seen| seen.holds() && seen.slot.0 <= crew.wanted() && seen.epoch != back);
        demand(other.is_none(), || format!("undone to {back:?}, and {other:?} stays"))
    }

    /// Whether its slot has another worker that serves and has settled, or had it before.
    fn is_replaced(&self, worker: WorkerId, seen: &Seen) -> bool {
        self.seen.iter().any(|(id, other)| {
            let settled = other.ready.is_some_and(|ready| self.now.since(ready) >= other.settle);
            let older = other.generation < seen.generation;
            *id != worker
                && other.service == seen.service
                && other.slot == seen.slot
                && other.serves()
                && (settled || older)
        })
    }

    pub(super) fn followers_living(&self, service: ServiceId) -> u32 {
        let followers = self.crews.iter().filter(|(_, crew)| crew.policy.after.contains(&service));
        followers.map(|(follower, _)| self.living(*follower)).sum()
    }

    fn judge_ready_timeout(&mut self, worker: WorkerId) -> Verdict {
        let now = self.now;
        let seen = self.seen.get(&worker).cloned().ok_or_else(|| format!("{worker:?} does not live"))?;
        let timeout = self.crew(seen.service)?.policy.ready_timeout;
        let exec = seen.exec.ok_or_else(|| format!("{worker:?} was not even exec'ed"))?;
        demand(seen.ready.is_none(), || format!("{worker:?} is ready and timed out"))?;
        let extended = seen.extended > now && self.crew(seen.service)?.changed < exec;
        demand(now.since(exec) >= timeout && !extended, || format!("{worker:?} had only {:?}", now.since(exec)))?;
        demand(self.granted < now, || format!("{worker:?} timed out in the moment of a return"))?;
        self.dooms(worker);
        Ok(())
    }

    fn judge_heartbeat(&mut self, worker: WorkerId) -> Verdict {
        let now = self.now;
        let seen = self.seen.get(&worker).cloned().ok_or_else(|| format!("{worker:?} does not live"))?;
        let heartbeat = self.crew(seen.service)?.policy.terms(seen.epoch).heartbeat.ok_or("it owes no beats")?;
        let silent = now.since(seen.heard.max(self.granted));
        demand(seen.serves(), || format!("{worker:?} owes no beats"))?;
        demand(silent >= heartbeat.timeout, || format!("{worker:?} was silent for {silent:?} only"))?;
        let again = self.tardy.after((heartbeat.timeout / 4).min(Duration::from_secs(1)));
        let changed = self.crew(seen.service)?.changed >= self.tardy;
        demand(again <= now || changed, || format!("{worker:?} had {:?} to speak", now.since(self.tardy)))?;
        self.dooms(worker);
        Ok(())
    }

    fn dooms(&mut self, worker: WorkerId) {
        let (now, lost) = (self.now, self.lost);
        if self.seen.get(&worker).is_some_and(|seen| seen.slot != PROLOGUE) {
            self.falls(worker, None, false);
        }
        if let Some(seen) = self.seen.get_mut(&worker) {
            seen.doomed = Some(now);
            seen.lost = lost;
        }
    }

    fn judge_kill(&mut self, worker: WorkerId) -> Verdict {
        let now = self.now;
        let seen = self.seen.get(&worker).cloned().ok_or_else(|| format!("{worker:?} does not live"))?;
        let crew = self.crews.get(&seen.service);
        let at_once = self.halted == Some(Haste::Now)
            || crew.is_none_or(|crew| matches!(crew.wish, Wish::Stop(Haste::Now) | Wish::Remove));
        if !at_once && seen.doomed.is_none() && !seen.hasty {
            let began = seen.told.or(seen.bowed).ok_or_else(|| format!("{worker:?} is killed for no reason"))?;
            let ladder = self.ladder(&seen).unwrap_or_default();
            let changed = crew.is_some_and(|crew| crew.changed >= began);
            let early = now.since(began) < ladder && !changed && seen.bowed.is_none() && !seen.cut;
            demand(!early, || format!("{worker:?} is killed {:?} into a ladder of {ladder:?}", now.since(began)))?;
        }
        if let Some(seen) = self.seen.get_mut(&worker) {
            seen.killed = Some(now);
        }
        Ok(())
    }

    /// How long the ladder is by which the worker is stopped; `None` for ever.
    pub(super) fn ladder(&self, seen: &Seen) -> Option<Duration> {
        let steps = &self.crews.get(&seen.service)?.policy.stop.steps;
        if seen.doomed.is_some() {
            return Some(steps.last()?.lasting?.min(Duration::from_secs(30)));
        }
        let first = steps.first().map(|first| seen.drain.or(first.lasting));
        first.into_iter().chain(steps.iter().skip(1).map(|step| step.lasting)).sum()
    }

    /// Versions whose worker has been ready for its settling time.
    fn note_proofs(&mut self) {
        for seen in self.seen.values() {
            let settled = seen.ready.is_some_and(|ready| self.now.since(ready) >= seen.settle);
            if settled && let Some(crew) = self.crews.get_mut(&seen.service) {
                crew.established.insert(seen.epoch);
            }
        }
    }
}
