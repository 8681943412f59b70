//! What must hold, told from the outside: the oracle sees the events that go in and the actions that come out, keeps
//! its own small account of them, and never asks the fleet why.
//!
//! [`crew`] knows what operators want and when a slot may start; [`actions`] judges each action as it comes;
//! [`sweep`] judges what was left undone once an event is handled.

mod actions;
mod crew;
mod prologue;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::{
    Epoch, Event, ExitStatus, Generation, Haste, Pace, Readiness, Restart, ServiceId, ServiceView, Slot, Wish, WorkerId,
};

use crew::Crew;
use prologue::PROLOGUE;

/// What the oracle knows of one living worker, by what the fleet was told and what it said.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) service: ServiceId,
    pub(crate) slot: Slot,
    pub(crate) generation: Generation,
    pub(crate) epoch: Epoch,
    asked: Mono,
    exec: Option<Mono>,
    ready: Option<Mono>,
    heard: Mono,
    /// It owes beats: its service had a heartbeat when it became ready.
    owes_beats: bool,
    settle: Duration,
    extended: Mono,
    bowed: Option<Mono>,
    told: Option<Mono>,
    doomed: Option<Mono>,
    killed: Option<Mono>,
    /// It is the first of a version beside others that serve.
    first: bool,
    /// It was replaced by the rollout of this number, and need not be counted.
    apart: Option<u64>,
    /// What it was given to finish, in place of the first step of its stop.
    drain: Option<Duration>,
    /// Its stop went on to the next step.
    escalated: bool,
    /// It was asked to leave, and its first signal has yet to come.
    owed_word: bool,
    /// Its time to drain was cut: its service was stopped, or it was of one generation too many.
    cut: bool,
    /// A restart without grace met it.
    hasty: bool,
    /// Its slot has been taken from it.
    lost_slot: bool,
    /// How much time had been lost when its present wait began.
    lost: Duration,
}

impl Seen {
    /// The fleet asked for it at that moment, when so much time had been lost.
    fn asked(
        service: ServiceId,
        slot: Slot,
        generation: Generation,
        epoch: Epoch,
        (now, lost): (Mono, Duration),
    ) -> Self {
        Self {
            service,
            slot,
            generation,
            epoch,
            asked: now,
            exec: None,
            ready: None,
            heard: now,
            owes_beats: false,
            settle: Duration::ZERO,
            extended: Mono::default(),
            bowed: None,
            told: None,
            doomed: None,
            killed: None,
            first: false,
            apart: None,
            drain: None,
            escalated: false,
            owed_word: false,
            cut: false,
            hasty: false,
            lost_slot: false,
            lost,
        }
    }

    fn serves(&self) -> bool {
        self.ready.is_some() && self.bowed.is_none() && self.holds()
    }

    /// Whether it is what its slot has, as far as anybody outside can tell.
    fn holds(&self) -> bool {
        self.told.is_none() && self.killed.is_none() && self.doomed.is_none() && !self.lost_slot
    }

    fn is_leaving(&self) -> bool {
        self.told.is_some() || self.killed.is_some() || self.doomed.is_some()
    }
}

/// The account.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    now: Mono,
    last: Mono,
    crews: BTreeMap<ServiceId, Crew>,
    pub(crate) seen: BTreeMap<WorkerId, Seen>,
    newest: u64,
    halted: Option<Haste>,
    pub(crate) exited: bool,
    /// When everything that workers were owed was last granted anew.
    granted: Mono,
    /// The deadline that the fleet gave when it was last heard.
    promised: Option<Mono>,
    /// When the shell last came to a deadline so late that it may have stood still.
    tardy: Mono,
    lost: Duration,
    /// The services of which a worker left to drain apart by the event being handled.
    left_apart: Vec<ServiceId>,
    /// The services whose rollout was stopped by the event being handled.
    stopped: Vec<ServiceId>,
    handled: u64,
    /// The fleet was restored and only listens so far.
    pub(crate) listens: bool,
    /// The shell stood still before the next event.
    pub(crate) stood_still: bool,
    /// The event being handled is the first one after that.
    returns: bool,
    /// The last moment that the shell before this one handled.
    crashed: Mono,
    /// The versions that each service still needed when the last event was handled.
    needed: BTreeMap<ServiceId, BTreeSet<Epoch>>,
    /// The version that each service was to run then.
    epochs: BTreeMap<ServiceId, Epoch>,
}

