//! Submitters and warm children around a pool.
//!
//! `run.rs` plays one seed: children that answer, fail, want it later, say nothing, answer twice, for another job, without
//! an id, out of order or in other words, die before or after they read a job, boot slowly or badly, introduce themselves or
//! do not, ignore that they are to leave; submitters that cancel; an operator who scales, restarts, recalls and changes what
//! the pool goes by; a pool that stands still. Then the weather turns good; then the pool is stopped. `temper.rs` is one
//! child's character, `oracle.rs` says what must hold, `account.rs` is its account of jobs and children.

mod account;
mod oracle;
mod run;
mod temper;

pub use run::stream;
