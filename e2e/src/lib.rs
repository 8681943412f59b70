//! An engine under test: started as a user starts it, watched through its own events.
//!
//! **What it does.** [`Engine`] runs the built binary in a directory of its own and ends everything with it;
//! [`Events`] waits for what the engine tells; [`processes`] looks at real processes. Nothing here sleeps and hopes:
//! every wait is for an event, a pidfd or a reply, with a deadline.
//!
//! **Where to start.** [`Engine::up`]. The tests are in `e2e/tests`; they are built with the binary's package so that
//! the binary is always the one of this tree.
//!
//! **What it must never know.** The engine's insides: only files, sockets, commands and processes.
//!
//! **How it is tested.** By the tests that use it: a harness that saw too little would let planted faults pass.

pub mod census;
mod engine;
mod events;
pub mod headcount;
pub mod kernel;
pub mod moments;
pub mod processes;
pub mod programs;
pub mod unit;

/// How much of a test's full volume is run: all of it with EVERCREW_LONG=1, else a tenth.
pub fn volume(full: usize) -> usize {
    if std::env::var_os("EVERCREW_LONG").is_some() { full } else { full.div_ceil(10) }
}

pub use engine::{Engine, Output, Worker};
pub use events::Events;
