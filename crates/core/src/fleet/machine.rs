//! The fleet itself: one event in, actions out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::fault::Fault;
use super::jitter::Jitter;
use super::phase::Input;
use super::prologue::PROLOGUE;
use super::reconcile::Around;
use super::schedule::{Schedule, Timer};
use super::service::Service;
use super::step::{Step, Tools};
use super::{Action, Event, Haste, Notice, ServiceId, Slot, Why, Wish, WorkerId};
use crate::Mono;
use crate::fault::Faults;

/// A deadline served later than this means that the shell itself was stopped, or its whole machine.
const AWAY: Duration = Duration::from_secs(1);
/// A deadline that is served this late is not served by a process that ran all the time.
const LATE: Duration = Duration::from_millis(200);
/// After a restore nothing is started or escalated for at most this long, so that the inventory is complete first.
const HOLD: Duration = Duration::from_millis(20);

/// Every service, its slots and their workers.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use evercrew_core::fleet::{Action, Epoch, Event, Fleet, Policy, ServiceId, WorkerId};
/// use evercrew_core::Mono;
///
/// let mut fleet = Fleet::new(1);
/// let mut out = Vec::new();
/// let define = Event::Define { service: ServiceId(1), policy: Policy::basic(1), epoch: Epoch(1) };
/// fleet.handle(Mono::from_nanos(0), define, &mut out);
/// let asked = out.iter().any(|action| matches!(action, Action::Spawn { worker: WorkerId(1), .. }));
/// assert!(asked);
/// ```
#[derive(Debug)]
pub struct Fleet {
    pub(super) services: BTreeMap<ServiceId, Service>,
    /// Services by one that they come after.
    pub(super) followers: BTreeMap<ServiceId, BTreeSet<ServiceId>>,
    /// Services that changed since they were last reconciled.
    pub(super) dirty: BTreeSet<ServiceId>,
    pub(super) tools: Tools,
    /// When the last event was handled; time never goes back.
    pub(super) now: Mono,
    pub(super) shutdown: Option<Haste>,
    pub(super) hold: Hold,
    /// `Action::Exit` was given: nothing follows.
    pub(super) ended: bool,
}

/// After a restore the fleet only listens until the inventory is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It acts.
    None,
    /// Restored; nothing was heard yet.
    Restored,
    /// It hears the inventory.
    Until(Mono),
}

impl Fleet {
    /// A fleet that knows nothing. `seed` makes the spread of its waiting times.
    pub fn new(seed: u64) -> Self {
        Self {
            services: BTreeMap::new(),
            followers: BTreeMap::new(),
            dirty: BTreeSet::new(),
            tools: Tools {
                now: Mono::default(),
                schedule: Schedule::default(),
                jitter: Jitter::new(seed),
                next_worker: 1,
                places: BTreeMap::new(),
                faults: Faults::default(),
            },
            now: Mono::default(),
            shutdown: None,
            hold: Hold::None,
            ended: false,
        }
    }

    /// Takes in what was observed at `now` and adds to `out` what has to be done, in order.
    ///
    /// A moment before the last one counts as the last one. Unknown services and workers are ignored: late news of
    /// what is gone. After [`Action::Exit`] nothing follows any event.
    pub fn handle(&mut self, now: Mono, event: Event, out: &mut Vec<Action>) {
        if self.ended {
            return;
        }
        let last = self.now;
        self.now = self.now.max(now);
        self.tools.now = self.now;
        self.wake(last, &event, out);
        self.observe(event, out);
        if self.hold == Hold::None {
            self.act(out);
        }
    }

    /// The earliest moment at which the fleet has to be told that time passed, and what for. After [`handle`] it is
    /// later than the moment handled.
    ///
    /// [`handle`]: Self::handle
    pub fn deadline(&self) -> Option<(Mono, Why)> {
        let first = self.services.keys().next().copied().unwrap_or(ServiceId(0));
        match self.hold {
            Hold::None if self.tools.faults.has(Fault::LatestDeadline) => self.tools.schedule.last(),
            Hold::None => self.tools.schedule.first(),
            Hold::Restored => Some((self.now, Why::Start(first))),
            Hold::Until(until) => Some((until, Why::Start(first))),
        }
    }

