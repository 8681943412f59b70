//! What workers do.

use std::sync::Arc;
use std::time::Duration;

use evercrew_core::jobs::{Asker, Claim, Event, Failure as Reason, Fetch, Grant, Greeting};

use super::run::{Happening, QUEUES, Run};

impl Run {
    pub(super) fn hire(&mut self) -> Result<(), String> {
        self.next += 1;
        let wid: Arc<str> = Arc::from(format!("worker-{}", self.next));
        if !self.greet(&wid)? {
            self.soon(5000, Happening::Hire);
            return Ok(());
        }
        if !self.is_good() && self.random.chance(20) {
            self.soon(20_000, Happening::Replace(Arc::clone(&wid)));
        }
        self.soon(10, Happening::Fetch(Arc::clone(&wid)));
        self.soon(15_000, Happening::Beat(wid));
        Ok(())
    }

    /// A process says that it is this worker; whether there is room for it.
    pub(super) fn greet(&mut self, wid: &Arc<str>) -> Result<bool, String> {
        self.next += 1;
        let pid = self.workers.get(wid).copied().unwrap_or(i64::try_from(self.next).unwrap_or(0));
        self.tell(Event::Greeted(Greeting { wid: Arc::clone(wid), host: String::new(), pid, labels: Vec::new() }))?;
        let is_known = self.jobs.consumer(wid).is_some();
        if is_known {
            self.workers.insert(Arc::clone(wid), pid);
        } else {
            self.workers.remove(wid);
        }
        Ok(is_known)
    }

    pub(super) fn replace(&mut self, wid: &Arc<str>) -> Result<(), String> {
        let Some(pid) = self.workers.remove(wid) else { return Ok(()) };
        self.greet(wid)?;
        self.soon(5000, Happening::Event(Event::Died(Arc::clone(wid), pid)));
        self.soon(8000, Happening::Replace(Arc::clone(wid)));
        Ok(())
    }

    pub(super) fn fetch(&mut self, wid: &Arc<str>) -> Result<(), String> {
        let Some(pid) = self.workers.get(wid).copied() else { return Ok(()) };
        if self.waiting.values().any(|waiting| waiting == wid) {
            return Ok(());
        }
        self.next += 1;
        let asker = Asker(self.next);
        let mut queues: Vec<Arc<str>> = QUEUES.map(Arc::from).to_vec();
        if !self.is_good() && self.random.chance(50) {
            queues.rotate_left(1);
            queues.truncate(usize::try_from(self.random.between(1, 3)).unwrap_or(1));
        }
        self.waiting.insert(asker, Arc::clone(wid));
        let most = if self.random.chance(70) { 1 } else { 4 };
        let wait = if self.random.chance(80) { Duration::from_secs(2) } else { Duration::ZERO };
        self.tell(Event::Fetched(Fetch { asker, wid: Arc::clone(wid), pid, queues, most, wait }))?;
        if !self.is_good() && self.random.chance(10) && self.waiting.remove(&asker).is_some() {
            self.soon(500, Happening::Fetch(Arc::clone(wid)));
            self.tell(Event::Left(asker))?;
        }
        Ok(())
    }

    /// What a worker makes of a job.
    pub(super) fn work(&mut self, wid: &Arc<str>, grant: &Grant) {
        let Some(record) = self.jobs.record(grant.number) else { return };
        let jid = Arc::clone(&record.jid);
        let lease = self.random.chance(50).then_some(grant.lease);
        let claim = Claim { jid: Arc::clone(&jid), lease, wid: Some(Arc::clone(wid)) };
        let done = Happening::Event(Event::Done(claim.clone(), None));
        if self.is_good() {
            return self.soon(500, done);
        }
        if self.random.chance(2) {
            // Before its lease is written, as likely as not.
            self.soon(10, Happening::Kill);
        }
        let reason = Reason { kind: "Error".to_owned(), message: "no".to_owned(), ..Reason::default() };
        let failed = Happening::Event(Event::Failed(claim.clone(), Box::new(reason)));
        match self.random.below(15) {
            0 => {}
            1 | 2 => self.soon(3000, failed),
            3 => {
                self.soon(3000, failed.clone());
                self.soon(30_000, failed);
            }
            4 => self.soon(1000, Happening::Event(Event::Refunded(claim))),
            5 if self.random.chance(10) => self.soon(50, Happening::Event(Event::Damaged(grant.lease))),
            5 => self.soon(50, Happening::Event(Event::Undelivered(grant.lease))),
            6 => {
                // The same answer twice, close together.
                let at = self.now.after(self.random.millis(0, 1000));
                self.at(at, done.clone());
                self.at(at.after(Duration::from_micros(200)), done);
            }
            7 => self.soon(90_000, done),
            8 => {
                let is_seen = self.random.chance(70);
                self.soon(2000, Happening::End(Arc::clone(wid), is_seen));
                self.soon(5000, done);
            }
            9 => self.soon(1000, Happening::Event(Event::Cancelled(jid))),
            10 => {
                // It dies right after its answer.
                let at = self.now.after(self.random.millis(0, 1000));
                self.at(at, done);
                self.at(at.after(Duration::from_micros(500)), Happening::End(Arc::clone(wid), true));
            }
            11 => {
                self.soon(2000, failed);
                self.soon(2000, done);
            }
            _ => self.soon(2000, done),
        }
    }
}
