//! Warm children in any language, and the jobs that are streamed to them.
//!
//! **What it does.** [`Pool::spawn`] starts long-lived children of a command, each in a process group of its own;
//! [`Pool::run`] has one of them do a job and gives what came of it. Jobs go over a child's standard input, answers come over
//! its standard output, a line of JSON each; descriptors 3 and 4 where the program prints. A child that dies, hangs, answers
//! for another job or writes garbage is ended with everything it started, and replaced.
//!
//! **Where to start.** `dispatcher.rs` is the one thread around the poller: it reads what children wrote, tells the core,
//! performs what it decided and writes what is owed, once a turn. `process.rs` is one child's pipes.
//!
//! **What it must never know.** Who gets which job, whose answer counts and when a child is ended: that is decided by
//! `core::pool`. How a line looks: that is `wire::child`'s.
//!
//! **How it is tested.** `tests/` with real children in Rust, Python and sh that behave in every way known to be bad.

mod cancel;
mod config;
mod crew;
mod dispatcher;
mod error;
mod hearing;
mod inbox;
mod job;
mod kinds;
mod launch;
mod log;
mod outcome;
mod perform;
mod pool;
mod process;
mod reason;
mod statistics;

pub use cancel::Cancel;
pub use config::{Channel, Config};
pub use error::Error;
pub use job::Job;
pub use log::{Record, Source};
pub use outcome::{Done, Failed, Outcome};
pub use pool::Pool;
pub use statistics::{ChildStatistics, RunningJob, Statistics};
