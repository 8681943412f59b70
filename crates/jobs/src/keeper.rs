//! The thread that writes: what one batch changed goes to the store while the loop goes on.

use std::any::Any;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use evercrew_core::jobs::{BatchNumber, Change};
use evercrew_store::{ErrorKind, Store};

use crate::book;
use crate::error::Error;

/// How long what the kernel has may wait for the disk when nobody waits for it.
const RELAXED: Duration = Duration::from_secs(1);

/// A change, with the text of a job that is new.
pub(crate) type Kept = (Change, Option<Arc<[u8]>>);

/// What a batch came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is kept as the store promises.
    Committed(BatchNumber),
    /// Nothing of it is kept; the next one may be.
    Refused(BatchNumber, String),
    /// What is kept is not known: nobody may be answered.
    Broken(Error),
}

/// The thread, and the two ways to it.
#[derive(Debug)]
pub(crate) struct Keeper {
    work: Option<Sender<(BatchNumber, Vec<Kept>)>>,
    done: Receiver<(Outcome, Vec<Kept>)>,
    bell: OwnedFd,
    syncs: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// The kernel's: no thread, no descriptor.
    pub(crate) fn start(store: Box<dyn Store>) -> io::Result<Self> {
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let bell = rustix::event::eventfd(0, flags)?;
        let theirs = evercrew_sys::descriptor::duplicate(&bell)?;
        let last = evercrew_sys::descriptor::duplicate(&bell)?;
        let (work, batches) = channel();
        let (outcomes, done) = channel();
        let syncs = Arc::new(AtomicU64::new(store.syncs()));
        let writer = Writer { store, batches, outcomes, bell: theirs, syncs: Arc::clone(&syncs) };
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            // One that panics has told nobody; the loop hears the bell, and finds that nobody is there.
            let ended = catch_unwind(AssertUnwindSafe(|| writer.run()));
            ring(&last);
            ended.unwrap_or_else(|panic| Err(panicked(&*panic)))
        })?;
        Ok(Self { work: Some(work), done, bell, syncs, thread: Some(thread) })
    }

    /// Hands a batch over.
    pub(crate) fn commit(&self, batch: BatchNumber, changes: Vec<Kept>) {
        // A thread that is gone has said why.
        let _ = self.work.as_ref().map(|work| work.send((batch, changes)));
    }

    /// The next outcome that was rung for, with the empty list that it came in.
    pub(crate) fn outcome(&mut self) -> Option<(Outcome, Vec<Kept>)> {
        match self.done.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                let error = self.stop().err().unwrap_or_else(|| gone("has ended"));
                Some((Outcome::Broken(error), Vec::new()))
            }
        }
    }

    /// Takes note of the bell; what was rung for is asked for afterwards.
    pub(crate) fn answer_the_bell(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
    }

    /// Syncs of the store so far.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Ends the thread, which closes the store in good order.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        self.work = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(closed)) => closed,
            Some(Err(panic)) => Err(panicked(&*panic)),
            None => Ok(()),
        }
    }
}

impl AsFd for Keeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// What the thread has.
struct Writer {
    store: Box<dyn Store>,
    batches: Receiver<(BatchNumber, Vec<Kept>)>,
    outcomes: Sender<(Outcome, Vec<Kept>)>,
    bell: OwnedFd,
    syncs: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self) -> Result<(), Error> {
        let mut sync_at: Option<Instant> = None;
        loop {
            let next = match sync_at {
                None => self.batches.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self.batches.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match next {
                Ok((batch, changes)) => self.commit(batch, changes),
                Err(RecvTimeoutError::Timeout) => self.sync(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            sync_at = if self.store.owes_sync() { sync_at.or_else(|| Some(Instant::now() + RELAXED)) } else { None };
            self.syncs.store(self.store.syncs(), Ordering::Relaxed);
        }
        match self.store.close() {
            // Everything is in the journal; the next start brings it into the file.
            Err(error) if error.kind() == ErrorKind::Full => Ok(()),
            closed => closed.map_err(Error::Store),
        }
    }

    fn commit(&mut self, batch: BatchNumber, mut changes: Vec<Kept>) {
        let rows = book::rows(&changes);
        changes.clear();
        let outcome = match self.store.commit(&[rows]) {
            Ok(()) => Outcome::Committed(batch),
            Err(error) if error.kind() == ErrorKind::Full => Outcome::Refused(batch, error.to_string()),
            Err(error) => Outcome::Broken(Error::Store(error)),
        };
        self.tell(outcome, changes);
        // Answers leave first; upkeep has no one to hurry it.
        if let Err(error) = self.store.tidy()
            && error.kind() != ErrorKind::Full
        {
            self.tell(Outcome::Broken(Error::Store(error)), Vec::new());
        }
    }

    fn sync(&mut self) {
        if let Err(error) = self.store.sync() {
            self.tell(Outcome::Broken(Error::Store(error)), Vec::new());
        }
    }

    fn tell(&self, outcome: Outcome, changes: Vec<Kept>) {
        if self.outcomes.send((outcome, changes)).is_ok() {
            ring(&self.bell);
        }
    }
}

fn ring(bell: &OwnedFd) {
    // It is full only when nobody has listened for ages.
    let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

fn gone(why: &str) -> Error {
    Error::System("writing to the store", io::Error::other(format!("the thread that writes {why}")))
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    gone(&format!("has panicked: {}", text.unwrap_or("it did not say why")))
}
