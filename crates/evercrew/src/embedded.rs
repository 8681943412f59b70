//! The same services as threads of this process.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{fmt, io, thread};

use evercrew_sys::listener::{self, Address, Options};
use evercrew_worker::{Guest, Stop, StopFlag};

use crate::builder::Server;
use crate::error::{Error, Result};
use crate::hooks;
use crate::observer::Event;
use crate::service::Kind;

/// Services that run in this process. They are stopped when this is dropped.
pub struct Embedded {
    listeners: Vec<(String, OwnedFd)>,
    services: Vec<(String, JoinHandle<u8>)>,
    stop: StopFlag,
    after_run: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Embedded {
    /// Where a TCP listener is, the port that was chosen for `:0` with it.
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        let (_, fd) = self.listeners.iter().find(|(name, _)| name == listener)?;
        match listener::local_address(fd).ok()? {
            Address::Tcp(address) => Some(address),
            Address::Unix(_) => None,
        }
    }

    /// Asks all services to finish what is begun.
    pub fn stop(&self) {
        self.stop.set(Stop::Graceful);
    }

    /// Waits until all have ended; the exit code that each process of them would have had.
    pub fn join(mut self) -> Vec<(String, u8)> {
        let services = std::mem::take(&mut self.services);
        // A thread that panics has printed why.
        let codes = services.into_iter().map(|(name, thread)| (name, thread.join().unwrap_or(101))).collect();
        if let Some(after_run) = &self.after_run {
            after_run();
        }
        codes
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if !self.services.is_empty() {
            self.stop.set(Stop::Immediate);
        }
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.services.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Embedded").field("services", &names).finish_non_exhaustive()
    }
}

pub(crate) fn start(server: Server) -> Result<Embedded> {
    if let Some((service, _)) = server.services.iter().find(|(service, _)| matches!(service.kind, Kind::Foreign(_))) {
        let reason = "a foreign program runs under an engine alone";
        return Err(Error::Unfit { service: service.name.clone(), reason });
    }
    let listeners = server.listeners.iter().map(open).collect::<Result<Vec<_>>>()?;
    let failed = |hook: String| move |source| Error::Hook { hook, source };
    if let Some(before_run) = &server.hooks.before_run {
        before_run().map_err(failed("before_run".to_owned()))?;
    }
    let after_run = server.hooks.after_run.clone();
    let mut embedded = Embedded { listeners, services: Vec::new(), stop: StopFlag::new(), after_run };
    // There is nothing to observe: the hooks that are run beside services are run here.
    for (service, names) in server.services.iter().filter(|(service, _)| service.name != hooks::NAME) {
        let Kind::Own { work, .. } = service.kind.clone() else { continue };
        if let Some(before_fork) = &service.before_fork {
            before_fork().map_err(failed(format!("before_fork of `{}`", service.name)))?;
        }
        let after_start = service.after_start.clone();
        let held = embedded.listeners.iter().filter(|(name, _)| names.contains(name));
        let copied = held.map(|(name, fd)| Ok((name.clone(), fd.try_clone()?))).collect::<io::Result<Vec<_>>>();
        let mut life = service.life();
        let (service, stop) = (service.name.clone(), embedded.stop.clone());
        let listeners = copied.map_err(Error::Thread)?;
        life.guest = Some(Guest { service: service.clone(), listeners, stop });
        let thread = thread::Builder::new().name(service.clone()).spawn(move || work(life)).map_err(Error::Thread)?;
        if let Some(after_start) = after_start {
            after_start(&Event::of_embedded(&service));
        }
        embedded.services.push((service, thread));
    }
    Ok(embedded)
}

fn open((name, address): &(String, String)) -> Result<(String, OwnedFd)> {
    let failed = |source| Error::Bind { listener: name.clone(), source };
    let address = match address.strip_prefix("unix:") {
        Some(path) => Address::Unix(std::ffi::OsStr::from_bytes(path.as_bytes()).into()),
        None => Address::Tcp(address.parse().map_err(|error| failed(io::Error::other(error)))?),
    };
    let opened = listener::bind(&address, &Options::default());
    let fd = opened.map_err(|error| failed(io::Error::from_raw_os_error(error.errno())))?;
    Ok((name.clone(), fd))
}
