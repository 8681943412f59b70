//! An accepted connection: TCP or unix.

use std::io::{self, Read, Write};
use std::mem;
use std::net::{IpAddr, SocketAddr, TcpStream as StdTcpStream};
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
///
/// The runtime is told of it only when something has to be waited for: most connections that bring one request end before.
#[derive(Debug)]
pub(crate) enum Stream {
    FreshTcp(StdTcpStream),
    FreshUnix(StdUnixStream),
    Tcp(TcpStream),
    Unix(UnixStream),
    /// The runtime could not watch it.
    Gone,
}

macro_rules! fresh {
    ($stream:expr, $name:ident => $body:expr) => {
        match $stream {
            Stream::FreshTcp($name) => Some($body),
            Stream::FreshUnix($name) => Some($body),
            Stream::Tcp(_) | Stream::Unix(_) | Stream::Gone => None,
        }
    };
}

macro_rules! watched {
    ($stream:expr, $name:ident => $body:expr) => {
        match $stream {
            Stream::Tcp($name) => $body,
            Stream::Unix($name) => $body,
            Stream::FreshTcp(_) | Stream::FreshUnix(_) | Stream::Gone => Err(gone()),
        }
    };
}

macro_rules! polled {
    ($stream:expr, $name:ident => $body:expr) => {
        match $stream {
            Stream::Tcp($name) => $body,
            Stream::Unix($name) => $body,
            Stream::FreshTcp(_) | Stream::FreshUnix(_) | Stream::Gone => Poll::Ready(Err(gone())),
        }
    };
}

fn gone() -> io::Error {
    io::Error::other("the connection is not watched")
}

fn would_block<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl Stream {
    /// Adopts an accepted, non-blocking descriptor.
    pub(crate) fn new(fd: OwnedFd, family: Family) -> Self {
        match family {
            Family::Tcp => Self::FreshTcp(fd.into()),
            Family::Unix => Self::FreshUnix(fd.into()),
        }
    }

    /// Has the runtime watch it. Call it in one.
    ///
    /// # Errors
    /// The kernel's, when it cannot be watched.
    fn watch(&mut self) -> io::Result<()> {
        *self = match mem::replace(self, Self::Gone) {
            Self::FreshTcp(stream) => Self::Tcp(TcpStream::from_std(stream)?),
            Self::FreshUnix(stream) => Self::Unix(UnixStream::from_std(stream)?),
            other => other,
        };
        Ok(())
    }

    /// Sends what is written at once from here on.
    pub(crate) fn set_nodelay(&self) {
        // Fails only when the peer is gone already, which the next read tells as well.
        let _ = match self {
            Self::FreshTcp(stream) => stream.set_nodelay(true),
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::FreshUnix(_) | Self::Unix(_) | Self::Gone => Ok(()),
        };
    }

    /// The peer's address; none on a unix socket, or when the peer is gone.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::FreshTcp(stream) => stream.peer_addr().ok(),
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::FreshUnix(_) | Self::Unix(_) | Self::Gone => None,
        }
    }

    /// The address by which a client is counted.
    pub(crate) fn peer_ip(&self) -> Option<IpAddr> {
        self.peer().map(|address| address.ip().to_canonical())
    }

    /// Bytes that were written and that the peer has not taken.
    pub(crate) fn untaken(&self) -> u64 {
        self.descriptor().and_then(|fd| evercrew_sys::stream::untaken(fd).ok()).unwrap_or(0)
    }

    /// Whether there is input that was not read, or the peer is gone.
    pub(crate) fn input(&self) -> Unread {
        let read = fresh!(self, stream => { let mut stream = stream; stream.read(&mut [0]) });
        match read.unwrap_or_else(|| watched!(self, stream => stream.try_read(&mut [0]))) {
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
        self.watch()?;
        watched!(self, stream => stream.write_all(bytes).await)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::FreshTcp(stream) => Some(stream.as_fd()),
            Self::FreshUnix(stream) => Some(stream.as_fd()),
            Self::Tcp(stream) => Some(stream.as_fd()),
            Self::Unix(stream) => Some(stream.as_fd()),
            Self::Gone => None,
        }
    }

    /// Makes the close that follows a reset, which frees what the peer does not take.
    pub(crate) fn set_reset(&self) {
        // On a unix socket, or without it, the kernel frees the memory later.
        if let Some(fd) = self.descriptor() {
            let _ = rustix::net::sockopt::set_socket_linger(fd, Some(Duration::ZERO));
        }
    }

    /// Says that nothing more comes and reads out what the peer still sends: to close with unread input makes the
    /// kernel send a reset, which destroys answers that the peer has not read yet.
    pub(crate) async fn close_gently(&mut self) {
        let Some(fd) = self.descriptor() else { return };
        if rustix::net::shutdown(fd, rustix::net::Shutdown::Write).is_err() || self.watch().is_err() {
            return;
        }
        let stream = &*self;
        let read_out = async {
            let mut scratch = vec![0; 16 * 1024];
            loop {
                match watched!(stream, stream => stream.try_read(&mut scratch)) {
                    Ok(0) => return,
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let more =
                            timeout(LINGER_SILENCE, async { watched!(stream, stream => stream.readable().await) });
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

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(read) = fresh!(self, stream => stream.read(buf.initialize_unfilled())) {
            if !would_block(&read) {
                return Poll::Ready(read.map(|count| buf.advance(count)));
            }
            self.watch()?;
        }
        polled!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(written) = fresh!(self, stream => stream.write(bytes)) {
            if !would_block(&written) {
                return Poll::Ready(written);
            }
            self.watch()?;
        }
        polled!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(written) = fresh!(self, stream => stream.write_vectored(parts)) {
            if !would_block(&written) {
                return Poll::Ready(written);
            }
            self.watch()?;
        }
        polled!(self, stream => Pin::new(stream).poll_write_vectored(cx, parts))
    }

    /// Says that nothing more is sent.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch()?;
        polled!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// What a look at the input of a connection shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    Nothing,
    Bytes,
    End,
}
