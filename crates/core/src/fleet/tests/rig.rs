//! A fleet, a clock and a log: the shell of these tests.

use std::time::Duration;

use crate::fleet::{
    Action, Epoch, Event, ExitStatus, Fleet, Notice, Pace, Policy, Readiness, ServiceId, ServiceState, ServiceView,
    Slot, Standing, StopLadder, StopStep, WorkerId, WorkerState,
};
use crate::{Mono, Signal};

/// The service of most tests.
pub(super) const WEB: ServiceId = ServiceId(1);

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// `workers` that report their readiness, with the documented defaults.
pub(super) fn policy(workers: u32) -> Policy {
    Policy { ready: Readiness::Reported, ..Policy::basic(workers) }
}

/// A ladder of steps that send their signal once.
pub(super) fn ladder(steps: &[(Signal, u64)]) -> StopLadder {
    let step = |(signal, lasting): &(Signal, u64)| StopStep {
        signal: *signal,
        repeat: None,
        increment: Duration::ZERO,
        lasting: Some(secs(*lasting)),
    };
    StopLadder { steps: steps.iter().map(step).collect() }
}

pub(super) struct Rig {
    pub(super) fleet: Fleet,
    pub(super) now: Mono,
    /// Everything done since it was last taken.
    pub(super) log: Vec<Action>,
}

impl Rig {
    pub(super) fn empty() -> Self {
        Self { fleet: Fleet::new(7), now: Mono::from_nanos(1_000_000_000), log: Vec::new() }
    }

    /// The service is defined; its first workers are asked for.
    pub(super) fn new(policy: Policy) -> Self {
        let mut rig = Self::empty();
        rig.define(WEB, policy, 1);
        rig
    }

    /// The service is defined, all its workers are ready, and the log is empty.
    pub(super) fn ready(policy: Policy) -> Self {
        let mut rig = Self::new(policy);
        rig.obey();
        assert_eq!(rig.state(), ServiceState::Ready);
        rig.log.clear();
        rig
    }

    pub(super) fn send(&mut self, event: Event) {
        self.fleet.handle(self.now, event, &mut self.log);
        self.fleet.audit().expect("caches agree");
        if let Some((at, why)) = self.fleet.deadline().filter(|_| !self.log.contains(&Action::Exit)) {
            assert!(at > self.now, "{why:?} is due and was not served");
        }
    }

    pub(super) fn define(&mut self, service: ServiceId, policy: Policy, epoch: u64) {
        self.send(Event::Define { service, policy, epoch: Epoch(epoch) });
    }

    pub(super) fn restart(&mut self, epoch: u64) {
        self.send(Event::Restart { service: WEB, slot: None, epoch: Epoch(epoch), pace: Pace::Gradual });
    }

    pub(super) fn scale(&mut self, workers: u32) {
        self.send(Event::Scale { service: WEB, workers });
    }

    pub(super) fn serve(&mut self, worker: WorkerId) {
        self.send(Event::Spawned { worker });
        self.send(Event::Ready { worker });
    }

    /// A command of the prologue runs and ends.
    pub(super) fn prepare(&mut self, worker: WorkerId, code: u8) {
        self.send(Event::Spawned { worker });
        self.send(Event::Exited { worker, status: ExitStatus::Code(code) });
    }

    /// The commands of the prologue asked for since the log was taken; takes the log.
    pub(super) fn prepares(&mut self) -> Vec<(WorkerId, u32, u64)> {
        let prepare = |action| match action {
            Action::Prepare { worker, command, epoch, .. } => Some((worker, command, epoch.0)),
            Action::Spawn { .. } | Action::Signal { .. } | Action::Notice(_) | Action::Exit => None,
        };
        self.take().into_iter().filter_map(prepare).collect()
    }

    pub(super) fn exit(&mut self, worker: WorkerId) {
        self.send(Event::Exited { worker, status: ExitStatus::Code(1) });
    }

    /// Lets time pass, and serves every deadline at its moment.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now.after(time);
        while let Some((at, _)) = self.fleet.deadline().filter(|(at, _)| *at <= until) {
            self.now = at;
            self.send(Event::Tick);
        }
        self.now = until;
    }

    /// Everybody asked for since the log was taken becomes ready, everybody told to stop ends, until nobody is left.
    pub(super) fn obey(&mut self) {
        let mut done = 0;
        while let Some(action) = self.log.get(done).cloned() {
            done += 1;
            match action {
                Action::Spawn { worker, .. } => self.serve(worker),
                Action::Prepare { worker, .. } => self.prepare(worker, 0),
                Action::Signal { worker, .. } => self.send(Event::Exited { worker, status: ExitStatus::Code(0) }),
                Action::Notice(_) | Action::Exit => {}
            }
        }
    }

    /// Like `obey`, but the signalled go on for ever.
    pub(super) fn start_all(&mut self) {
        let mut done = 0;
        while let Some(action) = self.log.get(done).cloned() {
            done += 1;
            if let Action::Spawn { worker, .. } = action {
                self.serve(worker);
            }
        }
    }

    pub(super) fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.log)
    }

    /// The workers asked for since the log was taken, with slot and version; takes the log.
    pub(super) fn spawns(&mut self) -> Vec<(WorkerId, u32, u64)> {
        let spawn = |action| match action {
            Action::Spawn { worker, slot, epoch, .. } => Some((worker, slot.0, epoch.0)),
            Action::Prepare { .. } | Action::Signal { .. } | Action::Notice(_) | Action::Exit => None,
        };
        self.take().into_iter().filter_map(spawn).collect()
    }

    /// The one worker asked for since the log was taken; takes the log.
    pub(super) fn spawn(&mut self) -> WorkerId {
        let spawns = self.spawns();
        assert_eq!(spawns.len(), 1, "one start: {spawns:?}");
        spawns[0].0
    }

    /// The signals since the log was taken; takes the log.
    pub(super) fn signals(&mut self) -> Vec<(WorkerId, Signal)> {
        let signal = |action| match action {
            Action::Signal { worker, signal, .. } => Some((worker, signal)),
            Action::Spawn { .. } | Action::Prepare { .. } | Action::Notice(_) | Action::Exit => None,
        };
        self.take().into_iter().filter_map(signal).collect()
    }

    pub(super) fn noticed(&self, wanted: impl Fn(&Notice) -> bool) -> bool {
        self.log.iter().any(|action| matches!(action, Action::Notice(notice) if wanted(notice)))
    }

    pub(super) fn view(&self) -> ServiceView {
        self.fleet.service(WEB).expect("defined")
    }

    pub(super) fn state(&self) -> ServiceState {
        self.view().state
    }

    /// The living worker of the slot with the highest generation.
    pub(super) fn newest(&self, slot: u32) -> WorkerId {
        let view = self.view();
        let row = view.workers.iter().rfind(|row| row.slot == Slot(slot) && row.worker.is_some());
        row.and_then(|row| row.worker).expect("a worker in the slot")
    }

    /// Slot, version and state of every row.
    pub(super) fn rows(&self) -> Vec<(u32, u64, WorkerState)> {
        self.view().workers.iter().map(|row| (row.slot.0, row.epoch.0, row.state)).collect()
    }

    /// What the empty slot does.
    pub(super) fn standing(&self, slot: usize) -> Standing {
        self.fleet.snapshot().services[0].slots[slot - 1].standing
    }
}
