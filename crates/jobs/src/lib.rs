//! Jobs: a client and a worker of any server of the Faktory work protocol, and the queue server itself.
//!
//! **What it does.** [`Client`] pushes jobs and asks a server, [`Worker`] fetches jobs and runs them by handlers.
//! [`blocking::Client`] does without a runtime, [`plain::Client`] asks one thing after the other. With the feature
//! `server`, `serve` runs a queue server in this process until it is told to stop: clients push jobs, workers fetch them,
//! a store keeps them.
//!
//! **Where to start.** `worker/driver.rs` is the one loop of a worker around `core::work`. `server.rs` is the one loop
//! of the queue server: it reads what clients sent, tells the core, carries out what the core decided, and sends what is
//! owed. `connection.rs` keeps answers in the order of their commands.
//!
//! **What it must never know.** When a job is ready, tried again or dead, and whose lease it is: that is decided by
//! `core::jobs`. What a worker fetches and tells: that is decided by `core::work`. How jobs lie on disk: that is the store's.
//!
//! **How it is tested.** Units beside the code; `tests/work` with a scripted server, a proxy and our own server;
//! `tests/server` with a real server on a real socket, and clients of four languages end to end.

mod address;
#[cfg(feature = "server")]
mod admission;
#[cfg(feature = "server")]
mod answers;
#[cfg(feature = "server")]
mod book;
#[cfg(feature = "server")]
mod challenge;
mod client;
#[cfg(feature = "server")]
mod config;
#[cfg(feature = "server")]
mod connection;
#[cfg(feature = "server")]
mod delivery;
#[cfg(feature = "server")]
mod desk;
mod dial;
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
mod worker;

pub use address::Address;
pub use client::{
    Batch, BatchStatus, Client, ClientError, Filter, Info, InfoServer, InfoSets, Job, Place, Progress, blocking,
};
#[cfg(feature = "server")]
pub use config::{Config, Listen, Password, Storage};
#[cfg(feature = "server")]
pub use error::Error;
#[cfg(feature = "server")]
pub use evercrew_core::jobs::Backoff;
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
pub use worker::{
    Builder, Context, Counts, Failure, Handlers, Middleware, Next, Perform, Reason, Remote, Report, Running, Timeout,
    Token, Worker, WorkerError,
};
