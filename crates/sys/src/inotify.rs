//! Changes below directories, as the kernel tells them.

use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

/// Room for the events of one read.
const BUFFER: usize = 16 * 1024;

/// Watches directories, each by itself.
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

    /// Watches the directory, whose number this is.
    ///
    /// # Errors
    /// The kernel's: it is gone or no directory, not readable, or too many are watched.
    pub fn watch(&self, directory: &Path) -> io::Result<i32> {
        let what = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        Ok(inotify::add_watch(&self.0, directory, what)?)
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
