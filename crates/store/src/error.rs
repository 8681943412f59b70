//! The one error of this crate.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The command that checks a damaged store and saves what can be saved; every message about damage names it.
pub const REPAIR: &str = "evercrew queues repair";

/// What a store could not do.
#[derive(Debug)]
#[non_exhaustive]
pub struct Error {
    store: PathBuf,
    kind: ErrorKind,
    detail: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What the caller has to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The disk is full. Nothing of the commit was stored; later ones work as soon as there is space.
    Full,
    /// A write or a sync failed: what is on disk is not known. Acknowledge nothing, end, open again.
    SyncFailed,
    /// What is stored is not what was written. Nothing of it is served.
    Damaged,
    /// A later version of this program wrote it.
    Newer,
    /// Another server has it.
    Locked,
    /// It cannot be opened, or is not ours.
    Unusable,
}

impl Error {
    pub(crate) fn new(store: &Path, kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { store: store.to_owned(), kind, detail: detail.into(), source: None }
    }

    /// For `map_err`: a call to the file system, and what it was for.
    pub(crate) fn io(store: &Path, attempt: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| {
            let kind = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
                _ if error.raw_os_error() == Some(EIO) => ErrorKind::SyncFailed,
                _ => ErrorKind::Unusable,
            };
            Self { store: store.to_owned(), kind, detail: attempt.to_owned(), source: Some(Box::new(error)) }
        }
    }

    /// For `map_err`: a call to SQLite, and what it was for.
    pub(crate) fn sqlite(store: &Path, attempt: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |error| {
            let kind = kind_of(&error);
            Self { store: store.to_owned(), kind, detail: attempt.to_owned(), source: Some(Box::new(error)) }
        }
    }

    /// What the caller has to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the store can go on: only a full disk passes by itself.
    pub fn passes(&self) -> bool {
        self.kind == ErrorKind::Full
    }
}

/// Input/output error, the same number on every Linux.
const EIO: i32 = 5;

fn kind_of(error: &rusqlite::Error) -> ErrorKind {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::Full,
        Some(ErrorCode::SystemIoFailure) => ErrorKind::SyncFailed,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorKind::Damaged,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Locked,
        Some(_) => ErrorKind::Unusable,
        // A value of another type than was written, or a row that is missing.
        None => ErrorKind::Damaged,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = self.store.display();
        let detail = &self.detail;
        match self.kind {
            ErrorKind::Full => write!(f, "no space left for the store {store} ({detail}): nothing of this was stored")?,
            ErrorKind::SyncFailed => write!(f, "the store {store} is not safely on disk ({detail})")?,
            ErrorKind::Damaged => write!(f, "the store {store} is damaged ({detail})")?,
            ErrorKind::Newer => write!(f, "the store {store} was written by a later version ({detail})")?,
            ErrorKind::Locked => write!(f, "the store {store} is in use ({detail})")?,
            ErrorKind::Unusable => write!(f, "the store {store} cannot be used ({detail})")?,
        }
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        match self.kind {
            ErrorKind::Damaged => write!(f, "; nothing of it is served: see `{REPAIR}`"),
            ErrorKind::Newer => f.write_str("; use that version"),
            ErrorKind::Locked => f.write_str("; one store has one server: stop that one, or name another store"),
            ErrorKind::SyncFailed => f.write_str("; the server ends, and makes it safe at its next start"),
            ErrorKind::Full => f.write_str("; it goes on once there is space"),
            ErrorKind::Unusable => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| -> &(dyn std::error::Error + 'static) { source.as_ref() })
    }
}
