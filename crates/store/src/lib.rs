//! What the queue server keeps on disk.
//!
//! **What it does.** Records and payloads of jobs, kept by number, brought to disk with one sync for whatever is
//! committed together. What is damaged is not served.
//!
//! **Where to start.** [`Error`], whose kinds are what a server has to do.
//!
//! **What it must never know.** What a job means: it decides nothing, reads no clock and opens no socket.
//!
//! **How it is tested.** One suite for every store; every bit of a small store turned; real kills, cuts and full disks
//! end to end.

mod claim;
mod error;
mod journal;
mod memory;
mod row;
mod settings;
mod sqlite;
mod store;

pub use error::{Error, ErrorKind, REPAIR};
pub use memory::Memory;
pub use row::{Payload, Row};
pub use settings::Durability;
pub use sqlite::{Saved, Sqlite};
pub use store::{Payloads, Recovered, Recovery, Store};
