//! What other threads ask of the dispatcher.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use evercrew_core::pool::JobId;
use rustix::event::{EventfdFlags, eventfd};

use crate::job::Job;
use crate::outcome::Outcome;
use crate::statistics::Statistics;

/// Whom the end of a job is told. It is called in the dispatcher's thread and must not wait.
pub(crate) type Done = Box<dyn FnOnce(Outcome) + Send>;

/// A request.
pub(crate) enum Request {
    Submit(JobId, Job, Done),
    Cancel(JobId),
    Recall,
    Scale(u32),
    /// Every child, or the one in a slot; told whether all were replaced.
    Restart(Option<u32>, Sender<Result<(), String>>),
    Statistics(Sender<Statistics>),
    Stop {
        now: bool,
    },
}

/// The queue of requests, and what wakes the dispatcher. It holds no more than what threads that wait have put there, and the
/// jobs of [`Pool::submit`](crate::Pool::submit) until the next turn.
pub(crate) struct Inbox {
    requests: Mutex<Vec<Request>>,
    bell: OwnedFd,
    rung: AtomicBool,
    next: AtomicU64,
    /// How often something was settled while somebody waited for room.
    settled: Mutex<u64>,
    room: Condvar,
    /// Somebody waits for room.
    waits: AtomicU64,
    closed: AtomicBool,
}

impl Inbox {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            requests: Mutex::new(Vec::new()),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            rung: AtomicBool::new(false),
            next: AtomicU64::new(1),
            settled: Mutex::new(0),
            room: Condvar::new(),
            waits: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        })
    }

    /// The number of a new job.
    pub(crate) fn number(&self) -> JobId {
        JobId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Puts a request there. After the dispatcher's end a job is given back at once.
    pub(crate) fn send(&self, request: Request) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if self.closed.load(Ordering::Acquire) {
            drop(requests);
            return refuse(request);
        }
        requests.push(request);
        drop(requests);
        if !self.rung.swap(true, Ordering::AcqRel) {
            // Full would mean that it was rung before.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// Takes all that is there.
    pub(crate) fn take(&self, into: &mut Vec<Request>) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.bell, &mut count);
        self.rung.store(false, Ordering::Release);
        into.append(&mut self.requests.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Nothing is taken any more: what is there is given back.
    pub(crate) fn close(&self) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        self.closed.store(true, Ordering::Release);
        let left = std::mem::take(&mut *requests);
        drop(requests);
        left.into_iter().for_each(refuse);
        self.made_room();
    }

    /// Something was settled: there may be room.
    pub(crate) fn made_room(&self) {
        if self.waits.load(Ordering::Acquire) > 0 {
            *self.settled.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            self.room.notify_all();
        }
    }

    /// Begins to wait for room: gives what [`Inbox::wait`] compares with.
    pub(crate) fn look(&self) -> u64 {
        self.waits.fetch_add(1, Ordering::AcqRel);
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was settled since `seen`, or a moment; gives what to compare with next.
    pub(crate) fn wait(&self, seen: u64) -> u64 {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |settled: &mut u64| *settled == seen;
        let waited = self.room.wait_timeout_while(settled, Duration::from_millis(100), same);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn looked(&self) {
        self.waits.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The dispatcher is gone.
fn refuse(request: Request) {
    match request {
        Request::Submit(_, _, done) => done(Outcome::Returned { begun: false }),
        Request::Restart(_, answer) => drop(answer.send(Err("the pool has stopped".to_owned()))),
        Request::Cancel(_) | Request::Recall | Request::Scale(_) => {}
        Request::Statistics(answer) => drop(answer),
        Request::Stop { .. } => {}
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}
