//! What the fleet remembers: plain data from which another fleet goes on.
//!
//! The machine works on these very structs, so there is no second shape that could fall behind. A shell writes them
//! down with [`Fleet::snapshot`](super::Fleet::snapshot) and hands them to [`Fleet::restore`](super::Fleet::restore)
//! in the next process; moments survive because CLOCK_MONOTONIC is the same in every process of one boot.

use std::time::Duration;

use super::{Epoch, ExitReason, LastExit, ServiceId, WorkerId};
use crate::Mono;

/// Everything a fleet needs to go on, policies excepted.
///
/// The default is the memory of a fleet that knows nothing. When a memory was lost, give `next_worker` alone (the
/// number after the highest one ever used) and adopt what lives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// When the last event was handled.
    pub at: Mono,
    /// The number of the next worker; no worker gets a lower one.
    pub next_worker: u64,
    /// How the engine is being stopped, when it is.
    pub shutdown: Option<Haste>,
    /// Every service, in the order of their ids.
    pub services: Vec<ServiceMemory>,
}

/// Whether a stop leaves time to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Haste {
    /// By the stop ladder.
    Graceful,
    /// KILL to every group at once.
    Now,
}

/// What was last asked of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It should run.
    Run,
    /// It was stopped by hand.
    Stop(Haste),
    /// It is forgotten when its last worker is gone.
    Remove,
}

/// One service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceMemory {
    /// Which service.
    pub service: ServiceId,
    /// What was last asked of it.
    pub wish: Wish,
    /// What `Scale` set, until a `Define` with another number of workers.
    pub scale: Option<u32>,
    /// The version of the command that new workers run: the rollout's while one runs, else what serves.
    pub epoch: Epoch,
    /// The version that serves and that a rollout which is stopped returns to.
    pub serving: Epoch,
    /// The version that served before it: what `Undo` returns to while no rollout runs.
    pub previous: Option<Epoch>,
    /// Raised with every rollout; a worker carries the stamp of its start, so that a plain restart, which keeps the
    /// epoch, can tell older workers from newer ones.
    pub stamp: u64,
    /// Whether the services it comes after have been ready since it was started: they gate the first start alone.
    pub released: bool,
    /// Before this moment no further first start is made (`start_delay`).
    pub next_start: Mono,
    /// The rollout that runs.
    pub rollout: Option<RolloutMemory>,
    /// What runs before the first worker of a generation; `None` for a service that never had anything of it.
    pub prologue: Option<PrologueMemory>,
    /// Every slot that was ever wanted, slot 1 first. Those above the wanted number keep their last generation.
    pub slots: Vec<SlotMemory>,
}

/// What runs before the first worker of a generation.
#[derive(Clone, Debug, PartialEq)]
pub struct PrologueMemory {
    /// The generation has not got what it needs.
    pub owed: bool,
    /// The version whose commands they are.
    pub epoch: Epoch,
    /// How many commands have succeeded.
    pub command: u32,
    /// Where its process runs, one at a time, and when it is tried again.
    pub slot: SlotMemory,
}

/// A rollout that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolloutMemory {
    /// The version it leads to.
    pub epoch: Epoch,
    /// What is returned to when a new worker fails; `None` when nothing ran as the rollout began.
    pub fallback: Option<Epoch>,
    /// Every slot takes part, also those that join while it runs; `false` when single slots are restarted.
    pub whole: bool,
    /// The slot of the first new worker; the others wait for it.
    pub canary: Option<u32>,
    /// The first new worker was ready and settled.
    pub proved: bool,
    /// How many slots are done.
    pub done: u32,
    /// Nothing more is replaced until it is resumed.
    pub paused: bool,
    /// How fast it goes.
    pub pace: Pace,
}

/// How fast a rollout goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As surge and unavailable say.
    #[default]
    Gradual,
    /// After the first new worker the whole new set is started beside the old one, which drains without being counted.
    Detached,
    /// Every old worker is killed and all slots are started anew: nothing is tried first, and nothing is returned to.
    AtOnce,
}

