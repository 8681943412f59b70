//! The plain accept loop: a task for each connection, whatever it speaks.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::context::Context;
use crate::drain::{Drain, begun};
use crate::http::{Family, Stream};
use crate::life::Life;
use crate::process::{Worker, end};
use crate::serving::Serving;

/// Connections at once, unless it is said otherwise.
const MOST: u32 = 10_000;

/// An accepted connection, TCP or unix.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    drain: Drain,
}

impl Connection {
    /// The peer's address; none on a unix socket, or when the peer is gone.
    pub fn peer(&self) -> Option<std::net::SocketAddr> {
        self.stream.peer()
    }

    /// Resolves when the worker is asked to stop: finish what is begun, then close. What is left 25 s later is cut.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stages = self.drain.watch();
        async move { begun(&mut stages).await }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_shutdown(cx)
    }
}

/// Gives each connection on the inherited listeners to a task that `handle` makes, until a stop, and returns the exit
/// code of this process as [`serve_http`](crate::serve_http) does. On a stop nothing new is accepted, and tasks have
/// 25 s to end by themselves.
///
/// Call it on the main thread, before there are others: it takes the inherited descriptors and blocks all signals.
pub fn serve_connections<F>(life: Life, handle: impl Fn(Connection, Context) -> F + Clone + Send + Sync + 'static) -> u8
where
    F: Future<Output = ()> + Send + 'static,
{
    end(Worker::start(life).and_then(|worker| {
        let context = worker.context();
        worker.serve(|| {
            let (context, drain) = (context.clone(), Drain::new());
            Ok(Connections { shared: Arc::new((context, drain)), handle: handle.clone() })
        })
    }))
}

/// A task for each connection.
#[derive(Clone)]
struct Connections<H> {
    shared: Arc<(Context, Drain)>,
    handle: H,
}

impl<H, F> Serving for Connections<H>
where
    H: Fn(Connection, Context) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    fn most(&self) -> u32 {
        MOST
    }

    fn drain(&self) -> &Drain {
        &self.shared.1
    }

    fn serve(&self, fd: OwnedFd, family: Family, word: Arc<Notify>) -> impl Future<Output = ()> + Send + use<H, F> {
        let Self { shared, handle } = self.clone();
        // In some protocols the server speaks first: there is no word to wait for.
        word.notify_one();
        async move {
            let stream = Stream::new(fd, family);
            handle(Connection { stream, drain: shared.1.clone() }, shared.0.clone()).await;
        }
    }

    fn turn_away(&self, fd: OwnedFd, _: Family) -> impl Future<Output = ()> + Send + use<H, F> {
        async move { drop(fd) }
    }

    fn watch(&self) -> impl Future<Output = ()> + Send + use<H, F> {
        std::future::pending()
    }
}
