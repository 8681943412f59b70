//! Which workers should exist, and what to do so that they do.
//!
//! [`Fleet`] holds every service, its slots and their workers. A shell feeds it [`Event`]s and performs the
//! [`Action`]s; between two events it sleeps no longer than [`Fleet::deadline`] and then sends [`Event::Tick`].
//!
//! The way of an event: `machine` takes it in, `command` leads it to its place. What happens to a worker is looked up
//! in the table of `phase` and done in `life`; what an empty slot does next is decided in `restart`; who replaces whom
//! in `rollout`; what runs before the first worker of a generation in `prologue`. Then `reconcile` compares what is wanted with what is there: every start and every stop comes from
//! there, whatever the reason. `memory` is all that is remembered, and what [`Fleet::snapshot`] writes down;
//! `service` keeps counts over it, so that no event costs a walk over all slots; `schedule` holds the deadlines.

mod command;
mod draining;
mod event;
mod fault;
mod jitter;
mod ladder;
mod life;
mod machine;
mod memory;
mod observe;
mod outcome;
mod phase;
mod policy;
mod prologue;
mod reconcile;
mod restart;
mod restore;
mod rollout;
mod schedule;
mod service;
mod steering;
mod step;
mod versions;
mod view;
mod worker;

#[cfg(test)]
mod tests;

pub use event::{Action, DrainReason, Event, ExitReason, ExitStatus, Notice, Scope, StopReason, Why};
#[cfg(feature = "planted-faults")]
pub use fault::Fault;
pub use machine::Fleet;
pub use memory::{
    Haste, Ladder, Pace, Phase, PrologueMemory, Role, RolloutMemory, ServiceMemory, SlotMemory, Snapshot, Standing,
    Trial, Wish, WorkerMemory,
};
pub use outcome::{EndWhen, Outcome};
pub use policy::{
    Backoff, GiveUp, Heartbeat, OnFailure, Policy, Readiness, Recycle, Restart, Rollout, StartLimit, StopLadder,
    StopStep, Terms,
};
pub use service::MAX_WORKERS;
pub use view::{LastExit, RolloutView, ServiceState, ServiceView, WorkerState, WorkerView};

/// A service's number, given by the shell; stable for the engine's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

/// A slot's number within its service, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// How many processes the slot has had, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

/// One process (or thread, or warm child) for its whole life. Never given twice, also not after a crash of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

/// Which version of a service's command a worker runs. A rollout raises the service's epoch; a rollout that is
/// stopped lowers it to what serves. The shell keeps the command of every epoch that a view or action names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);
