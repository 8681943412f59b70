//! Lines on their way to standard output.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::super::statistics::Statistics;

/// Bytes that may wait. What comes when they are full is dropped and counted.
const BOUND: usize = 1024 * 1024;
/// How long the end of a worker waits for the last lines.
const LAST: Duration = Duration::from_secs(1);
/// The thread formats nothing and calls nothing deep.
const STACK: usize = 128 * 1024;

/// A bounded queue of lines and the thread that writes them. The pipe behind may be full for as long as its reader
/// likes: no request waits for it.
#[derive(Debug)]
pub(crate) struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    statistics: Arc<Statistics>,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    dropped: u64,
    is_ending: bool,
    is_over: bool,
}

impl Log {
    /// Begins to write to `target`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(target: OwnedFd, statistics: Arc<Statistics>) -> io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new(), statistics });
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("access-log".to_owned()).stack_size(STACK).spawn(move || writer.run(target))?;
        Ok(Self { shared })
    }

    /// Queues a line, which has its line feed. Never waits for the reader.
    pub(crate) fn write(&self, line: &str) {
        let mut queue = self.shared.lock();
        if queue.bytes.len() + line.len() > BOUND {
            queue.dropped += 1;
            drop(queue);
            self.shared.statistics.log_dropped(1);
            return;
        }
        let was_empty = queue.bytes.is_empty();
        queue.bytes.extend_from_slice(line.as_bytes());
        drop(queue);
        if was_empty {
            self.shared.changed.notify_all();
        }
    }

    /// Waits until everything is written, a second at most.
    pub(crate) fn finish(&self) {
        let mut queue = self.shared.lock();
        queue.is_ending = true;
        self.shared.changed.notify_all();
        let until = Instant::now() + LAST;
        while !queue.is_over {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.shared.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of the thread.
    fn run(&self, target: OwnedFd) {
        let mut target = File::from(target);
        let mut lines = Vec::new();
        loop {
            lines.clear();
            let mut queue = self.lock();
            while queue.bytes.is_empty() && !queue.is_ending {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            if queue.bytes.is_empty() {
                break;
            }
            std::mem::swap(&mut queue.bytes, &mut lines);
            let dropped = std::mem::take(&mut queue.dropped);
            drop(queue);
            if dropped > 0 {
                lines.extend_from_slice(format!("{dropped} lines of the access log were dropped\n").as_bytes());
            }
            if write_all(&mut target, &lines).is_err() {
                break;
            }
        }
        let mut queue = self.lock();
        queue.is_over = true;
        self.changed.notify_all();
    }
}

/// Writes everything; waits where somebody made the pipe non-blocking.
fn write_all(target: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match target.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::from_borrowed_fd(target.as_fd(), PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_nothing_else() {
        let (reader, writer) = evercrew_sys::pipe::pair().expect("a pipe");
        let statistics = Arc::new(Statistics::default());
        let log = Log::start(writer, Arc::clone(&statistics)).expect("a thread");
        let line = format!("{}\n", "x".repeat(999));
        // More than the pipe and the queue hold together.
        for _ in 0..4000 {
            log.write(&line);
        }
        let dropped = statistics.figures().log_dropped;
        assert!(dropped > 1000 && dropped < 3500, "{dropped}");
        let reading = thread::spawn(move || {
            let mut text = String::new();
            File::from(reader).read_to_string(&mut text).map(|_| text)
        });
        log.finish();
        drop(log);
        let text = reading.join().expect("no panic").expect("a pipe");
        let whole = text.lines().filter(|text| text.len() == 999).count();
        assert_eq!(whole as u64 + dropped, 4000);
        assert!(text.contains(&format!("{dropped} lines of the access log were dropped\n")), "{dropped}");
    }
}
