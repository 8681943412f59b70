//! What is told of children: their lines, and what becomes of them.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use evercrew_core::Level;

/// How many records may wait for whoever takes them.
const WAITING: usize = 1024;

/// Where a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The child's standard error.
    Stderr,
    /// The child's standard output, where it is no answer.
    Stdout,
    /// The child's own `log` lines.
    Child,
    /// The pool.
    Pool,
}

/// One line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `mailer.2`.
    pub child: Arc<str>,
    /// The job that the child has in hand, where it is one alone.
    pub job: Option<Arc<str>>,
    /// Where it comes from.
    pub source: Source,
    /// How much it matters.
    pub level: Level,
    /// What.
    pub line: String,
    /// How many records before this one were dropped, since they came faster than they were taken.
    pub dropped: u64,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dropped > 0 {
            writeln!(f, "{}: {} lines dropped", self.child, self.dropped)?;
        }
        match &self.job {
            Some(job) => write!(f, "{} {job}: {}", self.child, self.line),
            None => write!(f, "{}: {}", self.child, self.line),
        }
    }
}

/// A thread that passes records on, so that the dispatcher never waits for whoever takes them.
#[derive(Debug)]
pub(crate) struct Log {
    sender: Option<SyncSender<Record>>,
    thread: Option<JoinHandle<()>>,
    dropped: u64,
    /// All that were ever dropped.
    pub(crate) lost: u64,
}

impl Log {
    pub(crate) fn start(name: &str, take: Box<dyn FnMut(Record) + Send>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let thread = Builder::new().name(format!("{name} log")).spawn(move || pass_on(&receiver, take))?;
        Ok(Self { sender: Some(sender), thread: Some(thread), dropped: 0, lost: 0 })
    }

    pub(crate) fn tell(&mut self, record: Record) {
        let Some(sender) = &self.sender else { return };
        match sender.try_send(Record { dropped: self.dropped, ..record }) {
            Ok(()) => self.dropped = 0,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped += 1;
                self.lost += 1;
            }
        }
    }

    /// Waits until all is passed on.
    pub(crate) fn finish(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // What whoever takes records does wrong is told by its own panic.
            let _ = thread.join();
        }
    }
}

fn pass_on(receiver: &Receiver<Record>, mut take: Box<dyn FnMut(Record) + Send>) {
    while let Ok(record) = receiver.recv() {
        take(record);
    }
}
