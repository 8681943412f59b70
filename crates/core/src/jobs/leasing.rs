//! Jobs in their queues, who gets them, and how they come back.

use std::sync::Arc;
use std::time::Duration;

use super::change::Change;
use super::event::{Action, Claim, Fetch, Grant, Stage, Verdict};
use super::fault::Fault;
use super::machine::{Ended, Held, Job, Jobs};
use super::number::{Asker, BatchNumber, JobNumber, LeaseNumber};
use super::queues::Index;
use super::record::{Failure, Place, Record};
use super::retry::Backoff;
use super::wall::Now;

/// What a claim comes to.
enum Claimed {
    /// The job is the claimant's own, under this lease if it has one.
    Own(JobNumber),
    /// What became of it is on its way to the disk already, with this batch.
    Settled(BatchNumber),
    Unknown,
    Stale,
}

impl Job {
    /// Whether whoever claims it has it.
    pub(super) fn is_of(&self, claim: &Claim) -> bool {
        match &self.record.place {
            Place::Reserved { lease, wid, .. } => match (&claim.lease, &claim.wid) {
                (Some(claimed), _) => claimed == lease,
                (None, Some(claimant)) => claimant == wid,
                (None, None) => true,
            },
            // It may have been handed out before the server started anew; then nobody has it.
            Place::Enqueued | Place::Scheduled(_) | Place::Retry(_) => self.is_recovered,
            Place::Dead(_) => false,
        }
    }
}

impl Jobs {
    /// Puts a job where its place says it is; at the front of its queue if it was there before.
    pub(super) fn index(&mut self, now: Now, number: JobNumber, front: bool, out: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(&number) else { return };
        match &job.record.place {
            Place::Scheduled(at) => {
                self.scheduled.insert((*at, number));
                let index = self.queues.make(&job.record.queue);
                self.queues.get_mut(index).known = true;
            }
            Place::Retry(at) => {
                self.retries.insert((*at, number));
            }
            Place::Dead(since) => {
                self.dead.insert((*since, number));
            }
            Place::Reserved { lease, wid, .. } => {
                let until = now.mono.after(Duration::from_secs(job.record.reserve_for.into()));
                let held = self.leases.entry(*lease).or_insert(Held { number, until, pid: None, ended: None });
                self.expiries.insert((held.until, *lease));
                if let Some(consumer) = self.consumers.get_mut(wid) {
                    consumer.leases.insert(*lease);
                }
            }
            Place::Enqueued => {
                job.stamp = job.stamp.wrapping_add(1);
                let stamp = job.stamp;
                let index = self.queues.make(&job.record.queue);
                let queue = self.queues.get_mut(index);
                queue.known = true;
                queue.size += 1;
                if front || self.faults.has(Fault::NewestFirst) {
                    queue.ready.push_front((number, stamp));
                } else {
                    queue.ready.push_back((number, stamp));
                }
                if !self.faults.has(Fault::NobodyWoken) {
                    self.serve(now, index, out);
                }
            }
        }
    }

    /// Takes a job out of where its place says it is. The lease of one that a worker has is kept.
    pub(super) fn unindex(&mut self, number: JobNumber) {
        let Some(job) = self.jobs.get_mut(&number).filter(|job| !job.is_pending) else { return };
        match &job.record.place {
            Place::Scheduled(at) => {
                self.scheduled.remove(&(*at, number));
            }
            Place::Retry(at) => {
                self.retries.remove(&(*at, number));
            }
            Place::Dead(since) => {
                self.dead.remove(&(*since, number));
            }
            Place::Reserved { lease, .. } => {
                if let Some(held) = self.leases.get(lease) {
                    self.expiries.remove(&(held.until, *lease));
                }
            }
            Place::Enqueued => {
                job.stamp = job.stamp.wrapping_add(1);
                if let Some(index) = self.queues.find(&job.record.queue) {
                    let queue = self.queues.get_mut(index);
                    queue.size = queue.size.saturating_sub(1);
                }
            }
        }
    }

    /// Whether jobs are on their way out, all of them that are in a queue: nothing is handed out.
    fn is_flushing(&self) -> bool {
        self.batches.flush().is_some() && !self.faults.has(Fault::FlushedHandedOut)
    }

