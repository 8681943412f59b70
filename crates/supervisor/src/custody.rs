//! What outlives managers: listeners and deposits.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use evercrew_sys::descriptor;
use evercrew_sys::listener::{self, Address, BindError, Options};
use evercrew_wire::supervisor::{self as wire, Bind, ToManager};

use crate::above::{Above, Heirloom};

/// An open listening socket.
#[derive(Debug)]
struct Listener {
    bind: Bind,
    socket: OwnedFd,
    /// Which file a unix socket's is; none for one whose file is somebody else's.
    file: Option<(u64, u64)>,
    /// What the service manager above keeps it under.
    stored: Option<String>,
}

impl Listener {
    fn path(&self) -> Option<PathBuf> {
        match &self.bind.address {
            wire::Address::Unix(path) => Some(path.to_path()),
            wire::Address::Tcp(_) => None,
        }
    }

    /// Whether its file is still the one that it made.
    fn is_there(&self) -> bool {
        self.path().is_none_or(|path| self.file.is_some() && file_at(&path) == self.file)
    }

    fn remove_file(&self) {
        if let Some(path) = self.path().filter(|_| self.is_there()) {
            // Gone already is what was wanted; anything else leaves a stale file that the next start replaces.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Which file is at a path.
pub(crate) fn file_at(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Listeners by name, and the last deposits.
#[derive(Debug)]
pub(crate) struct Custody {
    listeners: BTreeMap<String, Listener>,
    configuration: OwnedFd,
    state: Option<OwnedFd>,
    wishes: Option<String>,
}

impl Custody {
    pub(crate) fn new(configuration: OwnedFd) -> Self {
        Self { listeners: BTreeMap::new(), configuration, state: None, wishes: None }
    }

    /// Opens a listener, or takes the one that was left to us; the answer to the manager either way.
    pub(crate) fn bind(&mut self, bind: Bind, above: &mut Above) -> ToManager {
        if let Some(open) = self.listeners.get_mut(&bind.listener).filter(|open| open.bind.address == bind.address) {
            // What the kernel refuses leaves the queue as long as it was.
            if open.bind.backlog != bind.backlog && listener::set_backlog(&open.socket, bind.backlog).is_ok() {
                open.bind.backlog = bind.backlog;
            }
            if open.bind.nonblocking != bind.nonblocking
                && descriptor::set_nonblocking(&open.socket, bind.nonblocking).is_ok()
            {
                open.bind.nonblocking = bind.nonblocking;
            }
            return ToManager::Bound { listener: bind.listener, address: bind.address };
        }
        if let Some(Heirloom { socket, stored, file, .. }) = bind.inherited.and_then(|number| above.give(number)) {
            // Whoever opened it chose its queue; a kernel that refuses another leaves it so.
            let _ = listener::set_backlog(&socket, bind.backlog);
            let _ = descriptor::set_nonblocking(&socket, bind.nonblocking);
            return self.keep(Listener { bind, socket, file, stored });
        }
        match open(&bind) {
            Ok(mut opened) => {
                let name = opened.bind.store.clone();
                opened.stored = name.and_then(|name| above.keep(&name, &opened.socket, opened.path().as_deref()));
                self.keep(opened)
            }
            Err(error) => ToManager::BindFailed {
                listener: bind.listener,
                address: bind.address,
                errno: error.errno(),
                message: error.to_string(),
            },
        }
    }

    fn keep(&mut self, opened: Listener) -> ToManager {
        let Bind { listener, address, .. } = opened.bind.clone();
        self.listeners.insert(listener.clone(), opened);
        ToManager::Bound { listener, address }
    }

    /// Whether somebody removed or replaced the file of this unix socket.
    pub(crate) fn is_displaced(&self, name: &str) -> bool {
        self.listeners.get(name).is_some_and(|listener| !listener.is_there())
    }

    /// Opens a listener anew in the place of one whose file is gone; the old one is closed.
    ///
    /// # Errors
    /// When it cannot be opened; the old one stays.
    pub(crate) fn bind_again(&mut self, name: &str) -> Result<Option<ToManager>, BindError> {
        let Some(bind) = self.listeners.get(name).map(|listener| listener.bind.clone()) else { return Ok(None) };
        open(&bind).map(|opened| Some(self.keep(opened)))
    }

    /// Closes a listener and removes a unix socket's file. Workers that share it find no newcomers in its queue, so that
    /// they can empty it before they close it too.
    pub(crate) fn unbind(&mut self, name: &str, above: &mut Above) {
        if let Some(listener) = self.listeners.remove(name) {
            if let Some(stored) = &listener.stored {
                above.forget(stored);
            }
            // Without it the last ones in the queue are cut off; there is nothing to do about that.
            let _ = listener::retire(&listener.socket);
            listener.remove_file();
        }
    }

    /// Closes all. One that is kept for the next engine keeps its file, by which it is found.
    pub(crate) fn unbind_all(&mut self) {
        let listeners = std::mem::take(&mut self.listeners);
        for listener in listeners.into_values().filter(|listener| listener.stored.is_none()) {
            listener.remove_file();
        }
    }

    pub(crate) fn listener(&self, name: &str) -> Option<BorrowedFd<'_>> {
        self.listeners.get(name).map(|listener| listener.socket.as_fd())
    }

    /// Each listener as the inventory tells it.
    pub(crate) fn describe(&self) -> impl Iterator<Item = (String, ToManager)> {
        self.listeners.iter().map(|(name, listener)| {
            (name.clone(), ToManager::Bound { listener: name.clone(), address: listener.bind.address.clone() })
        })
    }

    /// Keeps a deposit; opaque here.
    pub(crate) fn deposit(&mut self, state: OwnedFd, configuration: Option<OwnedFd>, wishes: Option<String>) {
        self.state = Some(state);
        self.wishes = wishes.or_else(|| self.wishes.take());
        if let Some(configuration) = configuration {
            self.configuration = configuration;
        }
    }

    /// The deposits as they are, in the place of which others come.
    ///
    /// # Errors
    /// When no descriptor is left for them.
    pub(crate) fn copy_deposits(&self) -> std::io::Result<(OwnedFd, Option<OwnedFd>)> {
        let state = self.state.as_ref().map(descriptor::duplicate).transpose()?;
        Ok((descriptor::duplicate(&self.configuration)?, state))
    }

    /// Takes deposits back.
    pub(crate) fn restore_deposits(&mut self, (configuration, state): (OwnedFd, Option<OwnedFd>)) {
        (self.configuration, self.state) = (configuration, state);
    }

    /// Configuration, then state unless it is withheld.
    pub(crate) fn deposits(&self, with_state: bool) -> Vec<BorrowedFd<'_>> {
        std::iter::once(self.configuration.as_fd())
            .chain(self.state.as_ref().filter(|_| with_state).map(AsFd::as_fd))
            .collect()
    }

    pub(crate) fn wishes(&self) -> Option<String> {
        self.wishes.clone()
    }

    pub(crate) fn has_state(&self) -> bool {
        self.state.is_some()
    }
}

fn open(bind: &Bind) -> Result<Listener, BindError> {
    let options = Options { backlog: bind.backlog, mode: bind.mode, reuse_port: bind.reuse_port, ..Options::default() };
    let address = match &bind.address {
        wire::Address::Tcp(tcp) => Address::Tcp(*tcp),
        wire::Address::Unix(path) => Address::Unix(path.to_path()),
    };
    let socket = listener::bind(&address, &options)?;
    if bind.nonblocking {
        // It cannot fail for a socket that is open.
        let _ = descriptor::set_nonblocking(&socket, true);
    }
    if let (Address::Unix(path), Some((uid, gid))) = (&address, bind.owner) {
        // Whoever cannot use it says so; the socket itself works.
        let _ = std::os::unix::fs::lchown(path, Some(uid), Some(gid));
    }
    let file = match &address {
        Address::Unix(path) => file_at(path),
        Address::Tcp(_) => None,
    };
    Ok(Listener { bind: bind.clone(), socket, file, stored: None })
}
