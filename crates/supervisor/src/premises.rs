//! The files by which others find this engine: made again when somebody removes them.
//!
//! While the engine lives they are its own to give up. The claim on the directory's name, which no file stands for, keeps
//! a second engine out while they are missing, so making them again races with nobody.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use evercrew_sys::clock;
use evercrew_sys::epoll::Interest;
use evercrew_sys::inotify::Inotify;
use evercrew_sys::lock::Lock;
use evercrew_sys::pid_file::PidFile;
use evercrew_wire::control::LISTENER as CONTROL;

use crate::engine::{Engine, REMOVALS};
use crate::outgoing::Beside;

const NOTIFY: &str = "notify";

/// What the engine has in the file system, listeners excepted.
#[derive(Debug)]
pub(crate) struct Premises {
    pub(crate) directory: PathBuf,
    /// The rights that others have in it.
    mode: u32,
    /// Whose it is, and so whatever is made again in it.
    owner: Option<(u32, u32)>,
    lock: Lock,
    _claim: Option<OwnedFd>,
    pid_file: Option<PidFile>,
    removals: Option<Inotify>,
}

impl Premises {
    pub(crate) fn new(directory: PathBuf, lock: Lock, claim: Option<OwnedFd>, pid_file: Option<PidFile>) -> Self {
        let metadata = fs::metadata(&directory);
        let mode = metadata.as_ref().map_or(0o700, |metadata| metadata.permissions().mode() & 0o777);
        let owner = metadata.ok().map(|metadata| (metadata.uid(), metadata.gid()));
        // Without a watch nothing is made again, as a remark says.
        let removals = Inotify::new().ok();
        Self { directory, mode, owner, lock, _claim: claim, pid_file, removals }
    }

    pub(crate) fn removals(&self) -> Option<&Inotify> {
        self.removals.as_ref()
    }

    /// Waits for the removal of whatever is there.
    fn watch(&self) {
        let Some(removals) = &self.removals else { return };
        let own = ["lock", "instance", "control.sock", NOTIFY].map(|name| self.directory.join(name));
        let pid_file = self.pid_file.as_ref().map(|file| file.path().to_owned());
        for path in own.into_iter().chain([self.directory.clone()]).chain(pid_file) {
            // What is missing was told of already.
            let _ = removals.watch_removal(&path);
        }
    }

    /// Makes again what is missing; what was made, or why it could not be.
    fn restore(&mut self, instance: &str) -> Vec<String> {
        let mut said = Vec::new();
        let owner = self.owner;
        let mut tell = |path: &Path, made: io::Result<bool>| match made {
            Ok(false) => {}
            Ok(true) => {
                said.push(format!("WARN  {} was removed and is made again", path.display()));
                if let Some((uid, gid)) = owner {
                    // Nobody's concern where it is the supervisor's own, and refused where it cannot be another's.
                    let _ = lchown(path, Some(uid), Some(gid));
                }
            }
            Err(error) => said.push(format!(
                "ERROR {} was removed and cannot be made again ({error}); `kill -TERM {}` stops the engine",
                path.display(),
                std::process::id()
            )),
        };
        for directory in [self.directory.clone(), self.directory.join(NOTIFY)] {
            tell(&directory, make_directory(&directory, self.mode));
        }
        let lock = self.directory.join("lock");
        tell(&lock, self.restore_lock(&lock));
        let path = self.directory.join("instance");
        tell(&path, write_instance(&path, instance));
        if let Some(file) = self.pid_file.as_mut().filter(|file| !file.is_there()) {
            let path = file.path().to_owned();
            tell(&path, PidFile::create(&path).map(|made| *file = made).map(|()| true).map_err(io::Error::other));
        }
        said
    }

    fn restore_lock(&mut self, path: &Path) -> io::Result<bool> {
        if self.lock.is_at(path)? {
            return Ok(false);
        }
        self.lock = Lock::acquire(path).map_err(io::Error::other)?;
        Ok(true)
    }

    pub(crate) fn give_up(&self) {
        if let Some(file) = &self.pid_file {
            file.remove();
        }
        // It stays where somebody else has something in it.
        let _ = fs::remove_dir(self.directory.join(NOTIFY));
    }
}

fn make_directory(path: &Path, mode: u32) -> io::Result<bool> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_instance(path: &Path, instance: &str) -> io::Result<bool> {
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file.write_all(instance.as_bytes()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

impl Engine {
    /// Whether everything is there, and from now on when it is not.
    pub(crate) fn guard_premises(&mut self) {
        match self.premises.removals().map(|removals| self.epoll.add(removals, REMOVALS, Interest::READABLE)) {
            Some(Ok(())) => self.premises.watch(),
            Some(Err(_)) | None => {
                self.say("INFO  files cannot be watched: one of the engine's own that is removed is not made again");
            }
        }
    }

    /// A moment later: whoever removes one file often removes more.
    pub(crate) fn something_removed(&mut self) {
        if let Some(removals) = self.premises.removals() {
            removals.drain();
        }
        self.care.premises_changed(clock::mono());
    }

    pub(crate) fn look_at_premises(&mut self) {
        let instance = std::env::var("EVERCREW_INSTANCE").unwrap_or_default();
        for line in self.premises.restore(&instance) {
            self.say(&line);
        }
        if self.custody.is_displaced(CONTROL) {
            if let Some(socket) = self.custody.listener(CONTROL) {
                let _ = self.epoll.remove(socket);
            }
            match self.custody.bind_again(CONTROL) {
                Ok(None) => {}
                Ok(Some(record)) => {
                    self.say("WARN  the control socket was removed and is made again");
                    self.tell(record, Beside::Listener(CONTROL.to_owned()));
                }
                Err(error) => {
                    self.say(&format!("ERROR the control socket was removed and cannot be made again: {error}"))
                }
            }
            self.await_callers(CONTROL);
        }
        self.premises.watch();
    }
}
