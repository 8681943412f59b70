//! Seeded simulator of the decisions: thousands of virtual hours a minute, every property checked after every step.
//!
//! **What it does.** [`run`] plays one seed: services with drawn policies, programs that crash, hang, ignore signals,
//! boot slowly, never get ready or die 0.2 s after they were ready, spawns that fail, beats that are lost, a machine or
//! an engine that stands still, a shell that is killed between deciding and doing, and an operator who scales,
//! restarts, deploys good and bad versions, stops and removes. Then the weather turns good and everything has to
//! become as wanted; then the engine is stopped.
//!
//! [`gather`] plays one seed of askers and workers around a gathering, [`hand_over`] one of a manager and its successors,
//! [`queue`] one of producers and workers around a
//! queue server, [`stream`] one of submitters and warm children around a pool.
//!
//! [`work`] plays one seed of a job worker and what happens to its server and its connections.
//!
//! **Where to start.** `oracle/` says what must hold; `simulation.rs` is the run; `shell.rs` stands for the manager,
//! `world.rs` for the machine and the supervisor.
//!
//! **What it must never know.** The inside of the fleet: it sees events, actions and views alone.
//!
//! **How it is tested.** `tests/seeds.rs` runs 256 seeds; `tests/faults.rs` plants known mistakes into the fleet and
//! shows that each is found.

mod gathering;
mod handing;
mod oracle;
mod plan;
mod program;
mod queueing;
mod random;
mod shell;
mod simulation;
mod streaming;
mod working;
mod world;

pub use gathering::gather;
pub use handing::hand_over;
pub use queueing::queue;
pub use simulation::{Failure, Summary, run};
pub use streaming::stream;
pub use working::work;
