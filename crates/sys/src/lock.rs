//! The lock that says who runs in a directory.

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, ftruncate, open, stat};
use rustix::io::{Errno, pread, pwrite};
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
        let failed = |source: io::Error| LockError::Io { path: path.to_owned(), source };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        loop {
            let fd = open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| failed(error.into()))?;
            match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(LockError::Held { pid: holder(&fd) }),
                Err(error) => return Err(failed(error.into())),
            }
            if is_still_at(&fd, path).map_err(failed)? {
                write_pid(&fd).map_err(failed)?;
                return Ok(Self(fd));
            }
            // Somebody removed or replaced the file between the two calls: what is locked is not what others see.
        }
    }
}

fn holder(fd: &OwnedFd) -> Option<u32> {
    let mut text = [0u8; 32];
    let length = pread(fd, &mut text, 0).ok()?;
    std::str::from_utf8(text.get(..length)?).ok()?.trim().parse().ok()
}

fn is_still_at(fd: &OwnedFd, path: &Path) -> io::Result<bool> {
    let held = fstat(fd)?;
    match stat(path) {
        Ok(found) => Ok((found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn write_pid(fd: &OwnedFd) -> io::Result<()> {
    ftruncate(fd, 0)?;
    pwrite(fd, format!("{}\n", std::process::id()).as_bytes(), 0)?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_names_its_holder_and_a_left_file_locks_nothing() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("lock");
        let lock = Lock::acquire(&path).expect("first");
        match Lock::acquire(&path) {
            Err(LockError::Held { pid }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("expected a held lock, got {other:?}"),
        }
        drop(lock);
        assert!(path.exists());
        std::fs::write(&path, "4194304 leftover of a longer text").expect("write");
        let lock = Lock::acquire(&path).expect("stale");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), format!("{}\n", std::process::id()));
        drop(lock);
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_the_path() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("none/lock");
        let text = Lock::acquire(&path).expect_err("no directory").to_string();
        assert!(text.contains("none/lock"), "{text}");
    }
}
