//! Where clients come in: the listening socket, and who is a neighbour.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use evercrew_sys::{accept, listener};
use rustix::net::sockopt;

use crate::config::Listen;
use crate::error::Error;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Door {
    socket: OwnedFd,
    address: SocketAddr,
}

impl Door {
    /// Opens it, or takes the one that is open; `guarded` when clients have to prove something or need not.
    ///
    /// # Errors
    /// When nothing can be listened on, or strangers could come in.
    pub(crate) fn open(listen: Listen, guarded: bool) -> Result<Self, Error> {
        let socket = match listen {
            Listen::Address(address) => {
                refuse_strangers(address, guarded)?;
                let options = listener::Options { backlog: BACKLOG, ..listener::Options::default() };
                listener::bind(&listener::Address::Tcp(address), &options)
                    .map_err(|error| Error::Listen(error.to_string()))?
            }
            Listen::Socket(socket) => socket,
        };
        let address = match listener::local_address(&socket) {
            Ok(listener::Address::Tcp(address)) => address,
            Ok(listener::Address::Unix(_)) => return Err(Error::Listen("a queue server listens on TCP".to_owned())),
            Err(error) => return Err(Error::System("asking for the address of the listener", error)),
        };
        refuse_strangers(address, guarded)?;
        Ok(Self { socket, address })
    }

    /// Where it is: with the port that was chosen for port 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next client, and whether it comes from this machine; `None` when nobody waits.
    ///
    /// The socket may be shared with the engine, so it is not made non-blocking: somebody is there, since nobody else
    /// accepts from it.
    ///
    /// # Errors
    /// The kernel's: no free descriptor.
    pub(crate) fn accept(&self) -> io::Result<Option<(OwnedFd, bool)>> {
        if !listener::has_callers(&self.socket) {
            return Ok(None);
        }
        let Some(client) = accept::accept(&self.socket)? else { return Ok(None) };
        // A client that is gone again has no address; it is found gone when it is read from.
        let is_local = rustix::net::getpeername(&client)
            .ok()
            .and_then(|address| address.and_then(|address| SocketAddr::try_from(address).ok()))
            .is_some_and(|peer| peer.ip().to_canonical().is_loopback());
        let _ = sockopt::set_tcp_nodelay(&client, true);
        let _ = sockopt::set_socket_keepalive(&client, true);
        Ok(Some((client, is_local)))
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn refuse_strangers(address: SocketAddr, guarded: bool) -> Result<(), Error> {
    if guarded || address.ip().to_canonical().is_loopback() { Ok(()) } else { Err(Error::Open(address)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_refused_unless_somebody_guards() {
        let open = |address: &str, guarded| Door::open(Listen::Address(address.parse().expect("address")), guarded);
        assert!(open("127.0.0.1:0", false).is_ok());
        assert!(open("0.0.0.0:0", true).is_ok());
        let refused = open("0.0.0.0:0", false).expect_err("refused");
        assert!(matches!(refused, Error::Open(_)) && refused.exit_code() == 78, "{refused}");
        // A socket that is open already is no way around it.
        let everywhere = Door::open(Listen::Address("0.0.0.0:0".parse().expect("address")), true).expect("open");
        assert!(matches!(Door::open(Listen::Socket(everywhere.socket), false), Err(Error::Open(_))));
    }
}
