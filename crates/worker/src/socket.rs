//! An accepted connection: TCP or unix, and how it is closed without destroying what was sent.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use evercrew_sys::listener::Address;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long input is read out after the last answer.
const LINGER: Duration = Duration::from_secs(2);

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

#[derive(Debug)]
enum Stream {
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

/// One connection. It outlives the protocol on it, so that it can be closed gently afterwards.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    /// Requests whose answer is not handed to the socket yet.
    requests: AtomicUsize,
    /// The peer does not take what we send.
    blocked: AtomicBool,
    /// The peer has closed its side, or is gone.
    ended: AtomicBool,
}

impl Socket {
    /// Adopts an accepted, non-blocking descriptor. Call it in a runtime.
    ///
    /// # Errors
    /// The kernel's, when it cannot be watched.
    pub(crate) fn new(fd: OwnedFd, family: Family) -> io::Result<Self> {
        let stream = match family {
            Family::Tcp => {
                let stream = TcpStream::from_std(fd.into())?;
                // Fails only when the peer is gone already, which the first read tells as well.
                let _ = stream.set_nodelay(true);
                Stream::Tcp(stream)
            }
            Family::Unix => Stream::Unix(UnixStream::from_std(StdUnixStream::from(fd))?),
        };
        Ok(Self {
            stream,
            requests: AtomicUsize::new(0),
            blocked: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    /// Whether something that a client asked for has not been sent to it entirely.
    pub(crate) fn owes(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0 || self.blocked.load(Ordering::Relaxed)
    }

    /// Says that nothing more comes and reads out what the peer still sends: to close with unread input makes the
    /// kernel send a reset, which destroys answers that the peer has not read yet.
    pub(crate) async fn close_gently(&self) {
        if self.ended.load(Ordering::Relaxed)
            || rustix::net::shutdown(self.as_fd(), rustix::net::Shutdown::Write).is_err()
        {
            return;
        }
        let read_out = async {
            let mut scratch = vec![0; 4096];
            loop {
                match each!(&self.stream, stream => stream.try_read(&mut scratch)) {
                    Ok(0) => return,
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        if each!(&self.stream, stream => stream.readable().await).is_err() {
                            return;
                        }
                    }
                    Err(_) => return,
                }
            }
        };
        // A peer that goes on sending is cut after that; it had its answer.
        let _ = timeout(LINGER, read_out).await;
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        each!(&self.stream, stream => stream.as_fd())
    }
}

/// Keeps [`Socket::owes`] true from a request's arrival until its answer is handed to the socket.
#[derive(Debug)]
pub(crate) struct Owed(Arc<Socket>);

impl Owed {
    pub(crate) fn new(socket: &Arc<Socket>) -> Self {
        socket.requests.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(socket))
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The protocol's view of a [`Socket`].
#[derive(Debug)]
pub(crate) struct Io(pub(crate) Arc<Socket>);

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(each!(&self.0.stream, stream => stream.poll_read_ready(cx)))?;
            match each!(&self.0.stream, stream => stream.try_read_buf(buf)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) => {
                    self.0.ended.store(true, Ordering::Relaxed);
                    return Poll::Ready(Ok(()));
                }
                result => return Poll::Ready(result.map(drop)),
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |stream| each!(stream, stream => stream.try_write(buf)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |stream| each!(stream, stream => stream.try_write_vectored(bufs)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Left to [`Socket::close_gently`], which has to be done after errors of the protocol too.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Io {
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&Stream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let ready = each!(&self.0.stream, stream => stream.poll_write_ready(cx));
            self.0.blocked.store(ready.is_pending(), Ordering::Relaxed);
            ready!(ready)?;
            match send(&self.0.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}
