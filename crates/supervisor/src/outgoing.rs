//! Records on their way to the manager, and those that it has not acknowledged.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;

use evercrew_sys::channel::Channel;
use evercrew_sys::record;
use evercrew_wire::supervisor::{Numbered, ToManager};

/// Signals that wait for an acknowledgement, at most; those beyond it are dropped and counted (exits are bounded by workers).
pub(crate) const MAX_SIGNALS: usize = 4096;

/// Whether it is a signal that asks for a stop, the loss of the terminal included: never dropped.
pub(crate) fn is_stop(record: &ToManager) -> bool {
    match record {
        ToManager::SignalReceived { signal, from_kernel, .. } => {
            matches!(signal.as_str(), "TERM" | "INT" | "QUIT") || (signal == "HUP" && *from_kernel)
        }
        _ => false,
    }
}

/// Whose descriptors go beside a record. They are looked up when it is sent, so that a full queue holds none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// None.
    Nothing,
    /// The configuration deposit, and the state if so.
    Deposit { state: bool },
    /// Both deposits, and what the manager hands on beside them.
    Handover,
    /// Connections that it hands on: those of one record of it.
    Connections(usize),
    /// A listener.
    Listener(String),
    /// What is kept for a worker.
    Worker(u64),
}

/// How far a flush came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// To the end.
    All,
    /// Until the channel was full.
    Full,
    /// Until the kernel was short of something.
    Short,
}

const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOBUFS: i32 = 105;
const ETOOMANYREFS: i32 = 109;

#[derive(Debug)]
struct Entry {
    n: u64,
    record: ToManager,
    beside: Beside,
}

/// One manager's queue.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    next: u64,
    unsent: VecDeque<Entry>,
    unacknowledged: VecDeque<Entry>,
    /// How many of both are signals.
    signals: usize,
    dropped: u64,
}

pub(crate) fn is_signal(record: &ToManager) -> bool {
    matches!(record, ToManager::SignalReceived { .. })
}

/// Whether it has to be told to whoever is the manager, however many there were meanwhile: exits, failed spawns, signals.
/// Everything else stands in the inventory.
pub(crate) fn is_lasting(record: &ToManager) -> bool {
    match record {
        ToManager::Exited { .. } | ToManager::SpawnFailed { .. } | ToManager::SignalReceived { .. } => true,
        ToManager::Inventory(_)
        | ToManager::Bound { .. }
        | ToManager::BindFailed { .. }
        | ToManager::Worker(_)
        | ToManager::Connections
        | ToManager::InventoryEnd
        | ToManager::Freeze
        | ToManager::GoOn { .. }
        | ToManager::Commit
        | ToManager::CallerWaits
        | ToManager::Said { .. }
        | ToManager::Spawned(_) => false,
    }
}

impl Outgoing {
    /// Adds a record.
    pub(crate) fn push(&mut self, record: ToManager, beside: Beside) {
        if is_signal(&record) && !is_stop(&record) && self.signals >= MAX_SIGNALS {
            self.dropped += 1;
            return;
        }
        self.signals += usize::from(is_signal(&record));
        self.next += 1;
        self.unsent.push_back(Entry { n: self.next, record, beside });
    }

    /// How many signals were dropped since the last time.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Whether the manager owes an acknowledgement.
    pub(crate) fn is_owed(&self) -> bool {
        !(self.unacknowledged.is_empty() && self.unsent.is_empty())
    }

    /// Sends what the channel takes. `find` looks descriptors up.
    pub(crate) fn flush<'a>(
        &mut self,
        channel: &Channel,
        mut find: impl FnMut(&Beside) -> Vec<BorrowedFd<'a>>,
    ) -> io::Result<Flushed> {
        while let Some(mut entry) = self.unsent.pop_front() {
            let descriptors = find(&entry.beside);
            if matches!(entry.record, ToManager::Spawned(_) | ToManager::Bound { .. } | ToManager::Worker(_))
                && descriptors.is_empty()
            {
                continue; // It ended or was closed meanwhile; the record that says so follows.
            }
            let numbered = Numbered { n: entry.n, record: entry.record };
            let bytes = numbered.encode().map_err(io::Error::other)?;
            entry.record = numbered.record;
            match record::send(channel, &bytes, &descriptors) {
                Ok(()) => self.unacknowledged.push_back(entry),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unsent.push_front(entry);
                    return Ok(Flushed::Full);
                }
                // No descriptors or memory to send with: no fault of the manager's, and it may pass.
                Err(error)
                    if matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM | ETOOMANYREFS)) =>
                {
                    self.unsent.push_front(entry);
                    return Ok(Flushed::Short);
                }
                Err(error) => {
                    self.unsent.push_front(entry);
                    return Err(error);
                }
            }
        }
        Ok(Flushed::All)
    }

    /// Forgets everything up to `n`; returns the records so acknowledged.
    pub(crate) fn acknowledge(&mut self, n: u64) -> Vec<ToManager> {
        let mut done = Vec::new();
        while self.unacknowledged.front().is_some_and(|entry| entry.n <= n) {
            done.extend(self.unacknowledged.pop_front().map(|entry| entry.record));
            self.signals -= usize::from(done.last().is_some_and(is_signal));
        }
        done
    }

    /// Whether a stop request is still unacknowledged.
    pub(crate) fn owes_signal(&self) -> bool {
        self.signals > 0
    }

    /// What the next manager must be told again: exits, failed spawns and signals, in order.
    pub(crate) fn left_over(self) -> Vec<ToManager> {
        self.unacknowledged.into_iter().chain(self.unsent).map(|entry| entry.record).filter(is_lasting).collect()
    }
}
