//! What the manager tells the logger over its link (SOCK_SEQPACKET, one JSON object a record).
//!
//! The logger outlives managers: the supervisor keeps the link's other end, so end of file on it means that manager
//! and supervisor are both gone. A new manager attaches every living worker's pipes again; the logger drops what it
//! already has. SIGTERM means: read every pipe to its end (at most 1 s), flush, exit 0.

use serde::{Deserialize, Serialize};

use crate::{Error, Text};

/// A record to the logger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToLogger {
    /// Where to write. The first record of every manager; a changed one takes effect for lines that follow.
    Configure {
        /// Directory of the files, made if it is missing.
        directory: Text,
        /// Whether lines go to stdout as well.
        terminal: bool,
    },
    /// Read this pipe. Descriptor: its read end.
    Attach {
        /// The worker's identity; with `stream` the key.
        worker: u64,
        /// `web.1`.
        name: String,
        /// `web`.
        service: String,
        /// From 1.
        generation: u32,
        /// Which output.
        stream: Stream,
        /// A regular expression; its first line is told with [`FromLogger::Matched`].
        #[serde(default)]
        ready: Option<String>,
    },
}

/// A record from the logger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromLogger {
    /// A line of this worker matched what its pipe was attached with.
    Matched {
        /// The worker's identity.
        worker: u64,
    },
}

/// Which output of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// stdout.
    Output,
    /// stderr.
    Error,
}

impl FromLogger {
    /// As JSON.
    ///
    /// # Errors
    /// When serialization fails, which only a bug can cause.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(Error::new("encode a record from the logger"))
    }

    /// From JSON.
    ///
    /// # Errors
    /// When the bytes are no record of this protocol.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(Error::new("decode a record from the logger"))
    }
}

impl ToLogger {
    /// As JSON.
    ///
    /// # Errors
    /// When serialization fails, which only a bug can cause.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(Error::new("encode a record to the logger"))
    }

    /// From JSON.
    ///
    /// # Errors
    /// When the bytes are no record of this protocol.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(Error::new("decode a record to the logger"))
    }
}
