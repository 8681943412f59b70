//! An accepted connection: TCP or unix.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use evercrew_sys::listener::Address;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long a peer is waited for that was told the last thing and still sends, or has not closed its side.
const LINGER_SILENCE: Duration = Duration::from_secs(2);
/// The longest time for that, whatever the peer does.
const LINGER: Duration = Duration::from_secs(30);

/// What a listener's connections are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Tcp,
    Unix,
}

impl Family {
    /// The family of a listener.
    ///
    /// # Errors
    /// When it is no socket that we know.
    pub(crate) fn of(listener: impl AsFd) -> io::Result<Self> {
        match evercrew_sys::listener::local_address(listener)? {
            Address::Tcp(_) => Ok(Self::Tcp),
            Address::Unix(_) => Ok(Self::Unix),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! each {
    ($stream:expr, $name:ident => $body:expr) => {
        match $stream {
            Stream::Tcp($name) => $body,
            Stream::Unix($name) => $body,
        }
    };
}

impl Stream {
    /// Adopts an accepted, non-blocking descriptor. Call it in a runtime.
    ///
    /// # Errors
    /// The kernel's, when it cannot be watched.
    pub(crate) fn new(fd: OwnedFd, family: Family) -> io::Result<Self> {
        Ok(match family {
            Family::Tcp => Self::Tcp(TcpStream::from_std(fd.into())?),
            Family::Unix => Self::Unix(UnixStream::from_std(StdUnixStream::from(fd))?),
        })
    }

    /// Sends what is written at once from here on.
    pub(crate) fn set_nodelay(&self) {
        if let Self::Tcp(stream) = self {
            // Fails only when the peer is gone already, which the next read tells as well.
            let _ = stream.set_nodelay(true);
        }
    }

    /// The peer's address; none on a unix socket, or when the peer is gone.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// The address by which a client is counted.
    pub(crate) fn peer_ip(&self) -> Option<IpAddr> {
        self.peer().map(|address| address.ip().to_canonical())
    }

    /// Bytes that were written and that the peer has not taken.
    pub(crate) fn untaken(&self) -> u64 {
        evercrew_sys::stream::untaken(self.as_fd()).unwrap_or(0)
    }

    /// Whether there is input that was not read, or the peer is gone.
    pub(crate) fn input(&self) -> Unread {
        match each!(self, stream => stream.try_read(&mut [0])) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Unread::Nothing,
            Ok(0) | Err(_) => Unread::End,
            Ok(_) => Unread::Bytes,
        }
    }

    /// Writes what fits at once and waits for the rest.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        use tokio::io::AsyncWriteExt;
        each!(self, stream => stream.write_all(bytes).await)
    }

    /// Makes the close that follows a reset, which frees what the peer does not take.
    pub(crate) fn set_reset(&self) {
        // On a unix socket, or without it, the kernel frees the memory later.
        let _ = rustix::net::sockopt::set_socket_linger(self.as_fd(), Some(Duration::ZERO));
    }

    /// Says that nothing more comes and reads out what the peer still sends: to close with unread input makes the
    /// kernel send a reset, which destroys answers that the peer has not read yet.
    pub(crate) async fn close_gently(&self) {
        if rustix::net::shutdown(self.as_fd(), rustix::net::Shutdown::Write).is_err() {
            return;
        }
        let read_out = async {
            let mut scratch = vec![0; 16 * 1024];
            loop {
                match each!(self, stream => stream.try_read(&mut scratch)) {
                    Ok(0) => return,
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let more = timeout(LINGER_SILENCE, async { each!(self, stream => stream.readable().await) });
                        if !matches!(more.await, Ok(Ok(()))) {
                            return;
                        }
                    }
                    Err(_) => return,
                }
            }
        };
        let _ = timeout(LINGER, read_out).await;
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    pub(super) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, parts))
    }
}

/// What a look at the input of a connection shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    Nothing,
    Bytes,
    End,
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        each!(self, stream => stream.as_fd())
    }
}