    /// Hands what is ready in a queue to those who wait there, the longest waiting first: as many as there are jobs.
    pub(super) fn serve(&mut self, now: Now, index: Index, out: &mut Vec<Action>) {
        if self.is_flushing() {
            return;
        }
        let ignored = self.faults.has(Fault::PauseIgnored);
        while (ignored || !self.queues.get(index).paused) && self.queues.get(index).size > 0 {
            let Some((number, ())) = self.queues.get(index).waiting.first_key_value() else { return };
            let Some(asker) = self.waits.asker(*number) else {
                let number = *number;
                self.queues.get_mut(index).waiting.remove(&number);
                continue;
            };
            let Some(wait) = self.waits.remove(asker) else { return };
            self.forget_wait(wait.number, &wait.queues);
            match self.take(now, index, (&wait.wid, wait.pid), out) {
                Some(grant) => out.push(Action::Grant(asker, vec![grant])),
                None => out.push(Action::Nothing(asker)),
            }
        }
    }

    fn forget_wait(&mut self, number: u64, queues: &[Index]) {
        for index in queues {
            self.queues.get_mut(*index).waiting.remove(&number);
        }
    }

    /// The next job of a queue, leased to a worker.
    fn take(&mut self, now: Now, index: Index, (wid, pid): (&Arc<str>, i64), out: &mut Vec<Action>) -> Option<Grant> {
        loop {
            let (number, stamp) = self.queues.get_mut(index).ready.pop_front()?;
            let here = |job: &Job| job.stamp == stamp && !job.is_pending && job.record.place == Place::Enqueued;
            if !self.jobs.get(&number).is_some_and(|job| here(job)) {
                continue;
            }
            self.unindex(number);
            let lease = LeaseNumber(self.next_lease);
            self.next_lease += 1;
            self.totals.leased += 1;
            let job = self.jobs.get_mut(&number)?;
            job.is_recovered = false;
            job.record.place = Place::Reserved { lease, wid: Arc::clone(wid), since: now.wall };
            out.push(Action::Keep(Change::Move(job.record.clone())));
            self.batches.touch();
            let grant =
                Grant { number, lease, enqueued_at: job.record.enqueued_at, failure: job.record.failure.clone() };
            self.index(now, number, false, out);
            if let Some(held) = self.leases.get_mut(&lease) {
                held.pid = Some(pid);
            }
            return Some(grant);
        }
    }

    pub(super) fn fetch(&mut self, now: Now, fetch: Fetch, out: &mut Vec<Action>) -> Verdict {
        let Some(consumer) = self.consumers.get_mut(&fetch.wid) else { return Verdict::Unknown };
        consumer.heard = now.mono;
        let fetches = consumer.stage == Stage::Running;
        let mut indices: Vec<Index> = fetch.queues.iter().filter_map(|name| self.queues.find_or_make(name)).collect();
        if self.faults.has(Fault::LastQueueFirst) {
            indices.reverse();
        }
        let mut grants = Vec::new();
        if fetches && !self.is_flushing() {
            for index in &indices {
                while grants.len() < fetch.most as usize && !self.queues.get(*index).paused {
                    match self.take(now, *index, (&fetch.wid, fetch.pid), out) {
                        Some(grant) => grants.push(grant),
                        None => break,
                    }
                }
            }
        }
        if !grants.is_empty() {
            out.push(Action::Grant(fetch.asker, grants));
            return Verdict::Done;
        }
        if fetch.wait.is_zero() {
            out.push(Action::Nothing(fetch.asker));
            return Verdict::Done;
        }
        let watched = if fetches { indices } else { Vec::new() };
        let number = self.waits.add(fetch.asker, (fetch.wid, fetch.pid), watched.clone(), now.mono.after(fetch.wait));
        for index in watched {
            self.queues.get_mut(index).waiting.insert(number, ());
        }
        Verdict::Waits
    }

    pub(super) fn leave(&mut self, asker: Asker) -> Verdict {
        if let Some(wait) = self.waits.remove(asker) {
            self.forget_wait(wait.number, &wait.queues);
        }
        Verdict::Done
    }

    /// Whose job it is that somebody speaks of.
    fn claimed(&mut self, claim: &Claim) -> Claimed {
        let Some(number) = self.by_jid.get(&claim.jid).copied() else { return Claimed::Unknown };
        let Some(job) = self.jobs.get(&number) else { return Claimed::Unknown };
        let is_own = job.is_of(claim) || self.faults.has(Fault::NoFence);
        match (is_own, self.on_its_way(number)) {
            (true, Some(_)) if self.faults.has(Fault::SecondAnswerAtOnce) => Claimed::Stale,
            (true, Some(batch)) => Claimed::Settled(batch),
            (true, None) => Claimed::Own(number),
            (false, _) => {
                self.totals.stale += 1;
                Claimed::Stale
            }
        }
    }

