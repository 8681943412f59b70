//! No worker waits for a disk that hangs: while a write takes longer than a second, another thread reads the pipes, throws
//! away and counts.
//!
//! A disk that is full answers, and needs none of this. One that does not answer (a network file system, a broken drive)
//! holds the one thread that writes, and with it every worker whose pipe is full.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_sys::{clock, pipe};

use crate::source::Key;

/// How long a worker may wait for a write.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two readings while a write hangs.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
struct Pipes {
    all: BTreeMap<Key, Arc<File>>,
    discarded: BTreeMap<Key, u64>,
}

#[derive(Debug, Default)]
struct Shared {
    pipes: Mutex<Pipes>,
    /// When the write that lasts was begun, in nanoseconds; 0 when none lasts.
    begun: AtomicU64,
    /// Writes so far.
    writes: AtomicU64,
    /// The thread waits to be woken: nothing was written for a while.
    asleep: AtomicBool,
}

/// The thread, and what it is told.
#[derive(Debug)]
pub(crate) struct Relief {
    shared: Arc<Shared>,
    /// `None` when it could not be started: then a disk that hangs holds everybody up.
    thread: Option<Thread>,
}

impl Relief {
    pub(crate) fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("relief".to_owned()).spawn(move || its.run());
        // It ends with the process.
        Self { shared, thread: thread.ok().map(|handle| handle.thread().clone()) }
    }

    pub(crate) fn watch(&self, key: Key, pipe: &Arc<File>) {
        self.shared.pipes().all.insert(key, Arc::clone(pipe));
    }

    pub(crate) fn forget(&self, key: Key) {
        self.shared.pipes().all.remove(&key);
    }

    /// Does `write`, and gives what was thrown away meanwhile.
    pub(crate) fn during<T>(&self, write: impl FnOnce() -> T) -> (T, BTreeMap<Key, u64>) {
        let begun = clock::mono();
        self.shared.writes.fetch_add(1, Ordering::Relaxed);
        self.shared.begun.store(begun.as_nanos(), Ordering::SeqCst);
        if self.shared.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.unpark();
        }
        let done = write();
        self.shared.begun.store(0, Ordering::SeqCst);
        if clock::mono().since(begun) < PATIENCE {
            return (done, BTreeMap::new());
        }
        // Whatever it still reads, it has read when the lock is free.
        (done, std::mem::take(&mut self.shared.pipes().discarded))
    }
}

impl Shared {
    fn pipes(&self) -> MutexGuard<'_, Pipes> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut seen = 0;
        loop {
            let wait = self.look();
            if let Some(wait) = wait {
                std::thread::park_timeout(wait);
                continue;
            }
            let writes = self.writes.load(Ordering::Relaxed);
            if writes != seen {
                // Something is written now and then: waking this thread for each write would cost more than looking.
                seen = writes;
                std::thread::park_timeout(PATIENCE / 2);
                continue;
            }
            self.asleep.store(true, Ordering::SeqCst);
            while self.asleep.load(Ordering::SeqCst) && self.begun.load(Ordering::SeqCst) == 0 {
                std::thread::park();
            }
            self.asleep.store(false, Ordering::SeqCst);
        }
    }

    /// Reads the pipes if a write hangs. When to look again, if one lasts.
    fn look(&self) -> Option<Duration> {
        let mut pipes = self.pipes();
        // In this order: a write that is over by then, and took less, was not taken for one that hangs.
        let now = clock::mono();
        let begun = self.begun.load(Ordering::SeqCst);
        if begun == 0 {
            return None;
        }
        let lasts = now.since(Mono::from_nanos(begun));
        if lasts < PATIENCE {
            return Some(PATIENCE.saturating_sub(lasts));
        }
        let Pipes { all, discarded } = &mut *pipes;
        for (key, pipe) in all {
            let count = pipe::discard(&**pipe).unwrap_or_default();
            if count > 0 {
                *discarded.entry(*key).or_default() += count;
            }
        }
        Some(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use evercrew_wire::logger::Stream;

    use super::*;

    #[test]
    fn a_write_that_hangs_lets_nobody_wait_and_a_short_one_takes_nothing() {
        let relief = Relief::start();
        let (reader, writer) = pipe::pair().expect("pipe");
        let key = (1, Stream::Output);
        relief.watch(key, &Arc::new(File::from(reader)));
        let mut writer = File::from(writer);
        writer.write_all(b"kept").expect("write");
        assert_eq!(relief.during(|| ()).1, BTreeMap::new());
        // More than a pipe holds: it ends only because somebody reads.
        let (written, discarded) = relief.during(|| writer.write_all(&vec![b'x'; 300_000]));
        written.expect("write");
        let count = discarded[&key];
        assert!((4 + 300_000 - 65_536..=4 + 300_000).contains(&count), "{count}");
        assert_eq!(relief.during(|| ()).1, BTreeMap::new());
    }
}
