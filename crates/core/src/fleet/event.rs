//! What the fleet is told and what it answers.

use std::time::Duration;

use super::{Epoch, Generation, Pace, Policy, ServiceId, Slot, WorkerId};
use crate::{Mono, Signal, Word};

/// Something that was observed or asked for.
///
/// A `Define` is large beside the others; it is also rare, and events are never stored.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)]
pub enum Event {
    /// The deadline came.
    Tick,
    /// A service is new, or its policy changed. `epoch` is raised when its command changed: a rollout follows.
    Define {
        /// Which service.
        service: ServiceId,
        /// What it asks for.
        policy: Policy,
        /// The version of its command.
        epoch: Epoch,
    },
    /// Stop the service and forget it when its last worker is gone.
    Remove {
        /// Which service.
        service: ServiceId,
    },
    /// Start a stopped or failed service; clears backoff and start limit. Not one that is being removed.
    Start {
        /// Which service.
        service: ServiceId,
    },
    /// Stop a service until `Start`.
    Stop {
        /// Which service.
        service: ServiceId,
        /// Without grace.
        now: bool,
    },
    /// Wanted workers from here on; outlives `Stop` and `Start`.
    Scale {
        /// Which service.
        service: ServiceId,
        /// How many.
        workers: u32,
    },
    /// Replace every worker of the service, or the one in `slot`, replacement first. Joins a rollout that runs; starts
    /// a stopped service. Answered by `RolloutStarted` (`RolloutProgress` when it joins one) and, in the end, by one
    /// `RolloutFinished` or `RolloutStopped`.
    Restart {
        /// Which service.
        service: ServiceId,
        /// Only this slot.
        slot: Option<Slot>,
        /// The version of the command to run; equal to the present one for a plain restart. With `slot` the present
        /// one is meant in any case.
        epoch: Epoch,
        /// How fast. One that joins a rollout sets it anew, except for one slot alone.
        pace: Pace,
    },
    /// Start no more replacements of the service's rollout; what has begun goes on. A `Restart` resumes it too.
    Pause {
        /// Which service.
        service: ServiceId,
    },
    /// Go on with a paused rollout.
    Resume {
        /// Which service.
        service: ServiceId,
    },
    /// Go back from the rollout that runs to what served before it. Where that is the same command (a plain restart),
    /// the rollout ends: old workers stay, new ones that are not proved leave. Without a rollout, workers that one
    /// which was stopped has left behind are replaced by the version that serves; where there are none, a rollout to
    /// the version that served before begins, if there was one.
    Undo {
        /// Which service.
        service: ServiceId,
    },
    /// Stop everything, in reverse order of `after`, then `Action::Exit`.
    Shutdown {
        /// Without grace. A second one with `now` acts at once during a graceful one.
        now: bool,
    },
    /// The worker's program runs (exec succeeded).
    Spawned {
        /// Which worker.
        worker: WorkerId,
    },
    /// No process came of a `Spawn`.
    SpawnFailed {
        /// Which worker.
        worker: WorkerId,
        /// Whether another try can help (out of processes) or not (no such program); both back off.
        transient: bool,
    },
    /// The worker said that it can work.
    Ready {
        /// Which worker.
        worker: WorkerId,
    },
    /// A sign of life.
    Beat {
        /// Which worker.
        worker: WorkerId,
    },
    /// The worker asked for more time: its next deadline (start, beat or stop) is at least `by` from now.
    Extend {
        /// Which worker.
        worker: WorkerId,
        /// How much.
        by: Duration,
    },
    /// The worker said by itself that it is stopping.
    Stopping {
        /// Which worker.
        worker: WorkerId,
    },
    /// The worker has outgrown its bound (memory): it is replaced like one that is old enough.
    Outgrown {
        /// Which worker.
        worker: WorkerId,
    },
    /// The worker's process ended, its group was killed and it was reaped.
    Exited {
        /// Which worker.
        worker: WorkerId,
        /// How.
        status: ExitStatus,
    },
    /// The shell's own memory names this worker but no such process was ever made or is left (the manager died
    /// between deciding and doing): as if it had never been asked for.
    Lost {
        /// Which worker.
        worker: WorkerId,
    },
    /// The worker is being stopped as far as the fleet remembers, but the inventory shows that it was never signalled
    /// (the manager died between deciding and doing): its last signal is sent again.
    Unsignalled {
        /// Which worker.
        worker: WorkerId,
    },
    /// A process exists that the fleet does not know (its memory was lost): it serves in its slot as ready.
    Adopt {
        /// Which worker.
        worker: WorkerId,
        /// Of which service.
        service: ServiceId,
        /// In which slot; 0 for a command of its prologue.
        slot: Slot,
        /// Its generation.
        generation: Generation,
        /// The version of the command it runs.
        epoch: Epoch,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// With this exit code.
    Code(u8),
    /// By this signal; `None` for one that has no name.
    Signal(Option<Signal>),
    /// By the kernel's KILL for want of memory.
    OutOfMemory,
}

/// Why a worker ended, as the fleet knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// By itself: a crash or an exit nobody asked for.
    Unasked,
    /// It never became ready in time.
    ReadyTimeout,
    /// It was silent for too long.
    Heartbeat,
    /// No process came of it.
    SpawnFailed,
    /// The kernel killed it for want of memory.
    OutOfMemory,
    /// The engine asked it to leave.
    Asked(StopReason),
}

