//! Producers and workers around a queue server.
//!
//! `run.rs` plays one seed: jobs for now and for later; workers that finish, fail, give back, say nothing, answer late or
//! twice, die or fall silent; queues that are paused; a clock on the wall that is set; a disk that refuses; and a server
//! that is killed at any point and starts with what was committed. `oracle.rs` says what must come of it, by an account
//! of its own in `account.rs`.

mod account;
mod crew;
mod disk;
mod expect;
mod oracle;
mod run;

pub use run::queue;
