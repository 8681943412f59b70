//! The service manager above us: what it left us when it started us, and what is told to it.
//!
//! It takes notifications of the main process alone (`NotifyAccess=main`), so all of them are sent from here.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_sys::listener::{self, Address};
use evercrew_sys::{descriptor, exec, notify};
use evercrew_wire::Text;
use evercrew_wire::supervisor::{self as wire, Inherited};

use crate::custody::file_at;

/// The names of sockets that an engine has kept begin so: no other socket is taken for one.
const STORED: &str = "evercrew/";
/// Where inherited descriptors begin.
const FIRST: i32 = 3;
/// Most sockets that are looked at.
const MOST: i32 = 1024;
/// Tidings that wait for room.
const MOST_UNSENT: usize = 1024;
/// Until they are tried again.
const RETRY: Duration = Duration::from_millis(50);
/// What is meant for this process alone.
const VARIABLES: [&str; 5] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// A socket that was left to us.
#[derive(Debug)]
pub(crate) struct Heirloom {
    pub(crate) socket: OwnedFd,
    pub(crate) address: Address,
    name: String,
    /// What it is kept under for the next engine, where an engine before us had it kept.
    pub(crate) stored: Option<String>,
    /// The file of a unix socket that an engine made: which one it is.
    pub(crate) file: Option<(u64, u64)>,
}

/// The service manager above us.
#[derive(Debug, Default)]
pub(crate) struct Above {
    /// Somebody listens.
    listens: bool,
    watchdog: Duration,
    heirlooms: BTreeMap<u32, Heirloom>,
    /// What found no room in its socket, with the descriptor that goes with it.
    unsent: VecDeque<(String, Option<OwnedFd>)>,
    /// When it is tried again.
    retry: Option<Mono>,
    /// What was left to us and is of no use.
    pub(crate) remarks: Vec<String>,
}