/// Why the engine asks a worker to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The service or the engine stops.
    Stop,
    /// Fewer workers are wanted.
    Scale,
    /// A newer worker took its slot.
    Rollout,
    /// It was old enough.
    Recycle,
    /// Its rollout was stopped.
    RolledBack,
}

/// Why a worker takes nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainReason {
    /// It said so by itself.
    Itself,
    /// It was asked to leave.
    Asked(StopReason),
}

/// Whom a signal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The worker's own process.
    Process,
    /// Its whole process group (and cgroup where it has one).
    Group,
}

/// What the shell has to do. All actions of an event are performed, in order, before the next event is handled.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make a process; answer with `Spawned` or `SpawnFailed`.
    Spawn {
        /// Its identity, new.
        worker: WorkerId,
        /// Of which service.
        service: ServiceId,
        /// In which slot.
        slot: Slot,
        /// Which process of that slot.
        generation: Generation,
        /// Which version of the command.
        epoch: Epoch,
    },
    /// Make the process of a command that runs before the first worker of a generation; answer as for `Spawn`. It gets
    /// neither listeners nor a notify socket.
    Prepare {
        /// Its identity, new.
        worker: WorkerId,
        /// Of which service.
        service: ServiceId,
        /// How many such processes the service has had.
        generation: Generation,
        /// Of which version.
        epoch: Epoch,
        /// Which command, from 0.
        command: u32,
    },
    /// Signal a living worker. A stopped process cannot act on TERM: the shell sends CONT after every other signal.
    Signal {
        /// Which worker.
        worker: WorkerId,
        /// What.
        signal: Signal,
        /// To whom.
        scope: Scope,
        /// A worker that takes words is told this instead, where it can be told.
        word: Option<Word>,
    },
    /// A fact for log, events and waiting commands.
    Notice(Notice),
    /// The last worker is gone after `Shutdown`: end the engine.
    Exit,
}

