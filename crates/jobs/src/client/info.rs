//! How a server stands.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// How a server stands. What is not read here is in [`Info::whole`].
#[derive(Clone, Debug, Default)]
pub struct Info {
    /// Queues and how many jobs are in them.
    pub queues: BTreeMap<String, u64>,
    /// The other places of jobs.
    pub sets: InfoSets,
    /// Jobs that came to an end since the server counts, failed ones among them.
    pub total_processed: u64,
    /// Failures since the server counts.
    pub total_failures: u64,
    /// The server itself.
    pub server: InfoServer,
    /// All of it.
    pub whole: Value,
}

/// How many jobs are in which place.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct InfoSets {
    /// For later.
    pub scheduled: u64,
    /// Failed, and tried again later.
    pub retries: u64,
    /// Given up.
    pub dead: u64,
    /// With workers.
    pub working: u64,
}

/// The server itself.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct InfoServer {
    /// What it calls itself.
    pub description: String,
    /// The version of the protocol's server that it is like.
    pub faktory_version: String,
    /// Seconds since it started.
    pub uptime: u64,
    /// Connections that are open.
    pub connections: u64,
}

impl Info {
    pub(crate) fn of(whole: Value) -> Self {
        fn part<T: Default + for<'a> Deserialize<'a>>(value: &Value) -> T {
            T::deserialize(value).unwrap_or_default()
        }
        let jobs = &whole["faktory"];
        let sets = match &jobs["sets"] {
            Value::Null => {
                let size = |task: &str| jobs["tasks"][task]["size"].as_u64().unwrap_or(0);
                InfoSets {
                    scheduled: size("Scheduled"),
                    retries: size("Retries"),
                    dead: size("Dead"),
                    working: size("Busy"),
                }
            }
            sets => part(sets),
        };
        Self {
            queues: part(&jobs["queues"]),
            sets,
            total_processed: part(&jobs["total_processed"]),
            total_failures: part(&jobs["total_failures"]),
            server: part(&whole["server"]),
            whole,
        }
    }
}
