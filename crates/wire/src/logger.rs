//! What the manager tells the logger over its link (SOCK_SEQPACKET, one JSON object a record).
//!
//! The logger outlives managers: the supervisor keeps the link's other end, so end of file on it means that manager
//! and supervisor are both gone. A new manager attaches every living worker's pipes again; the logger drops what it
//! already has. SIGTERM means: read every pipe to its end (at most 1 s), flush, exit 0.

use serde::{Deserialize, Serialize};

use crate::{Error, Text};

/// The standard error of an engine in the background, in its directory: what is said where no logger is.
pub const DAEMON_LOG: &str = "daemon.log";
/// It is begun anew above this many bytes.
pub const MOST_DAEMON_LOG: u64 = 1024 * 1024;

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
        /// What becomes of [`ToLogger::Line`].
        #[serde(default)]
        engine: Style,
        /// A file that unfinished lines survive the logger in; `None` keeps none.
        #[serde(default)]
        held: Option<Text>,
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
        /// What becomes of its lines; a changed one takes effect for lines that follow.
        #[serde(default)]
        style: Style,
        /// Bytes of it that were thrown away while no logger ran.
        #[serde(default)]
        discarded: u64,
    },
    /// A line of the engine itself, for its own file.
    Line {
        /// Milliseconds since 1970, UTC.
        at: u64,
        /// `info`.
        level: String,
        /// What it says.
        text: String,
    },
    /// Which lines of its own the logger writes to standard error.
    LogLevel {
        /// `info`.
        level: String,
    },
    /// Asks what this worker last wrote; what waits in its pipes counts. Answered by `FromLogger::Tail`.
    Tail {
        /// The worker's identity.
        worker: u64,
    },
}

/// What becomes of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Style {
    /// Which file they go to.
    pub files: Files,
    /// How they stand there.
    pub format: Format,
    /// Bytes before which a new file is begun.
    pub max_size: u64,
    /// Age at which a new file is begun.
    pub max_age_ms: Option<u64>,
    /// Files kept beside the one that is written.
    pub keep: u32,
    /// Whether those are compressed.
    pub compress: bool,
    /// Whether lines go to stdout as well, where that is wanted at all.
    pub terminal: bool,
}

/// Which file lines go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Files {
    /// The worker's.
    Worker,
    /// The service's.
    Service,
    /// To none.
    None,
}

/// How a line stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Time, worker, stream and text.
    Text,
    /// An object a line.
    Json,
}

/// What an older manager meant: one file for each worker, which grows.
impl Default for Style {
    fn default() -> Self {
        Self {
            files: Files::Worker,
            format: Format::Text,
            max_size: u64::MAX,
            max_age_ms: None,
            keep: 0,
            compress: false,
            terminal: true,
        }
    }
}

/// Lines of a tail, the newest ones.
pub const TAIL_LINES: usize = 20;
/// Bytes of a tail.
pub const TAIL_BYTES: usize = 4096;

/// A record from the logger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromLogger {
    /// A line of this worker matched what its pipe was attached with.
    Matched {
        /// The worker's identity.
        worker: u64,
    },
    /// A file cannot be written; its lines wait, and beyond a bound they are dropped.
    Failed {
        /// Its path.
        file: Text,
        /// Why.
        error: String,
    },
    /// It can be written again.
    Resumed {
        /// Its path.
        file: Text,
        /// Lines that were dropped.
        dropped: u64,
    },
    /// What this worker last wrote, at most [`TAIL_LINES`] lines and [`TAIL_BYTES`] bytes. The answer to `Tail`.
    Tail {
        /// The worker's identity.
        worker: u64,
        /// Its lines, oldest first.
        lines: Vec<String>,
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
