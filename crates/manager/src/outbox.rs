//! What one connection has yet to read: counted in lines and bytes, written by a task of its own.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::UnixStream;
use tokio::sync::Notify;

/// Bytes that wait for a client to read them; what would go over that cuts it off. One line may be longer.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Lines of events queued at a time; the ring keeps the rest.
const EVENT_LINES: usize = 256;
/// With more bytes than this queued, no event is added.
const EVENT_BYTES: usize = 1024 * 1024;
/// A client with no more than this has room: it is read from again and gets the events it is behind with.
const LOW_LINES: usize = 64;
const LOW_BYTES: usize = 64 * 1024;

/// The loop's end; dropped, the writer ends when all is written.
#[derive(Debug)]
pub(crate) struct Outbox(Arc<Load>);

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Pending(Arc<Load>);

/// What is queued, and how much. All parties are tasks of one thread; the locks only make it shareable.
#[derive(Debug, Default)]
pub(crate) struct Load {
    queue: Mutex<Queue>,
    lines: AtomicUsize,
    bytes: AtomicUsize,
    /// Nothing more is added.
    closed: AtomicBool,
    /// Nobody writes any more.
    abandoned: AtomicBool,
    /// Events wait in the ring until there is room.
    behind: AtomicBool,
    added: Notify,
    drained: Notify,
}

/// Lines, the first of which may be written in part.
#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    written: usize,
}

/// Why the writer came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// There is room again, and somebody waits for it.
    Room,
    /// Everything is written and nothing more comes, or the client is gone.
    End,
}

/// Both ends of an empty queue.
pub(crate) fn outbox() -> (Outbox, Pending) {
    let load = Arc::new(Load::default());
    (Outbox(Arc::clone(&load)), Pending(load))
}

impl Outbox {
    pub(crate) fn load(&self) -> Arc<Load> {
        Arc::clone(&self.0)
    }

    /// Queues a line; false when the client has too much to read already.
    pub(crate) fn push(&self, line: String) -> bool {
        let queued = self.0.bytes.load(Relaxed);
        if queued > 0 && queued.saturating_add(line.len()) > MAX_BYTES {
            return false;
        }
        self.add(line.into_bytes())
    }

    /// Queues what another manager had queued.
    pub(crate) fn restore(&self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.add(bytes);
        }
    }

    fn add(&self, line: Vec<u8>) -> bool {
        self.0.lines.fetch_add(1, Relaxed);
        self.0.bytes.fetch_add(line.len(), Relaxed);
        self.0.queue().lines.push_back(line);
        self.0.added.notify_one();
        !self.0.abandoned.load(Relaxed)
    }

    /// How many lines of events it takes now.
    pub(crate) fn room(&self) -> usize {
        if self.0.bytes.load(Relaxed) >= EVENT_BYTES {
            return 0;
        }
        EVENT_LINES.saturating_sub(self.0.lines.load(Relaxed))
    }

    /// Asks for [`Written::Room`] as soon as there is some. Only for one without: what is queued wakes the writer.
    pub(crate) fn wants_room(&self) {
        self.0.behind.store(true, Relaxed);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.0.closed.store(true, Relaxed);
        self.0.added.notify_one();
    }
}

impl Load {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is not written yet.
    pub(crate) fn unwritten(&self) -> Vec<u8> {
        let queue = self.queue();
        let all: Vec<u8> = queue.lines.iter().flatten().copied().collect();
        all.get(queue.written..).unwrap_or_default().to_vec()
    }

    fn is_low(&self) -> bool {
        self.lines.load(Relaxed) <= LOW_LINES && self.bytes.load(Relaxed) <= LOW_BYTES
    }

    /// Waits until the client has read most of what it was sent.
    pub(crate) async fn drained(&self) {
        while !self.is_low() {
            self.drained.notified().await;
        }
    }

    /// Writes what the socket takes of the first line; `None` when there is none.
    fn write_some(&self, write: &UnixStream) -> Option<io::Result<()>> {
        let mut queue = self.queue();
        let Queue { lines, written } = &mut *queue;
        let line = lines.front()?;
        let count = match write.try_write(line.get(*written..).unwrap_or_default()) {
            Ok(count) => count,
            Err(error) => return Some(Err(error)),
        };
        *written += count;
        if *written >= line.len() {
            self.lines.fetch_sub(1, Relaxed);
            self.bytes.fetch_sub(line.len(), Relaxed);
            *written = 0;
            lines.pop_front();
        }
        Some(Ok(()))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Relaxed);
    }
}

impl Pending {
    /// Writes until the loop has to know something.
    pub(crate) async fn write(&mut self, write: &UnixStream) -> Written {
        loop {
            match self.0.write_some(write) {
                Some(Ok(())) => {}
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if write.writable().await.is_err() {
                        return Written::End;
                    }
                }
                Some(Err(_)) => return Written::End,
                None if self.0.closed.load(Relaxed) => return Written::End,
                None => self.0.added.notified().await,
            }
            if self.0.is_low() {
                self.0.drained.notify_one();
                if self.0.behind.swap(false, Relaxed) {
                    return Written::Room;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_stop_long_before_the_budget_and_a_line_over_the_budget_is_refused() {
        let (outbox, _pending) = outbox();
        assert_eq!(outbox.room(), EVENT_LINES);
        assert!(outbox.push("x".repeat(EVENT_BYTES)));
        assert_eq!(outbox.room(), 0);
        let mut queued = EVENT_BYTES;
        while outbox.push("x".repeat(1000)) {
            queued += 1000;
            assert!(queued <= MAX_BYTES);
        }
        assert!(queued > MAX_BYTES - 1000);
    }

    #[test]
    fn one_line_may_be_longer_than_the_budget() {
        let (outbox, _pending) = outbox();
        assert!(outbox.push("x".repeat(MAX_BYTES + 1)));
        assert!(!outbox.push("x".into()));
    }
}
