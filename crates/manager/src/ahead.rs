//! What was read from a connection beyond the request that is being read: kept where it can be handed on at any time.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio::net::UnixStream;

/// Read at a time, in bytes.
const CHUNK: usize = 8 * 1024;

/// Bytes that were read and are not taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ahead(Arc<Mutex<Vec<u8>>>);

impl Ahead {
    /// With what another manager had read.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(bytes)))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state().clone()
    }

    fn state(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reading side of a connection that others share.
#[derive(Debug)]
pub(crate) struct ReadHalf(pub(crate) Arc<UnixStream>);

impl AsyncRead for ReadHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read(buffer.initialize_unfilled()) {
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// Reads from `inner`; what is not taken is also with `ahead`.
#[derive(Debug)]
pub(crate) struct Reading<R> {
    inner: R,
    buffer: Vec<u8>,
    taken: usize,
    ahead: Ahead,
}

impl<R> Reading<R> {
    pub(crate) fn new(inner: R, ahead: Ahead) -> Self {
        Self { inner, buffer: ahead.bytes(), taken: 0, ahead }
    }

    pub(crate) fn inner(&self) -> &R {
        &self.inner
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Reading<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let bytes = ready!(Pin::new(&mut *this).poll_fill_buf(cx))?;
        let length = bytes.len().min(buffer.remaining());
        buffer.put_slice(bytes.get(..length).unwrap_or_default());
        Pin::new(this).consume(length);
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead + Unpin> AsyncBufRead for Reading<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let Self { inner, buffer, taken, ahead } = self.get_mut();
        if *taken >= buffer.len() {
            buffer.resize(CHUNK, 0);
            let mut read = ReadBuf::new(buffer);
            let polled = Pin::new(inner).poll_read(cx, &mut read);
            let length = read.filled().len();
            buffer.truncate(length);
            *taken = 0;
            ahead.state().extend_from_slice(buffer);
            ready!(polled)?;
        }
        Poll::Ready(Ok(buffer.get(*taken..).unwrap_or_default()))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let Self { buffer, taken, ahead, .. } = self.get_mut();
        let amount = amount.min(buffer.len() - *taken);
        *taken += amount;
        ahead.state().drain(..amount);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncBufReadExt;

    use super::*;

    #[test]
    fn what_is_not_taken_is_there_for_the_next_one() {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
            let ahead = Ahead::new(b"on".to_vec());
            let mut reading = Reading::new(&b"e\ntwo\nthr"[..], ahead.clone());
            let mut line = Vec::new();
            reading.read_until(b'\n', &mut line).await.expect("a line");
            assert_eq!((&line[..], &ahead.bytes()[..]), (&b"one\n"[..], &b"two\nthr"[..]));
            line.clear();
            let mut next = Reading::new(&b"ee\n"[..], Ahead::new(ahead.bytes()));
            next.read_until(b'\n', &mut line).await.expect("a line");
            next.read_until(b'\n', &mut line).await.expect("a line");
            assert_eq!(line, b"two\nthree\n");
        });
    }
}
