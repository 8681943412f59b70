//! What the queue server keeps on disk.
//!
//! **What it does.** Records and payloads of jobs, kept by number, brought to disk with one sync for whatever is
//! committed together. What is damaged is not served.
//!
//! **Where to start.** [`Store`], which [`Sqlite`] and [`Memory`] are; [`ErrorKind`] says what a server has to do.
//!
//! **What it must never know.** What a job means: it keeps bytes by number, decides nothing, reads no clock.
//!
//! **How it is tested.** [`conformance`], one suite for every store; every bit of a small
//! store turned; files as crashes leave them.

mod claim;
pub mod conformance;
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
