//! The command line, `up`, and every role of the engine's own processes: for the binary `evercrew`, and for each
//! program that has the engine in it.
//!
//! **What it does.** [`Program`] is a program with the workers that are part of it. [`Program::main`] makes this process
//! what EVERCREW_ROLE says it is, or does what its command line asks.
//!
//! **Where to start.** `program.rs`, then `role.rs` (the roles), `arguments.rs` (the command line), `up.rs`.
//!
//! **What it must never do.** Decide: what a service should be is the manager's, and what a worker does its own.
//!
//! **How it is tested.** Parts beside the code, everything else by the end-to-end tests with the real binary.

// They panic where nobody reads; `output` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod appearing;
mod arguments;
mod client;
mod commands;
mod configuration;
mod daemon;
mod doctor;
mod example;
mod failure;
mod generated;
mod leftovers;
mod output;
mod ownership;
mod procfile;
mod program;
mod queue_server;
mod role;
mod table;
mod tenancy;
mod top;
mod up;

pub use program::{Program, Work};
pub use role::divert_supervisor;
