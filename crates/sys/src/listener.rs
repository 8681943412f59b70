//! Listening sockets.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A unix stream socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Connections that may wait to be accepted (the kernel caps it at `net.core.somaxconn`).
    pub backlog: u32,
    /// The file mode of a unix socket; `None` leaves it to the umask.
    pub mode: Option<u32>,
    /// SO_REUSEPORT: several sockets on one address.
    pub reuse_port: bool,
    /// A socket on `[::]` does not take IPv4 as well. Otherwise it does, whatever the system's default is.
    pub only_v6: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { backlog: 1024, mode: None, reuse_port: false, only_v6: false }
    }
}

/// Why an address could not be listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindErrorKind {
    /// Somebody listens there, or a file that is no socket is in the way.
    InUse,
    /// A port below 1024, or a directory we may not write in.
    NotPermitted,
    /// The address is not one of this machine's, or the directory does not exist.
    NotAvailable,
    /// The path has more than 107 bytes.
    PathTooLong,
    /// Anything else.
    Other,
}

/// An address that could not be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: Address,
    /// The class of the reason.
    pub kind: BindErrorKind,
    /// The system's reason.
    pub source: io::Error,
}

impl BindError {
    /// The kernel's number of the reason; 0 when there is none.
    pub fn errno(&self) -> i32 {
        self.source.raw_os_error().unwrap_or(0)
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.source)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The longest path of a unix socket, in bytes.
pub const PATH_LIMIT: usize = 107;

/// Opens a listening socket: blocking (O_NONBLOCK would belong to every process that shares it), closed on exec.
///
/// TCP has SO_REUSEADDR. A unix socket's file is created with no more rights than `mode` at any moment. A socket file
/// that nobody listens on (connecting says ECONNREFUSED) is replaced; a live one is in use.
///
/// # Errors
/// [`BindError`].
pub fn bind(address: &Address, options: &Options) -> Result<OwnedFd, BindError> {
    let _ = (address, options);
    unimplemented!()
}

/// The address a socket is bound to: the port that was chosen for port 0.
///
/// # Errors
/// The kernel's; `Unsupported` for other families and unnamed or abstract unix sockets.
pub fn local_address(fd: impl AsFd) -> io::Result<Address> {
    let _ = fd;
    unimplemented!()
}
