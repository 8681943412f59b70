//! What a worker may use together with its descendants.

use serde::{Deserialize, Serialize};

/// What the processes of a worker may use together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Bytes of memory.
    #[serde(default)]
    pub memory: Option<u64>,
    /// Processes and threads.
    #[serde(default)]
    pub pids: Option<u32>,
    /// Thousandths of a processor.
    #[serde(default)]
    pub cpu: Option<u32>,
}

impl Bounds {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
