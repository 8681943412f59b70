//! Changes of files and directories, as the kernel tells them.

use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::retry_on_intr;

/// Room for the events of one read.
const BUFFER: usize = 16 * 1024;

/// Entries that come, go or get another name.
const ENTRIES: WatchFlags =
    WatchFlags::CREATE.union(WatchFlags::DELETE).union(WatchFlags::MOVED_FROM).union(WatchFlags::MOVED_TO);

/// Watches files and directories, each by itself; readable when one has changed.
#[derive(Debug)]
pub struct Inotify(OwnedFd);

/// Something that happened in a watched directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An entry was written, made, moved or removed.
    Entry {
        /// In the directory of this number.
        watch: i32,
        /// Its name.
        name: OsString,
        /// Whether it is a directory.
        directory: bool,
    },
    /// The directory of this number is watched no more: it is gone.
    Gone(i32),
    /// More happened than could be told.
    Overflow,
}

impl Inotify {
    /// Watches nothing yet. Reading never blocks.
    ///
    /// # Errors
    /// The kernel's: too many of them, or no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?))
    }

    /// Watches one directory: its entries, and every write to one.
    ///
    /// # Errors
    /// As [`Inotify::new`] and [`Inotify::watch`].
    pub fn of_writes(directory: &Path) -> io::Result<Self> {
        let inotify = Self::new()?;
        inotify.add(directory, ENTRIES | WatchFlags::MODIFY | WatchFlags::ONLYDIR)?;
        Ok(inotify)
    }

    /// Watches the directory, whose number this is: its entries, and what is written once it is closed.
    ///
    /// # Errors
    /// The kernel's: it is gone or no directory, not readable, or too many are watched.
    pub fn watch(&self, directory: &Path) -> io::Result<i32> {
        self.add(directory, ENTRIES | WatchFlags::CLOSE_WRITE | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW)
    }

    /// Watches the file that is at `path` at present: that it is removed, replaced or moved (or gets other rights), not
    /// that it is written. Watching it again changes nothing.
    ///
    /// # Errors
    /// The kernel's: there is none.
    pub fn watch_removal(&self, path: &Path) -> io::Result<()> {
        // A file that is still open somewhere says only that its number of names changed.
        let told = WatchFlags::ATTRIB | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        self.add(path, told | WatchFlags::DONT_FOLLOW).map(drop)
    }

    fn add(&self, path: &Path, what: WatchFlags) -> io::Result<i32> {
        Ok(inotify::add_watch(&self.0, path, what)?)
    }

    /// Waits for a change that was not told yet, `patience` at most. Whether there was one; which, the owner looks for.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self, patience: Duration) -> io::Result<bool> {
        let patience = Timespec::try_from(patience).ok();
        let mut poll_fd = [PollFd::new(&self.0, PollFlags::IN)];
        if retry_on_intr(|| poll(&mut poll_fd, patience.as_ref()))? == 0 {
            return Ok(false);
        }
        self.drain();
        Ok(true)
    }

    /// Reads away what waits to be told.
    pub fn drain(&self) {
        let mut events = [0; BUFFER];
        while retry_on_intr(|| rustix::io::read(&self.0, &mut events)).is_ok_and(|length| length > 0) {}
    }

    /// Everything that waits to be told.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(&self) -> io::Result<Vec<Change>> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(&self.0, &mut buffer);
        let mut changes = Vec::new();
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(error) if io::Error::from(error).kind() == io::ErrorKind::WouldBlock => return Ok(changes),
                Err(error) => return Err(error.into()),
            };
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                changes.push(Change::Overflow);
            } else if flags.contains(ReadFlags::IGNORED) {
                changes.push(Change::Gone(event.wd()));
            } else if let Some(name) = event.file_name() {
                let name = OsString::from_vec(name.to_bytes().to_vec());
                let directory = flags.contains(ReadFlags::ISDIR);
                changes.push(Change::Entry { watch: event.wd(), name, directory });
            }
        }
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoll::{Epoll, Interest};

    #[test]
    fn a_change_is_told_once() {
        let directory = tempfile::tempdir().expect("directory");
        let inotify = Inotify::of_writes(directory.path()).expect("watch");
        assert!(!inotify.wait(Duration::ZERO).expect("wait"));
        std::fs::write(directory.path().join("a"), "text").expect("write");
        assert!(inotify.wait(Duration::from_secs(10)).expect("wait"));
        assert!(!inotify.wait(Duration::ZERO).expect("wait"));
        assert!(Inotify::of_writes(&directory.path().join("a")).is_err());
    }

    #[test]
    fn a_file_that_is_removed_is_told_also_while_it_is_open_and_one_that_is_written_is_not() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("file");
        let file = std::fs::File::create(&path).expect("create");
        let inotify = Inotify::new().expect("inotify");
        inotify.watch_removal(&path).expect("watch");
        let epoll = Epoll::new().expect("epoll");
        epoll.add(&inotify, 1, Interest::READABLE).expect("add");
        let told = || {
            let mut ready = Vec::new();
            epoll.wait(&mut ready, Some(Duration::ZERO)).expect("wait");
            !ready.is_empty()
        };
        std::io::Write::write_all(&mut &file, b"text").expect("write");
        assert!(!told());
        std::fs::remove_file(&path).expect("remove");
        assert!(told());
        inotify.drain();
        assert!(!told());
        drop(file);
    }
}
