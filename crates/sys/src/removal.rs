//! Being told when a file is removed, without looking again and again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// Becomes readable when one of its files is removed, replaced or moved (or gets other rights): non-blocking, closed on
/// exec. What happened is not told: the owner looks.
#[derive(Debug)]
pub struct Removals(OwnedFd);

impl Removals {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The kernel's: no descriptor, or no watch of this user's is left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?))
    }

    /// Watches the file that is at `path` at present. Watching it again changes nothing.
    ///
    /// # Errors
    /// The kernel's: there is none.
    pub fn watch(&self, path: &Path) -> io::Result<()> {
        // A file that is still open somewhere says only that its number of names changed.
        let told = WatchFlags::ATTRIB | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        inotify::add_watch(&self.0, path, told | WatchFlags::DONT_FOLLOW)?;
        Ok(())
    }

    /// Reads what it has to say away.
    pub fn drain(&self) {
        let mut events = [0; 4096];
        while rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut events)).is_ok_and(|length| length > 0) {}
    }
}

impl AsFd for Removals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoll::{Epoll, Interest};
    use std::time::Duration;

    #[test]
    fn a_file_that_is_removed_is_told_also_while_it_is_open_and_one_that_is_written_is_not() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("file");
        let file = std::fs::File::create(&path).expect("create");
        let removals = Removals::new().expect("inotify");
        removals.watch(&path).expect("watch");
        let epoll = Epoll::new().expect("epoll");
        epoll.add(&removals, 1, Interest::READABLE).expect("add");
        let told = || {
            let mut ready = Vec::new();
            epoll.wait(&mut ready, Some(Duration::ZERO)).expect("wait");
            !ready.is_empty()
        };
        std::io::Write::write_all(&mut &file, b"text").expect("write");
        assert!(!told());
        std::fs::remove_file(&path).expect("remove");
        assert!(told());
        removals.drain();
        assert!(!told());
        drop(file);
    }
}
