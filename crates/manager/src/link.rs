//! A record channel under tokio, with a queue that never blocks the loop.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::fleet::WorkerId;
use evercrew_sys::channel::{Channel, Received};
use evercrew_sys::{descriptor, record};
use evercrew_wire::supervisor::MAX_RECORD;
use tokio::io::unix::AsyncFd;

use crate::readiness;

/// How long the last records may take to reach the supervisor.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// A descriptor that several owners share: the table of processes and a queue.
pub(crate) type Shared = Arc<OwnedFd>;

/// One record with what goes beside it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<Shared>,
}

/// A channel and what waits to be sent on it.
#[derive(Debug)]
pub(crate) struct Link {
    channel: Channel,
    readiness: AsyncFd<OwnedFd>,
    queue: VecDeque<Record>,
}

impl Link {
    /// Takes up a channel's end.
    ///
    /// # Errors
    /// The kernel's, when no descriptor is left.
    pub(crate) fn new(end: OwnedFd) -> io::Result<Self> {
        let readiness = readiness::watch(&end)?;
        Ok(Self { channel: Channel::from(end), readiness, queue: VecDeque::new() })
    }

    pub(crate) fn push(&mut self, record: Record) {
        self.queue.push_back(record);
    }

    /// Records that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn wants_to_write(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Sends what the channel takes now.
    ///
    /// # Errors
    /// When the other end is gone.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while let Some(record) = self.queue.front() {
            let descriptors: Vec<BorrowedFd<'_>> = record.descriptors.iter().map(|fd| fd.as_fd()).collect();
            match record::send(&self.channel, &record.bytes, &descriptors) {
                Ok(()) => {
                    self.queue.pop_front();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns when the channel takes more.
    pub(crate) async fn writable(&self) {
        if let Ok(mut ready) = self.readiness.writable().await {
            // The next flush finds out whether it is so; a stale readiness must not spin.
            ready.clear_ready();
        }
    }

    /// Blocks this thread until something can be read or, where something waits to be sent, sent.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn wait(&self, most: Duration) -> io::Result<()> {
        descriptor::wait(&self.channel, self.wants_to_write(), most)
    }

    /// Waits for a record.
    ///
    /// # Errors
    /// The channel's; a record that is none of ours.
    pub(crate) async fn receive(&self, limit: usize) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        loop {
            if let Some(record) = self.try_receive(limit)? {
                return Ok(record);
            }
            let mut ready = self.readiness.readable().await?;
            match self.try_receive(limit)? {
                Some(record) => return Ok(record),
                None => ready.clear_ready(),
            }
        }
    }

    /// A record that waits already: `None` if none does, `Some(None)` at the end.
    ///
    /// # Errors
    /// As [`Link::receive`].
    #[allow(clippy::type_complexity, reason = "two optional layers that a match reads at once")]
    pub(crate) fn try_receive(&self, limit: usize) -> io::Result<Option<Option<(Vec<u8>, Vec<OwnedFd>)>>> {
        let (mut bytes, mut descriptors) = (Vec::new(), Vec::new());
        match record::receive(&self.channel, limit, &mut bytes, &mut descriptors) {
            Ok(Received::Message) => Ok(Some(Some((bytes, descriptors)))),
            Ok(Received::Closed) => Ok(Some(None)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The other end is closed, as opposed to something that could not be read from it.
pub(crate) fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
    )
}

/// What the logger says next; never, without one.
pub(crate) async fn logger_says(logger: Option<&(WorkerId, Link)>) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    match logger {
        Some((_, link)) => link.receive(MAX_RECORD).await,
        None => std::future::pending().await,
    }
}

/// Returns when the logger's link takes more; never, without one.
pub(crate) async fn logger_writable(logger: Option<&(WorkerId, Link)>) {
    match logger {
        Some((_, link)) => link.writable().await,
        None => std::future::pending().await,
    }
}

/// Sends everything that is queued, for a bounded time.
///
/// # Errors
/// When the other end is gone or does not read.
pub(crate) async fn flush_all(link: &mut Link) -> io::Result<()> {
    let until = tokio::time::Instant::now() + LAST_FLUSH;
    link.flush()?;
    while link.wants_to_write() {
        tokio::time::timeout_at(until, link.writable()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        link.flush()?;
    }
    Ok(())
}