    pub(super) fn done(&mut self, now: Now, claim: &Claim, result: Option<Arc<str>>, out: &mut Vec<Action>) -> Verdict {
        self.hear(now, claim);
        match self.claimed(claim) {
            Claimed::Own(number) => {
                self.totals.done += 1;
                self.settled_by_its_worker(number);
                self.finish(number, result, out)
            }
            Claimed::Settled(batch) => self.once(batch),
            Claimed::Unknown => Verdict::Unknown,
            Claimed::Stale => Verdict::Stale,
        }
    }

    pub(super) fn fail(&mut self, now: Now, claim: &Claim, failure: Failure, out: &mut Vec<Action>) -> Verdict {
        self.hear(now, claim);
        match self.claimed(claim) {
            Claimed::Own(number) => {
                self.totals.failed += 1;
                self.settled_by_its_worker(number);
                let Some(job) = self.jobs.get(&number) else { return Verdict::Unknown };
                let less = i32::from(self.faults.has(Fault::OneRetryLess));
                let own = self.backoffs.get(&job.record.kind).copied().unwrap_or_default();
                let backoff = if self.faults.has(Fault::OwnBackoffForgotten) { Backoff::Power } else { own };
                let next = failed(now, &job.record, failure, (backoff, self.lots.draw()), less);
                self.totals.died += u64::from(next.as_ref().is_some_and(|next| matches!(next.place, Place::Dead(_))));
                self.begin(number, next, out)
            }
            Claimed::Settled(batch) => self.once(batch),
            Claimed::Unknown => Verdict::Unknown,
            Claimed::Stale => Verdict::Stale,
        }
    }

    fn hear(&mut self, now: Now, claim: &Claim) {
        if let Some(consumer) = claim.wid.as_ref().and_then(|wid| self.consumers.get_mut(wid)) {
            consumer.heard = now.mono;
        }
    }

    pub(super) fn refund(&mut self, now: Now, claim: &Claim, out: &mut Vec<Action>) -> Verdict {
        self.hear(now, claim);
        match self.claimed(claim) {
            Claimed::Own(number) => {
                self.totals.refunded += 1;
                self.settled_by_its_worker(number);
                self.come_back(now, number, out);
                Verdict::OnCommit
            }
            Claimed::Settled(batch) => self.once(batch),
            Claimed::Unknown => Verdict::Unknown,
            Claimed::Stale => Verdict::Stale,
        }
    }

    pub(super) fn undelivered(&mut self, now: Now, lease: LeaseNumber, out: &mut Vec<Action>) -> Verdict {
        self.end(now, lease, Ended::Undelivered, out);
        Verdict::Done
    }

    /// A job without its text can never be done: it is parked with the dead ones, for somebody to look at.
    pub(super) fn damaged(&mut self, now: Now, lease: LeaseNumber, out: &mut Vec<Action>) -> Verdict {
        let Some(number) = self.under(lease) else { return self.undelivered(now, lease, out) };
        let Some(job) = self.jobs.get_mut(&number) else { return Verdict::Done };
        let count = job.record.failure.as_ref().map_or(0, |failure| failure.count) + 1;
        let (kind, message) = ("Damaged".to_owned(), "the store has lost the text of this job".to_owned());
        job.record.failure = Some(Box::new(Failure { count, at: now.wall, kind, message, ..Failure::default() }));
        self.park(now, number, out);
        Verdict::Done
    }

    /// The job of a lease, unless what becomes of it is on its way to the disk.
    fn under(&self, lease: LeaseNumber) -> Option<JobNumber> {
        let number = self.leases.get(&lease)?.number;
        self.on_its_way(number).is_none().then_some(number)
    }

    /// A lease has ended without an answer.
    pub(super) fn end(&mut self, now: Now, lease: LeaseNumber, how: Ended, out: &mut Vec<Action>) {
        match (self.under(lease), how) {
            (Some(number), Ended::Orphaned) => self.orphan(now, number, out),
            (Some(number), Ended::Undelivered) => {
                self.totals.refunded += 1;
                self.come_back(now, number, out);
            }
            (None, _) => {
                if let Some(held) = self.leases.get_mut(&lease) {
                    held.ended = Some(how);
                }
            }
        }
    }

