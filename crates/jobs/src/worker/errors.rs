//! How a worker ends.

use std::fmt;

use crate::address::Address;

/// What a worker did until it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Jobs that were done.
    pub done: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that did not end when the worker did, and were told as failed.
    pub abandoned: u64,
    /// Results that no server took: those jobs are run again when their reservation is over.
    pub undelivered: usize,
}

/// Why a worker does not work.
#[derive(Debug)]
#[non_exhaustive]
pub enum WorkerError {
    /// The address is none.
    Address(String),
    /// The server does not let it in.
    Denied(Address, String),
    /// It was built in a way that cannot be.
    Settings(String),
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(why) => write!(f, "the address of the queue server: {why}"),
            Self::Denied(address, why) => write!(f, "the queue server at {address} does not let this worker in: {why}"),
            Self::Settings(why) => write!(f, "a worker cannot be built so: {why}"),
        }
    }
}

impl std::error::Error for WorkerError {}
