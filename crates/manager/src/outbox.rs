//! What one connection has yet to read: counted in lines and bytes, written by a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Notify, mpsc};

/// Bytes that wait for a client to read them; what would go over that cuts it off. One line may be longer.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Lines of events queued at a time; the ring keeps the rest.
const EVENT_LINES: usize = 256;
/// With more bytes than this queued, no event is added.
const EVENT_BYTES: usize = 1024 * 1024;
/// A client with no more than this has room: it is read from again and gets the events it is behind with.
const LOW_LINES: usize = 64;
const LOW_BYTES: usize = 64 * 1024;

/// The loop's end.
#[derive(Debug)]
pub(crate) struct Outbox {
    lines: mpsc::UnboundedSender<String>,
    load: Arc<Load>,
}

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Pending {
    lines: mpsc::UnboundedReceiver<String>,
    load: Arc<Load>,
}

/// How much is queued. All parties are tasks of one thread; the atomics only make it shareable.
#[derive(Debug, Default)]
pub(crate) struct Load {
    lines: AtomicUsize,
    bytes: AtomicUsize,
    /// Events wait in the ring until there is room.
    behind: AtomicBool,
    drained: Notify,
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
    let (sender, receiver) = mpsc::unbounded_channel();
    let load = Arc::new(Load::default());
    (Outbox { lines: sender, load: Arc::clone(&load) }, Pending { lines: receiver, load })
}

impl Outbox {
    pub(crate) fn load(&self) -> Arc<Load> {
        Arc::clone(&self.load)
    }

    /// Queues a line; false when the client has too much to read already.
    pub(crate) fn push(&self, line: String) -> bool {
        let queued = self.load.bytes.load(Relaxed);
        if queued > 0 && queued.saturating_add(line.len()) > MAX_BYTES {
            return false;
        }
        self.load.lines.fetch_add(1, Relaxed);
        self.load.bytes.fetch_add(line.len(), Relaxed);
        self.lines.send(line).is_ok()
    }

    /// How many lines of events it takes now.
    pub(crate) fn room(&self) -> usize {
        if self.load.bytes.load(Relaxed) >= EVENT_BYTES {
            return 0;
        }
        EVENT_LINES.saturating_sub(self.load.lines.load(Relaxed))
    }

    /// Asks for [`Written::Room`] as soon as there is some. Only for one without: what is queued wakes the writer.
    pub(crate) fn wants_room(&self) {
        self.load.behind.store(true, Relaxed);
    }
}

impl Load {
    fn is_low(&self) -> bool {
        self.lines.load(Relaxed) <= LOW_LINES && self.bytes.load(Relaxed) <= LOW_BYTES
    }

    /// Waits until the client has read most of what it was sent.
    pub(crate) async fn drained(&self) {
        while !self.is_low() {
            self.drained.notified().await;
        }
    }
}

impl Pending {
    /// Writes until the loop has to know something.
    pub(crate) async fn write(&mut self, write: &mut OwnedWriteHalf) -> Written {
        while let Some(line) = self.lines.recv().await {
            if write.write_all(line.as_bytes()).await.is_err() {
                return Written::End;
            }
            self.load.lines.fetch_sub(1, Relaxed);
            self.load.bytes.fetch_sub(line.len(), Relaxed);
            if self.load.is_low() {
                self.load.drained.notify_one();
                if self.load.behind.swap(false, Relaxed) {
                    return Written::Room;
                }
            }
        }
        Written::End
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