impl Above {
    /// Takes what was left to this very process. To be called before there are threads.
    pub(crate) fn of_this_process() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let ours = |name: &str| variable(name).parse() == Ok(std::process::id());
        let mut above = Self {
            listens: std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty()),
            ..Self::default()
        };
        // Without WATCHDOG_PID it is meant for whoever has it.
        if above.listens && (variable("WATCHDOG_PID").is_empty() || ours("WATCHDOG_PID")) {
            above.watchdog = Duration::from_micros(variable("WATCHDOG_USEC").parse().unwrap_or(0));
        }
        if ours("LISTEN_PID") {
            let names = variable("LISTEN_FDNAMES");
            let count = variable("LISTEN_FDS").parse::<i32>().unwrap_or(0).clamp(0, MOST);
            for (offset, number) in (FIRST..FIRST + count).enumerate() {
                let name = names.split(':').nth(offset).unwrap_or_default();
                above.take(number, name);
            }
        }
        for name in VARIABLES {
            exec::remove_variable(name);
        }
        above
    }

    fn take(&mut self, number: i32, name: &str) {
        let Some(socket) = exec::take_descriptor(number) else { return };
        let address = match listener::adopt(&socket) {
            Ok(address) => address,
            Err(error) => {
                self.remarks.push(format!("WARN  the inherited descriptor `{name}` is not used: {error}"));
                return;
            }
        };
        let stored = name.strip_prefix(STORED).map(|_| name.to_owned());
        let mut file = None;
        if let (Some(kept), Address::Unix(path)) = (&stored, &address) {
            // Somebody removed or replaced its file: nobody can reach it any more.
            file = file_at(path).filter(|found| kept.ends_with(&suffix(*found)));
            if file.is_none() {
                self.forget(kept);
                return;
            }
        }
        let name = name.strip_prefix(STORED).map_or(name, |name| name.split('/').next().unwrap_or(name)).to_owned();
        let number = u32::try_from(number).unwrap_or_default();
        self.heirlooms.insert(number, Heirloom { socket, address, name, stored, file });
    }

    pub(crate) fn describe(&self) -> Option<wire::Above> {
        let watchdog_us = self.watchdog.as_micros().try_into().unwrap_or(u64::MAX);
        self.listens.then_some(wire::Above { watchdog_us })
    }

    /// How long it goes without a sign of life; zero is for ever.
    pub(crate) fn watchdog(&self) -> Duration {
        self.watchdog
    }

    pub(crate) fn inherited(&self) -> Vec<Inherited> {
        let one = |(number, heirloom): (&u32, &Heirloom)| Inherited {
            number: *number,
            name: heirloom.name.clone(),
            stored: heirloom.stored.is_some(),
            address: match &heirloom.address {
                Address::Tcp(address) => wire::Address::Tcp(*address),
                Address::Unix(path) => wire::Address::Unix(Text::from(path)),
            },
        };
        self.heirlooms.iter().map(one).collect()
    }

    /// Hands one out.
    pub(crate) fn give(&mut self, number: u32) -> Option<Heirloom> {
        self.heirlooms.remove(&number)
    }

    /// One that was kept for us has no use.
    pub(crate) fn disown(&mut self, number: u32) {
        let Some(heirloom) = self.heirlooms.remove(&number) else { return };
        if let Some(name) = &heirloom.stored {
            self.forget(name);
        }
        if let (Some(_), Address::Unix(path)) = (heirloom.file, &heirloom.address) {
            // Ours alone, as was seen when it was taken.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Has a listener kept for the next engine; the name it is kept under.
    pub(crate) fn keep(&mut self, name: &str, socket: impl AsFd, path: Option<&Path>) -> Option<String> {
        // What cannot be kept is opened anew by the next engine.
        let copy = self.listens.then(|| descriptor::duplicate(socket).ok())??;
        let name = format!("{STORED}{name}{}", place(&copy, path));
        self.push(format!("FDSTORE=1\nFDNAME={name}"), Some(copy));
        Some(name)
    }

    /// What was kept under this name is of no use to a next engine.
    pub(crate) fn forget(&mut self, name: &str) {
        self.tell(format!("FDSTOREREMOVE=1\nFDNAME={name}"));
    }

    /// Tells it something, in order, as soon as it has room.
    pub(crate) fn tell(&mut self, text: String) {
        self.push(text, None);
    }

    fn push(&mut self, text: String, descriptor: Option<OwnedFd>) {
        if self.listens && self.unsent.len() < MOST_UNSENT {
            self.unsent.push_back((text, descriptor));
        }
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self, now: Mono) {
        self.retry = None;
        let Some(address) = std::env::var_os("NOTIFY_SOCKET").filter(|_| !self.unsent.is_empty()) else { return };
        while let Some((text, descriptor)) = self.unsent.front() {
            let descriptors: Vec<_> = descriptor.iter().map(AsFd::as_fd).collect();
            match notify::send_with(&address, text, &descriptors) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.retry = Some(now.after(RETRY));
                    return;
                }
                // It is gone, perhaps only to come back: nothing of ours depends on it.
                Ok(()) | Err(_) => self.unsent.pop_front(),
            };
        }
    }

    /// When [`Above::flush`] is to be called again.
    pub(crate) fn retry(&self) -> Option<Mono> {
        self.retry
    }
}

/// Tells it from another one of the same name, that may be kept beside it for a while. No name has a `:` in it.
fn place(socket: &OwnedFd, path: Option<&Path>) -> String {
    match (path.and_then(file_at), listener::local_address(socket)) {
        (Some(file), _) => suffix(file),
        (None, Ok(Address::Tcp(address))) => format!("/{}", address.to_string().replace(':', "_")),
        (None, _) => String::new(),
    }
}

/// Tells the file of a unix socket from any other that may be at its path later.
fn suffix((device, inode): (u64, u64)) -> String {
    format!("/{device:x}-{inode:x}")
}