    /// Frees a job whose lease ended while an answer, or a flush, was on its way that could not be written.
    pub(super) fn disown(&mut self, now: Now, lease: LeaseNumber, out: &mut Vec<Action>) {
        let ended = self.leases.get(&lease).and_then(|held| held.ended);
        if let Some(how) = ended.filter(|_| !self.faults.has(Fault::AnswerOfTheDeadKept)) {
            self.end(now, lease, how, out);
        }
    }

    /// A job that a worker had is the next one of its queue. It counts at once: a crash before the commit has the same
    /// outcome, later.
    pub(super) fn come_back(&mut self, now: Now, number: JobNumber, out: &mut Vec<Action>) {
        self.unindex(number);
        let Some(job) = self.jobs.get_mut(&number) else { return };
        let before = std::mem::replace(&mut job.record.place, Place::Enqueued);
        job.is_recovered = false;
        out.push(Action::Keep(Change::Move(job.record.clone())));
        self.batches.touch();
        self.release_lease(&before, out);
        if !self.faults.has(Fault::DroppedOnReturn) {
            self.index(now, number, true, out);
        }
    }

    pub(super) fn release_lease(&mut self, place: &Place, out: &mut Vec<Action>) {
        if let Place::Reserved { lease, wid, .. } = place {
            if let Some(held) = self.leases.remove(lease) {
                self.expiries.remove(&(held.until, *lease));
            }
            if let Some(consumer) = self.consumers.get_mut(wid) {
                consumer.leases.remove(lease);
            }
            self.lease_ended(*lease, out);
        }
    }

    /// A reservation has run out: counted as a failure, and tried again at once.
    pub(super) fn expire(&mut self, now: Now, lease: LeaseNumber, out: &mut Vec<Action>) {
        let Some(number) = self.under(lease) else { return };
        let Some(job) = self.jobs.get_mut(&number) else { return };
        self.totals.expired += 1;
        self.totals.failed += 1;
        let message = format!("no answer within the {} s that it was reserved for", job.record.reserve_for);
        let failure = Failure { at: now.wall, kind: "ReservationExpired".to_owned(), message, ..Failure::default() };
        let failure = failure.after(job.record.failure.as_deref());
        let count = failure.count;
        job.record.failure = Some(Box::new(failure));
        if i64::from(count) > i64::from(job.record.retry) {
            self.park(now, number, out);
        } else {
            self.come_back(now, number, out);
        }
    }

    /// A worker that is no more had this job.
    fn orphan(&mut self, now: Now, number: JobNumber, out: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(&number) else { return };
        self.totals.orphaned += 1;
        job.record.deaths += 1;
        if job.record.deaths >= self.policy.most_deaths && !self.faults.has(Fault::PoisonForgotten) {
            let message = format!("{} workers died while they had it", job.record.deaths);
            let kind = "WorkerDied".to_owned();
            let failure = Failure { at: now.wall, kind, message, ..Failure::default() };
            job.record.failure = Some(Box::new(failure.after(job.record.failure.as_deref())));
            self.park(now, number, out);
        } else {
            self.come_back(now, number, out);
        }
    }

    /// Tries a job no more. It counts at once, as what comes back does: were it undone by a full disk, it would be tried
    /// again and again for as long.
    fn park(&mut self, now: Now, number: JobNumber, out: &mut Vec<Action>) {
        self.totals.died += 1;
        self.unindex(number);
        let Some(job) = self.jobs.get_mut(&number) else { return };
        let before = std::mem::replace(&mut job.record.place, Place::Dead(now.wall));
        out.push(Action::Keep(Change::Move(job.record.clone())));
        self.batches.touch();
        self.release_lease(&before, out);
        self.index(now, number, false, out);
    }
}

/// What becomes of a job that failed; nothing when it is thrown away.
fn failed(now: Now, record: &Record, failure: Failure, (backoff, lot): (Backoff, u32), less: i32) -> Option<Record> {
    let before = record.failure.as_ref().map_or(0, |failure| failure.count);
    let count = before.saturating_add(1);
    let place = match record.retry {
        0 => return None,
        retry if retry < 0 || i64::from(count) > i64::from(retry - less) => Place::Dead(now.wall),
        _ => Place::Retry(now.wall.after(backoff.delay(before, lot))),
    };
    let next = if let Place::Retry(at) = place { Some(at) } else { None };
    let failure = Failure { at: now.wall, next, ..failure }.after(record.failure.as_deref());
    Some(Record { place, failure: Some(Box::new(failure)), ..record.clone() })
}