/// A property that does not hold, in words.
pub(crate) type Verdict = Result<(), String>;

impl Oracle {
    /// Writes down what the fleet is about to be told.
    pub(crate) fn hear(&mut self, now: Mono, event: &Event) {
        self.last = self.now;
        self.now = now;
        if self.promised.is_some_and(|at| now.since(at) > Duration::from_millis(200)) {
            self.tardy = now;
        }
        self.returns = std::mem::take(&mut self.stood_still);
        self.stopped.clear();
        self.left_apart.clear();
        match event {
            Event::Tick | Event::Unsignalled { .. } | Event::Outgrown { .. } => {}
            Event::Define { .. }
            | Event::Remove { .. }
            | Event::Start { .. }
            | Event::Stop { .. }
            | Event::Scale { .. }
            | Event::Restart { .. }
            | Event::Pause { .. }
            | Event::Resume { .. }
            | Event::Undo { .. }
            | Event::Shutdown { .. } => self.hear_operator(event),
            Event::Spawned { worker } => self.hear_exec(*worker),
            Event::Ready { worker } => self.hear_ready(*worker),
            Event::Beat { worker } => {
                if let Some(seen) = self.seen.get_mut(worker) {
                    seen.heard = now;
                }
            }
            Event::Extend { worker, by } => {
                if let Some(seen) = self.seen.get_mut(worker).filter(|seen| seen.exec.is_some()) {
                    seen.extended = seen.extended.max(now.after(*by));
                }
            }
            Event::Stopping { worker } => self.hear_bow(*worker),
            Event::SpawnFailed { worker, transient } => self.hear_end(*worker, None, *transient),
            Event::Exited { worker, status } => self.hear_end(*worker, Some(*status), false),
            Event::Lost { worker } => self.hear_lost(*worker),
            Event::Adopt { worker, service, slot, generation, epoch } => {
                self.hear_adopted(*worker, (*service, *slot), *generation, *epoch);
            }
        }
    }

    fn hear_operator(&mut self, event: &Event) {
        let now = self.now;
        let stopped = match event {
            Event::Shutdown { .. } => Some(None),
            Event::Stop { service, .. } | Event::Remove { service } => Some(Some(*service)),
            _ => None,
        };
        if let Some(stopped) = stopped {
            let met = |seen: &&mut Seen| stopped.is_none_or(|service| service == seen.service);
            self.seen.values_mut().filter(met).for_each(|seen| seen.cut = true);
        }
        match event {
            Event::Shutdown { now: at_once } => {
                let haste = if *at_once { Haste::Now } else { Haste::Graceful };
                self.halted = Some(self.halted.map_or(haste, |before| before.max(haste)));
            }
            Event::Stop { service, now: at_once } => {
                if let Some(crew) = self.crews.get_mut(service) {
                    crew.stop(if *at_once { Haste::Now } else { Haste::Graceful });
                }
            }
            _ if self.halted.is_some() => {}
            Event::Define { service, policy, epoch } => match self.crews.get_mut(service) {
                Some(crew) => {
                    crew.undone = None;
                    crew.redefine(policy, now);
                    // Supervision that was switched off comes back with the next worker alone.
                    let owed = |seen: &Seen| policy.terms(seen.epoch).heartbeat.is_some();
                    let crew = self.seen.values_mut().filter(|seen| seen.service == *service);
                    crew.for_each(|seen| seen.owes_beats &= owed(seen));
                }
                None => {
                    self.crews.insert(*service, Crew::new(policy.clone(), *epoch));
                }
            },
            Event::Remove { service } => {
                if let Some(crew) = self.crews.get_mut(service) {
                    crew.wish = Wish::Remove;
                    crew.undone = None;
                    crew.free_all();
                }
            }
            Event::Start { service } => {
                if let Some(crew) = self.crews.get_mut(service).filter(|crew| crew.wish != Wish::Remove) {
                    crew.start();
                }
            }
            Event::Scale { service, workers } => {
                if let Some(crew) = self.crews.get_mut(service).filter(|crew| crew.wish != Wish::Remove) {
                    crew.scale = Some(*workers);
                    crew.forget_unwanted();
                }
            }
            Event::Restart { service, slot, pace, .. } => {
                if let Some(crew) = self.crews.get_mut(service).filter(|crew| crew.wish != Wish::Remove) {
                    crew.start();
                    crew.restart(*slot, *pace);
                    if *pace == Pace::AtOnce {
                        let wanted = crew.wanted();
                        let met = |seen: &&mut Seen| {
                            seen.service == *service
                                && seen.slot.0 <= wanted
                                && slot.is_none_or(|slot| slot == seen.slot)
                        };
                        self.seen.values_mut().filter(met).for_each(|seen| seen.hasty = true);
                    }
                }
            }
            _ => {}
        }
    }

