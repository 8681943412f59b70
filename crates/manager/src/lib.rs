//! The process that decides: which workers should exist, and what to answer to operators.
//!
//! **What it does.** Sources (the supervisor's records, notify sockets, command clients, one timer) become [`Event`]s of
//! `core::fleet`; its actions become records to the supervisor. Before every action that follows from a decision, a
//! deposit of the new state is sent, so that the next manager goes on where this one ended, planned or not.
//!
//! **Where to start.** [`run`], then `manager.rs` (the loop), `boot.rs` (from inventory and deposit to a model).
//!
//! **What it must never do.** Block: not on a pipe, a disk, a worker or a client. Wait for a child (all are the
//! supervisor's). Decide what `core` can decide.
//!
//! **How it is tested.** Its pure parts beside the code; the process by end-to-end tests that kill it at any time.
//!
//! [`Event`]: evercrew_core::fleet::Event

mod accepting;
mod access;
mod ahead;
mod audit;
mod boot;
mod calls;
mod changes;
mod clients;
mod commands;
mod crew;
mod deposit;
mod discard;
mod dump;
mod edition;
mod ending;
mod events;
mod exposition;
mod families;
mod figures;
mod growth;
mod handed;
mod hearing;
mod heralding;
mod hub;
mod identity;
mod inheritance;
mod input;
mod intake;
mod kinds;
mod launch;
mod leaving;
mod levels;
mod link;
mod listeners;
mod log;
mod manager;
mod metering;
mod notices;
mod orders;
mod orphans;
mod outbox;
mod output;
mod perform;
mod plan;
mod probe;
mod readiness;
#[cfg(test)]
mod reference;
mod reload;
mod reloading;
mod requests;
mod reserve;
mod rollouts;
mod scraping;
mod signalling;
mod skew;
mod standing;
mod start;
mod start_error;
mod status;
mod steering;
mod succeeding;
mod surroundings;
mod text;
mod upgrade;
mod verbs;
mod vet;
mod waiting;
mod watch;
mod words;

pub use boot::{Crowd, check_open_files, most_at_a_time};
pub use identity::engine_credentials;
pub use start::run;
pub use surroundings::surroundings;
pub use vet::{Unfit, vet};
