//! Decisions of the engine: pure state machines that turn observations into actions.
//!
//! **What it does.** [`fleet`] decides which workers should exist, when one is started, signalled or given up, and
//! how a rollout proceeds; [`gather`] when somebody who asks workers something has an answer, and which; [`handover`]
//! which of two managers has the duty; [`metrics`] what all workers together have counted; [`operator`] what a signal to
//! the engine means; [`herald`] what the service manager above is told; [`patience`] how long a client is waited for;
//! [`session`] what becomes of the requests of a client whose connection breaks; [`jobs`] which job of the queue server is
//! ready, who has it and what becomes of it; [`work`] what a job worker fetches, runs and tells; [`pool`] which warm child
//! gets which job, and whose answer counts. Events say what was observed, actions say what to do; a shell performs them.
//!
//! **Where to start.** [`fleet::Fleet`], then `fleet/reconcile.rs`.
//!
//! **What it must never know.** No io, no clock, no pid, no file descriptor, no async, no serde, no kernel number.
//! Time comes in as [`Mono`] with every event.
//!
//! **How it is tested.** Properties and planted faults in the `sim` crate: seeded simulation with a virtual clock.

pub mod access;
mod fault;
pub mod fleet;
pub mod gather;
pub mod handover;
pub mod herald;
pub mod jobs;
mod level;
mod lots;
pub mod metrics;
pub mod operator;
pub mod patience;
pub mod pool;
pub mod session;
mod signal;
mod time;
mod word;
pub mod work;

pub use level::{Filter, Least, Level};
pub use signal::Signal;
pub use time::Mono;
pub use word::Word;
