//! A file with our pid, for those who know a server by one.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::lock::{self, LockError, control, whole_file, written_pid};
use crate::process;

/// A pid file that is ours: 0644, there with its whole text or not at all, and locked as long as we live, so that one
/// that a kill left behind is known for stale.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: OwnedFd,
}

impl PidFile {
    /// Makes the file at `path`. One that is stale is replaced: nobody has it locked, and no other process has the pid
    /// that stands in it. Of several who try at once one gets it.
    ///
    /// # Errors
    /// [`LockError`]: held, with the pid, by another process that lives.
    pub fn create(path: &Path) -> Result<Self, LockError> {
        let failed = |source: io::Error| LockError::Io { path: path.to_owned(), source };
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let fresh = Fresh(PathBuf::from(name));
        let file = fresh.write().map_err(failed)?;
        loop {
            match fs::hard_link(&fresh.0, path) {
                Ok(()) => return Ok(Self { path: path.to_owned(), file }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
            let found = match File::options().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path) {
                Ok(found) => OwnedFd::from(found),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            let pid = written_pid(&found);
            // Whoever replaces a stale one holds its lock, so that nobody replaces what replaced it.
            match control(&found, libc::F_OFD_SETLK, &mut whole_file()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(LockError::Held { pid }),
                Err(error) => return Err(failed(error)),
            }
            if !lock::is_at(&found, path).map_err(failed)? {
                continue;
            }
            let other = pid.filter(|pid| *pid != std::process::id());
            if other.is_some_and(process::exists) {
                return Err(LockError::Held { pid: other });
            }
            fs::rename(&fresh.0, path).map_err(failed)?;
            return Ok(Self { path: path.to_owned(), file });
        }
    }

    /// Takes up one that survived an exec.
    pub fn adopt(path: PathBuf, file: OwnedFd) -> Self {
        Self { path, file }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is still there.
    pub fn is_there(&self) -> bool {
        lock::is_at(&self.file, &self.path).unwrap_or(false)
    }

    /// Removes it, if what is there is ours.
    pub fn remove(&self) {
        if self.is_there() {
            // What cannot be removed is stale as soon as we are gone.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl AsFd for PidFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The file under another name, removed in the end where it still has that.
#[derive(Debug)]
struct Fresh(PathBuf);

impl Fresh {
    fn write(&self) -> io::Result<OwnedFd> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::options().read(true).write(true).create_new(true).mode(0o644).open(&self.0)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        writeln!(file, "{}", std::process::id())?;
        let file = OwnedFd::from(file);
        control(&file, libc::F_OFD_SETLK, &mut whole_file())?;
        Ok(file)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_whole_and_ours_a_stale_one_goes_and_a_live_one_stays() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("pid");
        let own = format!("{}\n", std::process::id());
        let first = PidFile::create(&path).expect("free");
        assert_eq!(fs::read_to_string(&path).expect("read"), own);
        assert_eq!(fs::metadata(&path).expect("stat").permissions().mode() & 0o777, 0o644);
        assert!(matches!(PidFile::create(&path), Err(LockError::Held { pid }) if pid == Some(std::process::id())));
        drop(first);
        for stale in ["", "garbage", "4194305\n", &own] {
            fs::write(&path, stale).expect("write");
            let mine = PidFile::create(&path).unwrap_or_else(|error| panic!("{stale:?}: {error}"));
            assert_eq!(fs::read_to_string(&path).expect("read"), own);
            mine.remove();
            assert!(!path.exists());
        }
        let mut other = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep");
        fs::write(&path, format!("{}\n", other.id())).expect("write");
        assert!(matches!(PidFile::create(&path), Err(LockError::Held { pid }) if pid == Some(other.id())));
        other.kill().expect("kill");
        other.wait().expect("reap");
        let mine = PidFile::create(&path).expect("stale");
        fs::remove_file(&path).expect("remove");
        fs::write(&path, "1\n").expect("another's");
        assert!(!mine.is_there());
        mine.remove();
        assert_eq!(fs::read_to_string(&path).expect("read"), "1\n", "what is not ours stays");
        assert_eq!(fs::read_dir(directory.path()).expect("list").count(), 1, "nothing else is left");
    }
}
