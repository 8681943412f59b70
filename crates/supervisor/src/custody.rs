//! What outlives managers: listeners and deposits.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use evercrew_sys::listener::{self, Address, Options};
use evercrew_wire::supervisor::{self as wire, Bind, ToManager};

/// An open listening socket.
#[derive(Debug)]
struct Listener {
    address: wire::Address,
    backlog: u32,
    socket: OwnedFd,
    /// The file of a unix socket, as it was made.
    file: Option<(u64, u64)>,
}

/// Listeners by name, and the last deposits.
#[derive(Debug)]
pub(crate) struct Custody {
    listeners: BTreeMap<String, Listener>,
    configuration: OwnedFd,
    state: Option<OwnedFd>,
}

impl Custody {
    pub(crate) fn new(configuration: OwnedFd) -> Self {
        Self { listeners: BTreeMap::new(), configuration, state: None }
    }

    /// Opens a listener; the answer to the manager either way.
    pub(crate) fn bind(&mut self, bind: Bind) -> ToManager {
        let Bind { listener, address, backlog, mode } = bind;
        if let Some(open) = self.listeners.get_mut(&listener).filter(|open| open.address == address) {
            // What the kernel refuses leaves the queue as long as it was.
            if open.backlog != backlog && listener::set_backlog(&open.socket, backlog).is_ok() {
                open.backlog = backlog;
            }
            return ToManager::Bound { listener, address };
        }
        let options = Options { backlog, mode, ..Options::default() };
        let resolved = match &address {
            wire::Address::Tcp(tcp) => Address::Tcp(*tcp),
            wire::Address::Unix(path) => Address::Unix(path.to_path()),
        };
        match listener::bind(&resolved, &options) {
            Ok(socket) => {
                let file = file_of(&address);
                let open = Listener { address: address.clone(), backlog, socket, file };
                self.listeners.insert(listener.clone(), open);
                ToManager::Bound { listener, address }
            }
            Err(error) => ToManager::BindFailed { listener, address, errno: error.errno(), message: error.to_string() },
        }
    }

    /// Closes a listener and removes a unix socket's file. Workers that share it find no newcomers in its queue, so that
    /// they can empty it before they close it too.
    pub(crate) fn unbind(&mut self, name: &str) {
        if let Some(listener) = self.listeners.remove(name) {
            // Without it the last ones in the queue are cut off; there is nothing to do about that.
            let _ = listener::retire(&listener.socket);
            remove_socket_file(&listener);
        }
    }

    pub(crate) fn unbind_all(&mut self) {
        for listener in std::mem::take(&mut self.listeners).into_values() {
            remove_socket_file(&listener);
        }
    }

    pub(crate) fn listener(&self, name: &str) -> Option<BorrowedFd<'_>> {
        self.listeners.get(name).map(|listener| listener.socket.as_fd())
    }

    /// Each listener as the inventory tells it.
    pub(crate) fn describe(&self) -> impl Iterator<Item = (String, ToManager)> {
        self.listeners.iter().map(|(name, listener)| {
            (name.clone(), ToManager::Bound { listener: name.clone(), address: listener.address.clone() })
        })
    }

    /// Keeps a deposit; opaque here.
    pub(crate) fn deposit(&mut self, state: OwnedFd, configuration: Option<OwnedFd>) {
        self.state = Some(state);
        if let Some(configuration) = configuration {
            self.configuration = configuration;
        }
    }

    /// Configuration, then state unless it is withheld.
    pub(crate) fn deposits(&self, with_state: bool) -> Vec<BorrowedFd<'_>> {
        std::iter::once(self.configuration.as_fd())
            .chain(self.state.as_ref().filter(|_| with_state).map(AsFd::as_fd))
            .collect()
    }

    pub(crate) fn has_state(&self) -> bool {
        self.state.is_some()
    }
}

/// The file of a unix socket as it is now: its device and number.
fn file_of(address: &wire::Address) -> Option<(u64, u64)> {
    let wire::Address::Unix(path) = address else { return None };
    let file = std::fs::symlink_metadata(path.to_path()).ok()?;
    Some((file.dev(), file.ino()))
}

/// Removes the file that was made with the socket; one that somebody else has put in its place is theirs.
fn remove_socket_file(listener: &Listener) {
    if let wire::Address::Unix(path) = &listener.address
        && listener.file.is_some()
        && file_of(&listener.address) == listener.file
    {
        // Gone already is what was wanted; anything else leaves a stale file that the next start replaces.
        let _ = std::fs::remove_file(path.to_path());
    }
}
