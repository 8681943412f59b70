//! The service manager above the engine, as the supervisor knows it.

use serde::{Deserialize, Serialize};

use crate::supervisor::Address;

/// The service manager that started us, and what it wants to hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Above {
    /// Without a sign of life for so many microseconds it ends us; 0 is never.
    #[serde(default)]
    pub watchdog_us: u64,
}

/// A listening socket that the service manager above left us (`LISTEN_FDS`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherited {
    /// Its number.
    pub number: u32,
    /// Its name (`LISTEN_FDNAMES`, or what an engine before us stored it as); empty where it has none.
    #[serde(default)]
    pub name: String,
    /// Whether an engine before us opened it and had it kept.
    #[serde(default)]
    pub stored: bool,
    /// Where it listens.
    pub address: Address,
}
