//! A queue server as part of somebody's program.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use evercrew_core::Mono;

use crate::config::Config;
use crate::error::Error;
use crate::guide::Guide;
use crate::server::Server;

/// Has a server stop.
#[derive(Debug)]
pub struct Stopper(OwnedFd);

/// What a server watches for its end.
#[derive(Debug)]
pub struct Stop(OwnedFd);

/// Two ends: the server stops when the first is used or dropped.
///
/// # Errors
/// The kernel's: no free descriptor.
pub fn stop() -> io::Result<(Stopper, Stop)> {
    let (reader, writer) = evercrew_sys::pipe::pair()?;
    Ok((Stopper(writer), Stop(reader)))
}

impl Stopper {
    /// Has the server finish what is begun and end.
    pub fn stop(self) {
        drop(self.0);
    }
}

/// Runs a queue server in this thread until `stop` says so; `ready` is told where it listens once it serves.
///
/// Everything that was answered is kept as `config.durability` says. Clients that are connected at the end get the
/// answers that they are owed and are closed.
///
/// # Errors
/// When it cannot start: the address is taken, strangers could come in, the store is locked, damaged or newer. And when
/// it is not known any more what the store keeps: nothing is answered then, and a new start is needed.
///
/// # Examples
/// ```
/// use evercrew_jobs::{Config, Listen, Storage};
///
/// let mut config = Config::new(Storage::Memory);
/// config.listen = Listen::Address("127.0.0.1:0".parse().expect("an address"));
/// let (stopper, stop) = evercrew_jobs::stop()?;
/// let server = std::thread::spawn(|| evercrew_jobs::serve(config, stop, |address| println!("{address}")));
/// stopper.stop();
/// server.join().expect("no panic")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn serve(config: Config, stop: Stop, ready: impl FnOnce(SocketAddr)) -> Result<(), Error> {
    let server = Server::open(config)?;
    let address = server.address();
    server.run(&mut Simple::new(stop, ready, address))
}

/// What surrounds a server in somebody's program.
pub(crate) struct Simple<F> {
    stop: Stop,
    ready: Option<(F, SocketAddr)>,
}

impl<F> Simple<F> {
    pub(crate) fn new(stop: Stop, ready: F, address: SocketAddr) -> Self {
        Self { stop, ready: Some((ready, address)) }
    }
}

impl<F> AsFd for Simple<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stop.0.as_fd()
    }
}

impl<F: FnOnce(SocketAddr)> Guide for Simple<F> {
    fn ready(&mut self) {
        if let Some((ready, address)) = self.ready.take() {
            ready(address);
        }
    }

    fn is_to_stop(&mut self) -> bool {
        true
    }

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn tick(&mut self, _: Mono) {}
}