/// One slot.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotMemory {
    /// How many processes it has had.
    pub generation: u32,
    /// How many of them were unplanned restarts.
    pub restarts: u32,
    /// How its last process ended.
    pub last_exit: Option<LastExit>,
    /// What the slot does while no process is in it.
    pub standing: Standing,
    /// Since when it stands so.
    pub since: Mono,
    /// Deaths in a row without a stable time in service.
    pub failures: u32,
    /// The starts that the start limit counts, oldest first.
    pub starts: Vec<Mono>,
    /// The start limit was reached and no stable time has been seen since.
    pub tripped: bool,
    /// The next start follows a death nobody asked for.
    pub fell: bool,
    /// The next start does not count for the start limit: the engine itself emptied the slot.
    pub spared: bool,
    /// No process was started since it became wanted; such a start keeps `start_delay`.
    pub untried: bool,
    /// A worker has been ready since it became wanted.
    pub served: bool,
    /// A rollout wants a worker with at least this stamp here.
    pub renew: Option<u64>,
    /// Before this moment no replacement for age is tried again.
    pub replace_after: Option<Mono>,
    /// Its living processes, oldest first.
    pub workers: Vec<WorkerMemory>,
}

/// What an empty slot does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is started as soon as it is its turn.
    Open,
    /// It waits before its next start.
    Backoff {
        /// Until then.
        until: Mono,
    },
    /// It reached its start limit, or its program ended badly and is not restarted.
    Failed {
        /// When it is tried again; `None` for never.
        retry: Option<Mono>,
    },
    /// Its program ended well and is not restarted.
    Finished,
}

/// One living process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkerMemory {
    /// Which worker.
    pub worker: WorkerId,
    /// Which process of its slot.
    pub generation: u32,
    /// The version of the command it runs.
    pub epoch: Epoch,
    /// The service's stamp at its start; 0 for one that a running rollout will replace.
    pub stamp: u64,
    /// Its part in the slot.
    pub role: Role,
    /// How far it is.
    pub phase: Phase,
    /// Since when its visible state holds.
    pub since: Mono,
    /// When its program was exec'ed.
    pub started: Option<Mono>,
    /// When it became ready.
    pub ready: Option<Mono>,
    /// It has yet to prove itself for this.
    pub trial: Option<Trial>,
    /// It is old enough to be replaced.
    pub aged: bool,
    /// Its share of the recycle jitter, of `u32::MAX`.
    pub lot: u32,
    /// Why it ends, once the fleet decided so.
    pub ending: Option<ExitReason>,
    /// It drains beside the wanted ones and does not count as one of them: the stamp of the rollout that replaced it.
    pub apart: Option<u64>,
}

/// A worker's part in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It holds the slot.
    Incumbent,
    /// It takes the slot when it has proved itself.
    Successor,
    /// It has lost the slot and ends.
    Leaver,
}

/// What a new worker proves itself for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// A rollout, which its failure stops.
    Rollout,
    /// The replacement of an old worker, which is tried again.
    Recycle,
}

/// How far a worker's life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Asked for; no answer yet.
    Spawning,
    /// Its program runs and is not ready.
    Booting {
        /// It is killed when it is not ready by then.
        ready_by: Mono,
    },
    /// It can work.
    Ready {
        /// Its last sign of life.
        heard: Mono,
        /// It is killed when it is silent until then; `None` when it owes no beats.
        beat_by: Option<Mono>,
        /// It has proved itself then.
        settle_by: Option<Mono>,
        /// It is old enough then.
        recycle_at: Option<Mono>,
    },
    /// In the first step of a graceful stop, or it said by itself that it ends.
    Draining(Ladder),
    /// Past the first step.
    Stopping(Ladder),
    /// KILL was sent to its group; only its exit is awaited, without a deadline.
    Killed,
}

/// Where a worker is on its service's stop ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// Which step, from 0; `None` when nothing but KILL is left.
    pub step: Option<u32>,
    /// Whether this step's signal was sent; not so for a worker that ends by itself.
    pub told: bool,
    /// The end of this step; `None` for never.
    pub ends: Option<Mono>,
    /// The next repetition of this step's signal.
    pub repeats: Option<Mono>,
    /// The waiting time that led to `repeats`.
    pub gap: Duration,
}