    /// A rollout is undone: what its view says that it returns to is a promise.
    pub(crate) fn hear_undo(&mut self, service: ServiceId, view: Option<&ServiceView>) {
        let up = self.is_up(service);
        let Some(crew) = self.crews.get_mut(&service).filter(|_| up) else { return };
        // Where it is the same version again, there is nothing to tell the two apart by; and without a rollout what an
        // undo leads to has to prove itself first.
        let rollout = view.and_then(|view| view.rollout.map(|rollout| (rollout, view.epoch)));
        crew.undone = rollout.and_then(|(rollout, epoch)| rollout.fallback.filter(|back| *back != epoch));
    }

    fn hear_exec(&mut self, worker: WorkerId) {
        let (now, lost) = (self.now, self.lost);
        let Some(seen) = self.seen.get_mut(&worker) else { return };
        if seen.exec.is_none() {
            seen.exec = Some(now);
            if seen.holds() {
                seen.lost = lost;
            }
        }
        let exec =
            self.crews.get(&seen.service).is_some_and(|crew| crew.policy.terms(seen.epoch).ready == Readiness::Exec);
        let ready = exec && seen.slot != PROLOGUE;
        if ready {
            self.hear_ready(worker);
        }
    }

    fn hear_ready(&mut self, worker: WorkerId) {
        let now = self.now;
        let Some(seen) = self.seen.get_mut(&worker) else { return };
        if seen.ready.is_some() || seen.bowed.is_some() || !seen.holds() {
            return;
        }
        seen.exec.get_or_insert(now);
        seen.ready = Some(now);
        seen.heard = now;
        if let Some(crew) = self.crews.get(&seen.service) {
            seen.owes_beats = crew.policy.terms(seen.epoch).heartbeat.is_some();
            let rollout = crew.policy.rollout;
            seen.settle = if seen.first { rollout.settle.max(rollout.prove) } else { rollout.settle };
        }
    }

    fn hear_bow(&mut self, worker: WorkerId) {
        let (now, lost) = (self.now, self.lost);
        let Some(seen) = self.seen.get_mut(&worker) else { return };
        if seen.bowed.is_some() || !seen.holds() {
            return;
        }
        seen.exec.get_or_insert(now);
        seen.bowed = Some(now);
        seen.lost = lost;
        let always = self.crews.get(&seen.service).is_some_and(|crew| crew.policy.restart == Restart::Always);
        if always {
            self.falls(worker, None, false);
        }
    }

    fn hear_end(&mut self, worker: WorkerId, status: Option<ExitStatus>, transient: bool) {
        if let Some(seen) = self.seen.get(&worker).filter(|seen| seen.slot == PROLOGUE).cloned() {
            self.hear_prologue_end(&seen, status, transient);
            self.seen.remove(&worker);
            return;
        }
        let unasked = self.seen.get(&worker).is_some_and(Seen::holds);
        if unasked {
            self.falls(worker, Some(status), transient);
        }
        let Some(seen) = self.seen.remove(&worker) else { return };
        // It had said that it ends and was helped along: whether that counts depends on what else was decided.
        if !unasked
            && !seen.lost_slot
            && seen.bowed.is_some()
            && let Some(crew) = self.crews.get_mut(&seen.service)
        {
            crew.track(seen.slot).free();
        }
    }

