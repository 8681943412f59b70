//! What a queue server is told before it starts.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use evercrew_core::jobs::Backoff;
use evercrew_store::Durability;

use crate::fault::Faults;

/// How a queue server works. [`Config::new`] has the defaults.
#[derive(Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where clients connect.
    pub listen: Listen,
    /// Where jobs are kept.
    pub store: Storage,
    /// When a push counts as done.
    pub durability: Durability,
    /// What clients must prove to know.
    pub password: Option<Password>,
    /// Serve others than this machine without a password.
    pub insecure: bool,
    /// Bytes of waiting jobs that are kept in memory; those beyond are read from the store when they are fetched.
    pub memory: u64,
    /// Bytes of commands that are received and not carried out, and of answers that are not sent, of all clients together
    /// beyond 8 KiB of each. When it is full they wait for one another, and who neither sends nor reads is sent away.
    pub buffers: u64,
    /// Clients at once; one more is refused.
    pub connections: u32,
    /// How long a job that is done can be asked for.
    pub keep_done: Duration,
    /// How long a dead job is kept.
    pub keep_dead: Duration,
    /// How long a job that failed waits for its next try, by its type; [`Backoff::Power`] for all others.
    pub backoffs: BTreeMap<String, Backoff>,
    /// Mistakes, which tests alone can plant.
    pub(crate) faults: Faults,
}

/// Where clients connect.
#[derive(Debug)]
pub enum Listen {
    /// A socket is opened here.
    Address(SocketAddr),
    /// This one listens already.
    Socket(OwnedFd),
}

/// Where jobs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In a SQLite database; its directory belongs to one server at a time.
    Sqlite(PathBuf),
    /// Nowhere: they end with the process.
    Memory,
}

/// A password, which no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// This password.
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Config {
    /// A server on 127.0.0.1:7419 that keeps its jobs in this place.
    pub fn new(store: Storage) -> Self {
        Self {
            listen: Listen::Address(SocketAddr::from(([127, 0, 0, 1], 7419))),
            store,
            durability: Durability::Sync,
            password: None,
            insecure: false,
            memory: 256 << 20,
            buffers: 64 << 20,
            connections: 10_000,
            keep_done: Duration::from_secs(3600),
            keep_dead: Duration::from_secs(180 * 86_400),
            backoffs: BTreeMap::new(),
            faults: Faults::default(),
        }
    }
}
