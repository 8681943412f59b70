//! The lock that says who runs in a directory.

use rustix::fs::{Mode, OFlags, fstat, ftruncate, open, stat};
use rustix::io::{Errno, pread, pwrite};
use std::ffi::{c_int, c_short};
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process;

/// A held lock on a file whose text is our pid. It ends with the last descriptor of it, so with the process: a file
/// that is left behind locks nothing. The file is never removed.
///
/// It is a lock of the open file description: kept across an exec with its descriptor, and one of the few kinds that
/// can be asked about ([`holder`]) without being taken.
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
            let mut lock = whole_file();
            match control(&fd, libc::F_OFD_SETLK, &mut lock) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(LockError::Held { pid: written_pid(&fd) });
                }
                Err(error) => return Err(failed(error)),
            }
            if is_at(&fd, path).map_err(failed)? {
                write_pid(&fd).map_err(failed)?;
                return Ok(Self(fd));
            }
            // Somebody removed or replaced the file between the two calls: what is locked is not what others see.
        }
    }
}

impl Lock {
    /// Whether the file at `path` is the locked one: somebody may have removed or replaced it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        is_at(&self.0, path)
    }
}

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody, or there is no such file.
    Nobody,
    /// Some process, with its pid as the file tells; `None` when it has not written it yet.
    Somebody(Option<u32>),
}

/// Asks who holds the lock at `path`. Neither takes it, nor writes, nor is in the way of who takes it meanwhile.
///
/// # Errors
/// When the file is there but cannot be opened or asked about.
pub fn holder(path: &Path) -> io::Result<Holder> {
    // Not made to wait by what is no regular file.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let fd = match open(path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Holder::Nobody),
        Err(error) => return Err(error.into()),
    };
    let mut lock = whole_file();
    control(&fd, libc::F_OFD_GETLK, &mut lock)?;
    let free = c_int::from(lock.l_type) == libc::F_UNLCK;
    Ok(if free { Holder::Nobody } else { Holder::Somebody(written_pid(&fd)) })
}

/// The process that holds the lock at `path`, with its pid: the one that the file names and that has this very file
/// open. `None` when nobody holds it, or no such process is visible.
///
/// # Errors
/// When the file, or what that process has open, cannot be looked at.
pub fn holding_process(path: &Path) -> io::Result<Option<(u32, OwnedFd)>> {
    let Holder::Somebody(Some(pid)) = holder(path)? else { return Ok(None) };
    let Ok(pidfd) = process::open(pid) else { return Ok(None) };
    let locked = stat(path)?;
    let is_locked = |found: std::fs::Metadata| (found.dev(), found.ino()) == (locked.st_dev, locked.st_ino);
    let mut open = std::fs::read_dir(format!("/proc/{pid}/fd"))?.flatten();
    let has_it = open.any(|entry| std::fs::metadata(entry.path()).is_ok_and(is_locked));
    // It lives on: so what was looked at under its number was its own.
    Ok((has_it && !process::wait_exit(pidfd.as_fd(), Duration::ZERO)?).then_some((pid, pidfd)))
}

/// An exclusive lock of every byte.
pub(crate) fn whole_file() -> libc::flock {
    // SAFETY: plain numbers, all of which may be zero.
    let mut lock: libc::flock = unsafe { mem::zeroed() };
    // Both are below 3.
    lock.l_type = libc::F_WRLCK as c_short;
    lock.l_whence = libc::SEEK_SET as c_short;
    lock
}

/// `command` is F_OFD_SETLK or F_OFD_GETLK, which writes its answer to `lock`.
pub(crate) fn control(fd: &OwnedFd, command: c_int, lock: &mut libc::flock) -> io::Result<()> {
    // SAFETY: an open descriptor, and a structure that is ours for the time of the call, which is all that these
    // commands read and write.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), command, std::ptr::from_mut(lock)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(crate) fn written_pid(fd: &OwnedFd) -> Option<u32> {
    let mut text = [0u8; 32];
    let length = pread(fd, &mut text, 0).ok()?;
    std::str::from_utf8(text.get(..length)?).ok()?.trim().parse().ok()
}

/// Whether `path` leads to the open file `fd`.
pub(crate) fn is_at(fd: &OwnedFd, path: &Path) -> io::Result<bool> {
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
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Mutex, PoisonError};

    /// A child that another test starts holds a copy of every lock of this program until its exec.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    #[test]
    fn a_held_lock_names_its_holder_and_a_left_file_locks_nothing() {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
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
    fn asking_tells_the_holder_and_makes_no_file() {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("lock");
        assert_eq!(holder(&path).expect("no file"), Holder::Nobody);
        assert!(!path.exists());
        let lock = Lock::acquire(&path).expect("free");
        assert_eq!(holder(&path).expect("held"), Holder::Somebody(Some(std::process::id())));
        drop(lock);
        std::fs::write(&path, "17\n").expect("write");
        assert_eq!(holder(&path).expect("left"), Holder::Nobody);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "17\n");
        assert_eq!(holder(&path.join("below")).expect("a file is no directory"), Holder::Nobody);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("link");
        assert!(holder(&link).is_err());
    }

    #[test]
    fn who_asks_is_never_in_the_way_of_who_locks() {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("lock");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut asked = 0;
                while !done.load(Ordering::Relaxed) {
                    holder(&path).expect("ask");
                    asked += 1;
                }
                asked
            });
            let refused = (0..2000).filter(|_| Lock::acquire(&path).is_err()).count();
            done.store(true, Ordering::Relaxed);
            assert!(asking.join().expect("no panic") > 0);
            assert_eq!(refused, 0);
        });
    }

    #[test]
    fn the_lock_goes_with_its_descriptor_into_another_program_and_ends_with_it() {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("lock");
        let lock = OwnedFd::from(Lock::acquire(&path).expect("free"));
        let mut child = Command::new("sleep").arg("1000").stdin(lock).spawn().expect("sleep");
        assert_eq!(holder(&path).expect("ask"), Holder::Somebody(Some(std::process::id())));
        assert!(matches!(Lock::acquire(&path), Err(LockError::Held { .. })));
        child.kill().expect("kill");
        child.wait().expect("reap");
        assert_eq!(holder(&path).expect("ask"), Holder::Nobody);
    }

    #[test]
    fn the_process_that_holds_it_is_found_and_one_that_is_only_named_is_not() {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("lock");
        let lock = Lock::acquire(&path).expect("free");
        let found = holding_process(&path).expect("ask").map(|(pid, _)| pid);
        assert_eq!(found, Some(std::process::id()));
        let mut other = Command::new("sleep").arg("1000").spawn().expect("sleep");
        std::fs::write(&path, format!("{}\n", other.id())).expect("write");
        assert!(holding_process(&path).expect("ask").is_none(), "it has the file not open");
        other.kill().expect("kill");
        other.wait().expect("reap");
        drop(lock);
        assert!(holding_process(&path).expect("ask").is_none());
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_the_path() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("none/lock");
        let text = Lock::acquire(&path).expect_err("no directory").to_string();
        assert!(text.contains("none/lock"), "{text}");
    }
}