    fn hear_lost(&mut self, worker: WorkerId) {
        let Some(seen) = self.seen.remove(&worker) else { return };
        if let Some(crew) = self.crews.get_mut(&seen.service) {
            crew.track(seen.slot).forget(seen.asked);
        }
    }

    fn hear_adopted(
        &mut self,
        worker: WorkerId,
        (service, slot): (ServiceId, Slot),
        generation: Generation,
        epoch: Epoch,
    ) {
        let crew = self.crews.get(&service);
        let mut seen = Seen::asked(service, slot, generation, epoch, (self.now, self.lost));
        seen.exec = Some(self.now);
        // Nobody knows which command it is: its outcome means nothing.
        seen.lost_slot = slot == PROLOGUE;
        if slot != PROLOGUE {
            seen.ready = Some(self.now);
            seen.owes_beats = crew.is_some_and(|crew| crew.policy.terms(epoch).heartbeat.is_some());
        }
        self.newest = self.newest.max(worker.0);
        if let Some(crew) = self.crews.get_mut(&service) {
            if slot != PROLOGUE {
                crew.established.insert(epoch);
            }
            let track = crew.track(slot);
            track.generation = track.generation.max(generation.0);
        }
        self.seen.insert(worker, seen);
    }

    /// The worker ends though nobody asked: the slot's account is charged where it has nothing else.
    fn falls(&mut self, worker: WorkerId, status: Option<Option<ExitStatus>>, transient: bool) {
        let now = self.now;
        let Some(seen) = self.seen.get_mut(&worker) else { return };
        seen.lost_slot = true;
        let seen = seen.clone();
        let others =
            self.seen.values().any(|other| other.service == seen.service && other.slot == seen.slot && other.holds());
        let up = self.is_up(seen.service);
        let Some(crew) = self.crews.get_mut(&seen.service) else { return };
        if up && !others && seen.slot.0 <= crew.wanted() {
            // One that may be on trial for a rollout that is paused already: its slot goes back to what serves.
            let proved = seen.ready.is_some_and(|ready| now.since(ready) >= seen.settle);
            if crew.paused && seen.asked >= crew.rolls_since && !proved {
                return crew.track(seen.slot).free();
            }
            crew.fall(&seen, now, status, transient);
        }
    }

    /// Nothing of the fleet's memory was left: what it knows comes from the inventory and the configuration.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
        for crew in self.crews.values_mut() {
            crew.scale = None;
            crew.wish = Wish::Run;
            crew.released = true;
            crew.rolling = false;
            crew.detached = false;
            crew.paused = false;
            crew.undone = None;
            crew.prologue.lose_sight();
            crew.forget();
        }
    }

    /// The restored fleet acts again: what its workers are owed was granted anew.
    pub(crate) fn acts(&mut self) {
        self.listens = false;
        self.lost += self.now.since(self.crashed);
        self.granted = self.now;
    }

    /// A fleet was restored: states before it are told by nobody.
    pub(crate) fn restored(&mut self, states: impl Iterator<Item = (ServiceId, evercrew_core::fleet::ServiceState)>) {
        self.crashed = self.now;
        self.needed.clear();
        self.epochs.clear();
        for (service, state) in states {
            if let Some(crew) = self.crews.get_mut(&service) {
                crew.state = state;
            }
        }
    }

    fn is_up(&self, service: ServiceId) -> bool {
        self.halted.is_none() && self.crews.get(&service).is_some_and(|crew| crew.wish == Wish::Run)
    }

    fn of(&self, service: ServiceId) -> impl Iterator<Item = &Seen> {
        self.seen.values().filter(move |seen| seen.service == service)
    }

    fn living(&self, service: ServiceId) -> u32 {
        self.of(service).count() as u32
    }

    /// Those of them that count as processes of the service.
    fn counted(&self, service: ServiceId) -> u32 {
        self.of(service).filter(|seen| seen.apart.is_none() && seen.slot != PROLOGUE).count() as u32
    }

    /// Wanted slots in which a worker serves.
    fn serving(&self, service: ServiceId, crew: &Crew) -> u32 {
        let serves = |slot: u32| self.of(service).any(|seen| seen.slot.0 == slot && seen.serves());
        (1..=crew.wanted()).filter(|slot| serves(*slot)).count() as u32
    }
}
