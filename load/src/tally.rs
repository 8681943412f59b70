//! Counting while it runs, and waking whoever waits for a count.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::fault::{Connection, Failure, Trouble};
use crate::histogram::Histogram;
use crate::report::{Example, Report, Server};
use crate::schedule::Schedule;

/// Failures that are kept with what was seen.
const EXAMPLES: usize = 16;
/// Different server processes that are told apart.
const SERVERS: usize = 10_000;

/// The counts of a load.
#[derive(Debug)]
struct Counts {
    last_answer: Instant,
    latency: Histogram,
    service: Histogram,
    report: Report,
    /// Lanes that still send.
    lanes: usize,
}

/// The counts, shared by all lanes and by whoever waits.
#[derive(Debug)]
pub(crate) struct Tally {
    start: Instant,
    counts: Mutex<Counts>,
    changed: Condvar,
    notify: Notify,
}

impl Tally {
    pub(crate) fn new(start: Instant, lanes: usize) -> Self {
        let report = Report {
            sent: 0,
            ok: 0,
            late: 0,
            unsent: 0,
            failures: BTreeMap::new(),
            connections: 0,
            announced_closes: 0,
            idle_closes: 0,
            idle_resets: 0,
            latency: Histogram::new().quantiles(),
            service: Histogram::new().quantiles(),
            largest_gap: Duration::ZERO,
            largest_gap_at: Duration::ZERO,
            servers: BTreeMap::new(),
            examples: Vec::new(),
            elapsed: Duration::ZERO,
        };
        let counts = Counts { last_answer: start, latency: Histogram::new(), service: Histogram::new(), report, lanes };
        Self { start, counts: Mutex::new(counts), changed: Condvar::new(), notify: Notify::new() }
    }

    /// A predicate given to a waiter may panic while it holds the lock; the counts are whole all the same.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes one of the plain counts.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.counts().report);
    }

    /// A right answer.
    pub(crate) fn answered(&self, intended: Instant, begun: Instant, late: Duration, pid: Option<u32>) {
        let now = Instant::now();
        let mut counts = self.counts();
        let latency = now.saturating_duration_since(intended);
        counts.latency.record(latency);
        counts.service.record(now.saturating_duration_since(begun));
        counts.report.ok += 1;
        counts.report.late += u64::from(latency > late);
        self.note_gap(&mut counts, now);
        counts.last_answer = now;
        let at = now.saturating_duration_since(self.start);
        let room = counts.report.servers.len() < SERVERS;
        if let Some(pid) = pid.filter(|pid| room || counts.report.servers.contains_key(pid)) {
            let server = counts.report.servers.entry(pid).or_insert(Server::new(at));
            server.answers += 1;
            server.last = at;
        }
        drop(counts);
        self.wake();
    }

    pub(crate) fn failed(&self, trouble: Trouble, connection: Connection) {
        let now = Instant::now();
        let mut counts = self.counts();
        let failure = Failure { fault: trouble.fault, connection };
        *counts.report.failures.entry(failure).or_insert(0) += 1;
        self.note_gap(&mut counts, now);
        if counts.report.examples.len() < EXAMPLES {
            let at = now.saturating_duration_since(self.start);
            counts.report.examples.push(Example::new(at, failure, trouble.detail));
        }
        drop(counts);
        self.wake();
    }

    fn note_gap(&self, counts: &mut Counts, now: Instant) {
        let gap = now.saturating_duration_since(counts.last_answer);
        if gap > counts.report.largest_gap {
            counts.report.largest_gap = gap;
            counts.report.largest_gap_at = counts.last_answer.saturating_duration_since(self.start);
        }
    }

    /// One lane sends no more; after the last one nobody has to wait longer.
    pub(crate) fn lane_ended(&self) {
        let mut counts = self.counts();
        counts.lanes = counts.lanes.saturating_sub(1);
        if counts.lanes == 0 {
            counts.report.elapsed = self.start.elapsed();
        }
        drop(counts);
        self.wake();
    }

    pub(crate) fn report(&self, schedule: &Schedule) -> Report {
        let counts = self.counts();
        let mut report = counts.report.clone();
        report.latency = counts.latency.quantiles();
        report.service = counts.service.quantiles();
        if counts.lanes > 0 {
            report.elapsed = self.start.elapsed();
        }
        report.unsent = schedule.due_by(self.start + report.elapsed).map_or(0, |due| due.saturating_sub(report.sent));
        report
    }

    fn wake(&self) {
        self.changed.notify_all();
        self.notify.notify_waiters();
    }

    /// Waits until `enough` says so of the plain counts (quantiles are not filled in), or the load has ended.
    pub(crate) async fn wait(&self, mut enough: impl FnMut(&Report) -> bool) -> bool {
        loop {
            // Registered before the look, so that a change between the two is not missed.
            let changed = self.notify.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let counts = self.counts();
                if enough(&counts.report) {
                    return true;
                }
                if counts.lanes == 0 {
                    return false;
                }
            }
            changed.await;
        }
    }

    /// As [`Tally::wait`], for threads, and no longer than `timeout`.
    pub(crate) fn wait_blocking(&self, timeout: Duration, mut enough: impl FnMut(&Report) -> bool) -> bool {
        let deadline = std::time::Instant::now() + timeout;
        let mut counts = self.counts();
        loop {
            if enough(&counts.report) {
                return true;
            }
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if counts.lanes == 0 || left.is_zero() {
                return false;
            }
            counts = self.changed.wait_timeout(counts, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
