//! Jobs: a client of any server of the Faktory work protocol, and the queue server itself.
//!
//! **What it does.** [`plain::Client`] asks a server one thing after the other. With the feature `server`, `serve`
//! runs a queue server in this process until it is told to stop: clients push jobs, workers fetch them, a store keeps
//! them.
//!
//! **Where to start.** `server.rs` is the one loop of the queue server: it reads what clients sent, tells the core,
//! carries out what the core decided, and sends what is owed. `connection.rs` keeps answers in the order of their
//! commands.
//!
//! **What it must never know.** When a job is ready, tried again or dead, and whose lease it is: that is decided by
//! `core::jobs`. How jobs lie on disk: that is the store's.
//!
//! **How it is tested.** Units beside the code, `tests/` with a real server on a real socket, and clients of four
//! languages end to end.

mod address;
#[cfg(feature = "server")]
mod admission;
#[cfg(feature = "server")]
mod answers;
#[cfg(feature = "server")]
mod book;
#[cfg(feature = "server")]
mod challenge;
#[cfg(feature = "server")]
mod config;
#[cfg(feature = "server")]
mod connection;
#[cfg(feature = "server")]
mod delivery;
#[cfg(feature = "server")]
mod desk;
#[cfg(feature = "server")]
mod door;
#[cfg(feature = "server")]
mod ending;
#[cfg(feature = "server")]
mod error;
#[cfg(feature = "server")]
mod fault;
#[cfg(feature = "server")]
mod figures;
#[cfg(feature = "server")]
mod finished;
#[cfg(feature = "server")]
mod glob;
#[cfg(feature = "server")]
mod guide;
#[cfg(feature = "server")]
mod handout;
#[cfg(feature = "server")]
mod info;
#[cfg(feature = "server")]
mod intake;
#[cfg(feature = "server")]
mod keeper;
#[cfg(feature = "server")]
mod kin;
#[cfg(feature = "server")]
mod metrics;
#[cfg(feature = "server")]
mod notices;
#[cfg(feature = "server")]
mod own;
#[cfg(feature = "server")]
mod pace;
#[cfg(feature = "server")]
mod pipe;
pub mod plain;
#[cfg(feature = "server")]
mod process;
#[cfg(feature = "server")]
mod repair;
#[cfg(feature = "server")]
mod report;
#[cfg(feature = "server")]
mod room;
#[cfg(feature = "server")]
mod secret;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod sessions;
#[cfg(feature = "server")]
mod texts;
#[cfg(feature = "server")]
mod verbs;

pub use address::Address;
#[cfg(feature = "server")]
pub use config::{Config, Listen, Password, Storage};
#[cfg(feature = "server")]
pub use error::Error;
#[cfg(feature = "server")]
pub use evercrew_store::Durability;
#[cfg(feature = "planted-faults")]
pub use fault::Fault;
pub use plain::new_jid;
#[cfg(feature = "server")]
pub use process::run;
#[cfg(feature = "server")]
pub use repair::repair;
#[cfg(feature = "server")]
pub use serve::{Stop, Stopper, serve, stop};