/// A notable fact.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A worker's program runs.
    WorkerSpawned {
        /// Which worker.
        worker: WorkerId,
    },
    /// A worker is ready.
    WorkerReady {
        /// Which worker.
        worker: WorkerId,
        /// From exec to ready.
        took: Duration,
    },
    /// A worker was silent and is killed.
    HeartbeatLost {
        /// Which worker.
        worker: WorkerId,
        /// For how long.
        silent: Duration,
    },
    /// A worker was not ready in time and is killed.
    ReadyTimedOut {
        /// Which worker.
        worker: WorkerId,
        /// How long it had.
        after: Duration,
    },
    /// A worker takes nothing new.
    WorkerDraining {
        /// Which worker.
        worker: WorkerId,
        /// Why.
        reason: DrainReason,
    },
    /// A stop went on to its next step.
    StopEscalated {
        /// Which worker.
        worker: WorkerId,
        /// What is sent.
        signal: Signal,
    },
    /// A worker is gone.
    WorkerExited {
        /// Which worker.
        worker: WorkerId,
        /// Of which service.
        service: ServiceId,
        /// In which slot.
        slot: Slot,
        /// Which process of that slot.
        generation: Generation,
        /// How; `None` when no process came of it.
        status: Option<ExitStatus>,
        /// Why.
        reason: ExitReason,
        /// How long it ran.
        ran: Duration,
    },
    /// A slot waits before its next start.
    SlotBackoff {
        /// Of which service.
        service: ServiceId,
        /// Which slot.
        slot: Slot,
        /// How long.
        wait: Duration,
    },
    /// A slot reached its start limit, or its program ended badly and is not restarted.
    SlotFailed {
        /// Of which service.
        service: ServiceId,
        /// Which slot.
        slot: Slot,
        /// When it is tried again, `None` for never.
        retry: Option<Duration>,
    },
    /// Every command that runs before the first worker of a generation has succeeded.
    Prepared {
        /// Of which service.
        service: ServiceId,
    },
    /// A command that runs before the first worker of a generation failed. Tried again where nothing serves.
    PrologueFailed {
        /// Of which service.
        service: ServiceId,
        /// Of which version.
        epoch: Epoch,
        /// Which command, from 0.
        command: u32,
        /// How; `None` when no process came of it.
        status: Option<ExitStatus>,
        /// Why.
        reason: ExitReason,
        /// It was for a rollout, which is stopped.
        rollout: bool,
    },
    /// A service's state changed.
    ServiceChanged {
        /// Which service.
        service: ServiceId,
        /// Before.
        from: super::ServiceState,
        /// After.
        to: super::ServiceState,
    },
    /// A rollout began.
    RolloutStarted {
        /// Which service.
        service: ServiceId,
        /// To which version.
        epoch: Epoch,
        /// How many workers have to be replaced.
        total: u32,
    },
    /// One more worker was replaced.
    RolloutProgress {
        /// Which service.
        service: ServiceId,
        /// How many are done.
        done: u32,
        /// Of how many.
        total: u32,
    },
    /// Every worker was replaced.
    RolloutFinished {
        /// Which service.
        service: ServiceId,
    },
    /// Nothing more is replaced until it is resumed.
    RolloutPaused {
        /// Which service.
        service: ServiceId,
        /// The worker that failed, when that is why; `None` for a command.
        worker: Option<WorkerId>,
        /// Why it failed.
        reason: Option<ExitReason>,
    },
    /// It goes on.
    RolloutResumed {
        /// Which service.
        service: ServiceId,
    },
    /// A new worker failed; the old generation serves on.
    RolloutStopped {
        /// Which service.
        service: ServiceId,
        /// The worker that failed, when one did; `None` when a command (stop, removal) ended it.
        worker: Option<WorkerId>,
        /// Why it failed.
        reason: Option<ExitReason>,
    },
    /// The shell was away (suspended machine, stopped process): what its workers were owed was granted anew.
    WasAway {
        /// For how long at least: so late was the first deadline.
        away: Duration,
    },
}

/// What the next deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A worker must be ready by then.
    Ready(WorkerId),
    /// A worker must have beaten by then.
    Heartbeat(WorkerId),
    /// The next step of a stop.
    Stop(WorkerId),
    /// A slot may be started.
    Start(ServiceId),
    /// A new worker has proved itself by then.
    Settle(WorkerId),
    /// A worker is old enough.
    Recycle(WorkerId),
}

impl Mono {
    /// The earlier of two deadlines.
    pub(crate) fn earliest<T>(a: Option<(Mono, T)>, b: Option<(Mono, T)>) -> Option<(Mono, T)> {
        match (a, b) {
            (Some(x), Some(y)) => Some(if y.0 < x.0 { y } else { x }),
            (x, None) => x,
            (None, y) => y,
        }
    }
}