    /// Every deadline, earliest first, and what it is for.
    pub fn timers(&self) -> impl Iterator<Item = (Mono, Why)> + '_ {
        self.tools.schedule.all()
    }

    /// Whether the engine is being stopped.
    pub fn stopping(&self) -> bool {
        self.shutdown.is_some()
    }

    /// Ends the hold after a restore, and notices when the shell was away.
    fn wake(&mut self, last: Mono, event: &Event, out: &mut Vec<Action>) {
        match (self.hold, event) {
            (Hold::None, _) => self.notice_absence(last, out),
            (Hold::Restored, Event::Tick | Event::Shutdown { .. }) => self.end_hold(out),
            (Hold::Restored, _) => self.hold = Hold::Until(self.now.after(HOLD)),
            (Hold::Until(_), Event::Tick | Event::Shutdown { .. }) => self.end_hold(out),
            (Hold::Until(until), _) if until <= self.now => self.end_hold(out),
            (Hold::Until(_), _) => {}
        }
    }

    /// A deadline that is served more than a second late: the process or its machine stood still. What every worker
    /// was owed is granted anew, as if no time had passed since the last event. Less than that may be a busy machine;
    /// it may also be the end of a standstill that began before the deadline, so nobody is called silent who had no
    /// time to speak since.
    fn notice_absence(&mut self, last: Mono, out: &mut Vec<Action>) {
        let Some((due, _)) = self.tools.schedule.first() else { return };
        let away = self.now.since(due);
        if away > LATE && away <= AWAY && !self.tools.faults.has(Fault::LateLookKills) {
            self.services.values_mut().for_each(|service| service.look_again(self.now, &mut self.tools));
        }
        if away <= AWAY || self.tools.faults.has(Fault::AwayKills) {
            return;
        }
        out.push(Action::Notice(Notice::WasAway { away }));
        let missed = self.now.since(last);
        for service in self.services.values_mut() {
            service.grant(self.now, missed, &mut self.tools);
        }
    }

    /// The inventory is complete: the fleet acts again.
    fn end_hold(&mut self, out: &mut Vec<Action>) {
        self.hold = Hold::None;
        let ids: Vec<ServiceId> = self.services.keys().copied().collect();
        for id in ids {
            self.with(id, out, |service, step| service.resume(step));
            self.dirty.insert(id);
        }
    }

    /// Calls `f` with the service, if there is one, and what it needs.
    pub(super) fn with<R>(
        &mut self,
        id: ServiceId,
        out: &mut Vec<Action>,
        f: impl FnOnce(&mut Service, &mut Step<'_>) -> R,
    ) -> Option<R> {
        let service = self.services.get_mut(&id)?;
        let mut step = Step { now: self.now, out, tools: &mut self.tools };
        Some(f(service, &mut step))
    }

    /// Tells a worker what happened to it.
    pub(super) fn tell(&mut self, worker: WorkerId, input: Input, out: &mut Vec<Action>) {
        let Some((id, slot)) = self.tools.places.get(&worker).copied() else { return };
        self.with(id, out, |service, step| match slot {
            PROLOGUE => service.tell_prologue(worker, input, step),
            slot => service.tell(slot, worker, input, step),
        });
        match input {
            // Nothing that is wanted or there has changed.
            Input::Beat | Input::Extend(_) => {}
            Input::Spawned
            | Input::SpawnFailed { .. }
            | Input::Ready
            | Input::Stopping
            | Input::Outgrown
            | Input::Exited(_)
            | Input::Lost
            | Input::Unsignalled
            | Input::Deadline
            | Input::Leave(_)
            | Input::Kill(_) => {
                self.dirty.insert(id);
            }
        }
    }

    /// Serves what is due and reconciles what changed, until neither is left. Each round ends a worker's wait or asks
    /// for a process, and neither can happen twice without an answer from outside, so this ends.
    fn act(&mut self, out: &mut Vec<Action>) {
        loop {
            while let Some(timer) = self.tools.schedule.pop_due(self.now) {
                self.serve(timer, out);
            }
            let Some(id) = self.dirty.pop_first() else { break };
            self.reconcile(id, out);
        }
        let early = self.tools.faults.has(Fault::ExitTooEarly) && self.shutdown == Some(Haste::Now);
        if self.shutdown.is_some() {
            if self.tools.places.is_empty() || early {
                self.ended = true;
                out.push(Action::Exit);
            } else {
                self.break_circle(out);
            }
        }
    }

    fn serve(&mut self, timer: Timer, out: &mut Vec<Action>) {
        match timer {
            Timer::Worker(worker) => self.tell(worker, Input::Deadline, out),
            Timer::Slot(id, slot) => {
                self.with(id, out, |service, step| match slot {
                    PROLOGUE => service.prologue_due(step),
                    slot => service.slot_due(slot, step),
                });
                self.dirty.insert(id);
            }
            Timer::Service(id) => {
                self.dirty.insert(id);
            }
        }
    }

    fn reconcile(&mut self, id: ServiceId, out: &mut Vec<Action>) {
        let around = Around { may_start: self.may_start(id), may_stop: self.may_stop(id) };
        let change = self.with(id, out, |service, step| {
            service.reconcile(around, step);
            let (from, to) = (service.state, service.standing());
            service.state = to;
            if from != to {
                step.notice(Notice::ServiceChanged { service: id, from, to });
            }
            (from != to, service.living() == 0, service.memory.wish == Wish::Remove)
        });
        let Some((changed, empty, removing)) = change else { return };
        if changed && let Some(followers) = self.followers.get(&id) {
            self.dirty.extend(followers);
        }
        if empty && self.shutdown.is_some() {
            let before = self.services.get(&id).map(|service| service.policy.after.clone());
            let known = before.into_iter().flatten().filter(|one| self.may_still_stop(*one));
            let again: Vec<ServiceId> = known.collect();
            self.dirty.extend(again);
        }
        if empty && removing {
            self.forget(id);
        }
    }

    fn may_still_stop(&self, id: ServiceId) -> bool {
        self.services.get(&id).is_some_and(|service| service.surplus() > 0)
    }

    /// Whether the services that it comes after are ready. One that is not known yet is waited for: services are
    /// defined one after the other.
    fn may_start(&self, id: ServiceId) -> bool {
        let Some(service) = self.services.get(&id) else { return false };
        let ready = |before: &ServiceId| self.services.get(before).is_some_and(Service::lets_others_start);
        service.memory.released || service.policy.after.iter().all(ready)
    }

    /// Whether the services that come after it are gone. Only a shutdown keeps this order: a stop by hand names what
    /// it stops.
    fn may_stop(&self, id: ServiceId) -> bool {
        if self.shutdown != Some(Haste::Graceful) || self.tools.faults.has(Fault::StopOrderIgnored) {
            return true;
        }
        if self.services.get(&id).is_some_and(|service| service.memory.wish != Wish::Run) {
            return true;
        }
        let followers = self.followers.get(&id).into_iter().flatten();
        followers.filter_map(|follower| self.services.get(follower)).all(|follower| follower.living() == 0)
    }

    /// Services that come after each other would wait for each other for ever. The configuration refuses such a
    /// circle; should one get here, all are stopped at once rather than never.
    fn break_circle(&mut self, out: &mut Vec<Action>) {
        let stuck = |service: &Service| service.living() == service.surplus();
        if self.shutdown != Some(Haste::Graceful) || !self.services.values().all(stuck) {
            return;
        }
        let ids: Vec<ServiceId> = self.services.keys().copied().collect();
        for id in ids {
            self.with(id, out, |service, step| {
                service.reconcile(Around { may_start: false, may_stop: true }, step);
            });
        }
    }

    fn forget(&mut self, id: ServiceId) {
        let Some(service) = self.services.remove(&id) else { return };
        for slot in 0..service.memory.slots.len() {
            self.tools.schedule.set(Timer::Slot(id, super::service::slot_number(slot)), None);
        }
        self.tools.schedule.set(Timer::Slot(id, PROLOGUE), None);
        self.tools.schedule.set(Timer::Service(id), None);
        self.unfollow(id, &service.policy.after);
        self.dirty.extend(self.followers.get(&id).into_iter().flatten());
    }

    /// `id` no longer comes after these.
    pub(super) fn unfollow(&mut self, id: ServiceId, after: &[ServiceId]) {
        for before in after {
            if let Some(followers) = self.followers.get_mut(before) {
                followers.remove(&id);
                if followers.is_empty() {
                    self.followers.remove(before);
                }
            }
        }
    }

    /// `id` comes after these.
    pub(super) fn follow(&mut self, id: ServiceId, after: &[ServiceId]) {
        for before in after {
            self.followers.entry(*before).or_default().insert(id);
        }
    }

    /// The place of a worker, for observers.
    pub(super) fn place(&self, worker: WorkerId) -> Option<(ServiceId, Slot)> {
        self.tools.places.get(&worker).copied()
    }
}
