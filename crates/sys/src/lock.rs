//! The lock that says who runs in a directory.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A held lock on a file whose text is our pid. It ends with the last descriptor of it, so with the process: a file
/// that is left behind locks nothing. The file is never removed.
#[derive(Debug)]
pub struct Lock(OwnedFd);

/// A lock that was not acquired.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds it.
    Held {
        /// Its pid, as the file tells; `None` when it has not written it yet.
        pid: Option<u32>,
    },
    /// The file could not be opened or written.
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { pid: Some(pid) } => write!(f, "the lock is held by process {pid}"),
            Self::Held { pid: None } => f.write_str("the lock is held by another process"),
            Self::Io { path, source } => write!(f, "cannot lock {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Held { .. } => None,
            Self::Io { source, .. } => Some(source),
        }
    }
}

impl Lock {
    /// Takes the lock at `path`, creating the file (0600, closed on exec) where it is missing. Never waits.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let _ = path;
        unimplemented!()
    }
}

impl From<OwnedFd> for Lock {
    /// Takes up a lock that survived an exec.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Lock> for OwnedFd {
    fn from(lock: Lock) -> Self {
        lock.0
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
