//! Being told that something in a directory changes.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::retry_on_intr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// A directory that is watched: files in it are made, written, renamed, deleted.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Of the directory at `path`.
    ///
    /// # Errors
    /// The kernel's: there is no such directory, or the user has too many watches.
    pub fn directory(path: &Path) -> io::Result<Self> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR;
        add_watch(&inotify, path, flags)?;
        Ok(Self(inotify))
    }

    /// Waits for a change that was not told yet, `patience` at most. Whether there was one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self, patience: Duration) -> io::Result<bool> {
        let patience = Timespec::try_from(patience).ok();
        let mut poll_fd = [PollFd::new(&self.0, PollFlags::IN)];
        if retry_on_intr(|| poll(&mut poll_fd, patience.as_ref()))? == 0 {
            return Ok(false);
        }
        // What it was, nobody needs to know: whoever is told looks at everything.
        let mut buffer = [0; 16 * 1024];
        while rustix::io::read(&self.0, &mut buffer).is_ok_and(|count| count == buffer.len()) {}
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once() {
        let directory = tempfile::tempdir().expect("directory");
        let watch = Watch::directory(directory.path()).expect("watch");
        assert!(!watch.wait(Duration::ZERO).expect("wait"));
        std::fs::write(directory.path().join("a"), "text").expect("write");
        assert!(watch.wait(Duration::from_secs(10)).expect("wait"));
        assert!(!watch.wait(Duration::ZERO).expect("wait"));
        assert!(Watch::directory(&directory.path().join("a")).is_err());
    }
}
