//! What an observer may see.

use super::{Epoch, ExitReason, ExitStatus, Generation, Pace, ServiceId, Slot, WorkerId};
use crate::Mono;

/// One service as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceView {
    /// Which service.
    pub service: ServiceId,
    /// Its state.
    pub state: ServiceState,
    /// Wanted workers (the configuration's number or what `Scale` set).
    pub wanted: u32,
    /// Workers in state ready; during a rollout they may be more than wanted.
    pub ready: u32,
    /// The version of the command new workers run.
    pub epoch: Epoch,
    /// Whether a rollout runs.
    pub rolling: bool,
    /// What an undo returns to while no rollout runs.
    pub previous: Option<Epoch>,
    /// The rollout that runs.
    pub rollout: Option<RolloutView>,
    /// One entry per living process and one per empty slot, by slot, then generation.
    pub workers: Vec<WorkerView>,
}

/// A rollout that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolloutView {
    /// How many slots are done.
    pub done: u32,
    /// Of how many.
    pub total: u32,
    /// Whether it waits to be resumed.
    pub paused: bool,
    /// How fast it goes.
    pub pace: Pace,
    /// Whether its first new worker has proved itself, or nothing had to be proved.
    pub proved: bool,
    /// What it returns to; `None` when there is nothing, the version it leads to for a plain restart.
    pub fallback: Option<Epoch>,
}

/// One living process, or one slot without one.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerView {
    /// Its slot.
    pub slot: Slot,
    /// The process, if there is one.
    pub worker: Option<WorkerId>,
    /// Its generation, or the slot's last one (0 before the first).
    pub generation: Generation,
    /// The version of the command it runs.
    pub epoch: Epoch,
    /// Its state.
    pub state: WorkerState,
    /// Since when it is in that state.
    pub since: Mono,
    /// When its program was exec'ed.
    pub started: Option<Mono>,
    /// Unplanned restarts of the slot.
    pub restarts: u32,
    /// The slot's last exit.
    pub last_exit: Option<LastExit>,
}

/// How a slot's last process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastExit {
    /// How; `None` when no process came of it.
    pub status: Option<ExitStatus>,
    /// Why.
    pub reason: ExitReason,
    /// When.
    pub at: Mono,
}

/// A worker's or an empty slot's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkerState {
    /// Asked for, not yet ready; also an empty slot that waits for its turn.
    Starting,
    /// It can work.
    Ready,
    /// It finishes what is begun, takes nothing new (first step of a graceful stop, or it said so).
    Draining,
    /// It is told to end, past its grace or without one.
    Stopping,
    /// The slot waits before its next start.
    Backoff,
    /// The slot reached its start limit, or its program ended badly and is not restarted.
    Failed,
    /// The slot is not wanted to run, or its program finished and is not restarted.
    Stopped,
}

/// A service's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceState {
    /// Not every wanted slot has had a ready worker yet, or none has one at present; none failed.
    Starting,
    /// Every wanted slot has a ready worker.
    Ready,
    /// At least one slot has a ready worker, but not all: one failed, or one that was ready before is not now.
    Degraded,
    /// No slot has a ready worker, and at least one failed.
    Failed,
    /// It is being stopped.
    Stopping,
    /// It was stopped on purpose, or wants no workers.
    Stopped,
    /// Every program ended well and is not restarted.
    Finished,
}
