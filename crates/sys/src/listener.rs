//! Listening sockets.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, fchmod, flock, open};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, getsockname, listen, socket_with, sockopt,
};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

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
    let result = match address {
        Address::Tcp(address) => bind_tcp(address, options),
        Address::Unix(path) => bind_unix(path, options),
    };
    result.map_err(|source| BindError { address: address.clone(), kind: BindErrorKind::of(&source), source })
}

/// The address a socket is bound to: the port that was chosen for port 0.
///
/// # Errors
/// The kernel's; `Unsupported` for other families and unnamed or abstract unix sockets.
pub fn local_address(fd: impl AsFd) -> io::Result<Address> {
    let address = getsockname(fd)?;
    if let Ok(address) = SocketAddr::try_from(address.clone()) {
        return Ok(Address::Tcp(address));
    }
    let unix = SocketAddrUnix::try_from(address).ok();
    match unix.as_ref().and_then(SocketAddrUnix::path) {
        Some(path) => Ok(Address::Unix(PathBuf::from(OsStr::from_bytes(path.to_bytes())))),
        None => Err(io::Error::new(io::ErrorKind::Unsupported, "the socket has no address of TCP or a path")),
    }
}

/// The address of a socket that somebody else opened, if it listens for connections.
///
/// # Errors
/// The kernel's, for what is no socket; `InvalidInput` for one that takes no connections; as [`local_address`].
pub fn adopt(fd: impl AsFd) -> io::Result<Address> {
    let listens = sockopt::socket_type(&fd)? == SocketType::STREAM && sockopt::socket_acceptconn(&fd)?;
    if !listens {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen for connections"));
    }
    local_address(fd)
}

/// Changes how many connections may wait to be accepted.
///
/// # Errors
/// The kernel's.
pub fn set_backlog(listener: impl AsFd, backlog: u32) -> io::Result<()> {
    Ok(listen(listener, i32::try_from(backlog).unwrap_or(i32::MAX))?)
}

/// Connects to the unix socket at `path` without waiting: where its queue of callers is full, that is
/// [`io::ErrorKind::WouldBlock`]. The connection itself is a blocking one.
///
/// # Errors
/// The kernel's; a path that no socket can have.
pub fn call(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&fd, &unix_address(path)?)?;
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Lets no newcomer into the queue of a listening socket, for every process that shares it; who is in it, or about to
/// be, can still be accepted. Over TCP a newcomer is not answered until the last copy of the socket is closed, and then
/// refused. A unix socket has to lose its file as well.
///
/// # Errors
/// The kernel's.
pub fn retire(listener: impl AsFd) -> io::Result<()> {
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // The kernel shows a TCP packet from its TCP header on; byte 13 has the flags. SYN without ACK opens a connection.
    let mut program = [
        step(0x30, 0, 0, 13),
        step(0x54, 0, 0, 0x12),
        step(0x15, 0, 1, 0x02),
        step(0x06, 0, 0, 0),
        step(0x06, 0, 0, u32::MAX),
    ];
    let filter = libc::sock_fprog { len: 5, filter: program.as_mut_ptr() };
    let length = libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).unwrap_or_default();
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed; `filter` and the five steps that it points to live until the call returns,
    // and the kernel copies both.
    let result =
        unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, (&raw const filter).cast(), length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether [`retire`] was called on the socket, by whichever process.
pub fn is_retired(listener: impl AsFd) -> bool {
    let mut steps: libc::socklen_t = 0;
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: with a length of 0 the kernel writes nothing but the number of steps to that length.
    let result =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_GET_FILTER, std::ptr::null_mut(), &raw mut steps) };
    result == 0 && steps > 0
}

/// Whether a connection waits to be accepted.
pub fn has_callers(fd: impl AsFd) -> bool {
    let mut waits = [PollFd::new(&fd, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut waits, Some(&Timespec::default()))).is_ok_and(|ready| ready > 0)
}

fn bind_tcp(address: &SocketAddr, options: &Options) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, options.only_v6)?;
    }
    if options.reuse_port {
        sockopt::set_socket_reuseport(&fd, true)?;
    }
    rustix::net::bind(&fd, address)?;
    listen(&fd, backlog(options))?;
    Ok(fd)
}

fn bind_unix(path: &Path, options: &Options) -> io::Result<OwnedFd> {
    let address = unix_address(path)?;
    let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    if let Some(mode) = options.mode {
        // The file is created with the rights of the socket less the umask: so never with more than these.
        fchmod(&fd, Mode::from_raw_mode(mode))?;
    }
    match rustix::net::bind(&fd, &address) {
        Err(Errno::ADDRINUSE) => replace_stale(&fd, path, &address)?,
        result => result?,
    }
    if let Some(mode) = options.mode {
        // The umask may have taken more than the mode does.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    listen(&fd, backlog(options))?;
    Ok(fd)
}

/// The address of the socket file `path`, refused when the kernel would cut it or other programs could not connect.
pub(crate) fn unix_address(path: &Path) -> io::Result<SocketAddrUnix> {
    if path.as_os_str().len() > PATH_LIMIT {
        return Err(Errno::NAMETOOLONG.into());
    }
    if path.as_os_str().is_empty() {
        return Err(Errno::INVAL.into());
    }
    Ok(SocketAddrUnix::new(path)?)
}

/// Binds over a socket file that nobody listens on. The directory is locked for that time, so that of two who find the
/// same stale file the second does not remove the first one's fresh socket.
fn replace_stale(fd: &OwnedFd, path: &Path, address: &SocketAddrUnix) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let directory = open(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    flock(&directory, FlockOperation::NonBlockingLockExclusive).map_err(|_| Errno::ADDRINUSE)?;
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(Errno::ADDRINUSE.into()),
        Ok(_) => {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let probe = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            match connect(&probe, address) {
                Err(Errno::CONNREFUSED) => std::fs::remove_file(path)?,
                Err(Errno::NOENT) => {}
                Err(error @ Errno::ACCESS) => return Err(error.into()),
                // Connected, its queue is full, or it is of another type: somebody is there.
                Ok(()) | Err(_) => return Err(Errno::ADDRINUSE.into()),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(rustix::net::bind(fd, address)?)
}

fn backlog(options: &Options) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

impl BindErrorKind {
    fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => Self::InUse,
            Some(libc::EACCES | libc::EPERM | libc::EROFS) => Self::NotPermitted,
            Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT | libc::ENOENT | libc::ENOTDIR) => Self::NotAvailable,
            Some(libc::ENAMETOOLONG) => Self::PathTooLong,
            Some(_) | None => Self::Other,
        }
    }
}
