//! The queue server, and how to ask one.
//!
//! **What it does.** [`serve`] runs a queue server in this process until it is told to stop: clients of the Faktory work
//! protocol push jobs, workers fetch them, a store keeps them. [`Client`] asks such a server.
//!
//! **Where to start.** `server.rs` is the one loop: it reads what clients sent, tells the core, carries out what the core
//! decided, and sends what is owed. `connection.rs` keeps answers in the order of their commands.
//!
//! **What it must never know.** When a job is ready, tried again or dead, and whose lease it is: that is decided by
//! `core::jobs`. How jobs lie on disk: that is the store's.
//!
//! **How it is tested.** Units beside the code, `tests/` with a real server on a real socket, and clients of four
//! languages end to end.

mod address;
mod book;
mod challenge;
mod client;
mod config;
mod connection;
mod desk;
mod door;
mod error;
mod finished;
mod glob;
mod guide;
mod handout;
mod info;
mod intake;
mod keeper;
mod kin;
mod metrics;
mod notices;
mod own;
mod process;
mod repair;
mod secret;
mod serve;
mod server;
mod sessions;
mod texts;
mod verbs;

pub use address::Address;
pub use client::{Client, ClientError, new_jid};
pub use config::{Config, Listen, Password, Storage};
pub use error::Error;
pub use evercrew_store::Durability;
pub use process::run;
pub use repair::repair;
pub use serve::{Stop, Stopper, serve, stop};
