//! Output that nobody reads: no worker waits for a logger that cannot be started.
//!
//! A logger that dies is followed by the next one within milliseconds, and the pipes hold what is written meanwhile. Only
//! when none comes for a second is output read here, thrown away and counted; the next logger writes how much it was.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::fleet::WorkerId;
use evercrew_sys::{clock, pipe};
use evercrew_wire::logger::Stream;

use crate::link::Shared;
use crate::manager::Manager;

/// How long a worker may wait for a logger.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two readings while there is none.
const PAUSE: Duration = Duration::from_millis(100);

/// When output is thrown away, and how much of it was.
#[derive(Debug, Default)]
pub(crate) struct Discard {
    due: Option<Mono>,
    bytes: BTreeMap<(WorkerId, Stream), u64>,
}

impl Discard {
    /// When to look again.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.due
    }

    /// Bytes of this pipe that were thrown away since the last logger.
    pub(crate) fn of(&self, worker: WorkerId, stream: Stream) -> u64 {
        self.bytes.get(&(worker, stream)).copied().unwrap_or_default()
    }

    /// There is a logger, and it was told.
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }

    /// Whether it is time to read: `is_read` says that there is a logger, or nothing to read.
    fn is_due(&mut self, now: Mono, is_read: bool) -> bool {
        if is_read {
            self.due = None;
            return false;
        }
        let due = *self.due.get_or_insert(now.after(PATIENCE));
        let is_due = due <= now;
        if is_due {
            self.due = Some(now.after(PAUSE));
        }
        is_due
    }

    fn read(&mut self, key: (WorkerId, Stream), pipe: &Shared) {
        let count = pipe::discard(pipe.as_fd()).unwrap_or_default();
        if count > 0 {
            *self.bytes.entry(key).or_default() += count;
        }
    }
}

impl Manager {
    /// Looks after the workers' output while there is no logger.
    pub(crate) fn look_after_output(&mut self) {
        let is_read = self.logger.is_some() || self.crew.processes.values().all(|process| process.output.is_none());
        if !self.discard.is_due(clock::mono(), is_read) {
            return;
        }
        for (worker, process) in &self.crew.processes {
            for (stream, pipe) in [(Stream::Output, &process.output), (Stream::Error, &process.error)] {
                if let Some(pipe) = pipe {
                    self.discard.read((*worker, stream), pipe);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn output_is_thrown_away_after_a_second_without_a_logger_and_counted() {
        let (reader, writer) = pipe::pair().expect("pipe");
        let reader = Arc::new(reader);
        let key = (WorkerId(1), Stream::Output);
        let mut discard = Discard::default();
        let begin = Mono::from_nanos(1_000_000_000);
        assert!(!discard.is_due(begin, true) && discard.deadline().is_none(), "a logger reads");
        assert!(!discard.is_due(begin, false), "it may come back");
        assert_eq!(discard.deadline(), Some(begin.after(PATIENCE)));
        assert!(discard.is_due(begin.after(PATIENCE), false));
        let mut writer = File::from(writer);
        writer.write_all(&[b'x'; 60_000]).expect("write");
        discard.read(key, &reader);
        discard.read(key, &reader);
        // Nothing is in its way again.
        writer.write_all(&[b'x'; 60_000]).expect("write");
        discard.read(key, &reader);
        assert_eq!(discard.of(key.0, key.1), 120_000);
        assert_eq!(discard.deadline(), Some(begin.after(PATIENCE + PAUSE)));
        discard.end();
        assert_eq!((discard.of(key.0, key.1), discard.deadline()), (0, None));
    }
}
