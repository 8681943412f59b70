//! What must become of which jobs by an event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::jobs::{
    BatchNumber, Claim, Event, Greeting, JobNumber, Mutation, Now, Place, Record, SILENCE, Verdict,
};

use super::account::{Account, Ended, Holder, Move, State};
use super::oracle::{Item, Oracle};

/// How long dead jobs are kept.
pub(super) const KEEP_DEAD: Duration = Duration::from_secs(300);
/// A type that waits for its retries in its own way, twice as long each time.
pub(super) const OWN_KIND: &str = "own";
pub(super) const OWN_FIRST: Duration = Duration::from_secs(3);
pub(super) const OWN_MOST: Duration = Duration::from_secs(8);
/// Workers that may be known.
pub(super) const MOST_WORKERS: usize = 6;
/// Workers that may die with a job.
pub(super) const MOST_DEATHS: u32 = 3;

/// What must be told to the store of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Inserted,
    Removed,
    /// It is old enough for that.
    MayBeRemoved,
    /// In its queue, now or once that is committed.
    Ready {
        deaths: u32,
        count: u32,
        at_once: bool,
    },
    Retried {
        count: u32,
    },
    Dead {
        deaths: u32,
        count: u32,
        at_once: bool,
    },
}

/// By job.
pub(super) type Expected = BTreeMap<JobNumber, Expect>;

/// How often a job has failed.
pub(super) fn count(record: &Record) -> u32 {
    record.failure.as_ref().map_or(0, |failure| failure.count)
}

impl Oracle {
    pub(super) fn expect(&mut self, now: Now, event: &Event, verdict: &Verdict) -> Result<Expected, String> {
        let mut expected = Expected::new();
        match event {
            Event::Pushed(new) => match verdict {
                Verdict::Taken(number) => {
                    expected.insert(*number, Expect::Inserted);
                }
                Verdict::Duplicate if self.account.by_jid.contains_key(&new.jid) => {}
                _ => return Err(format!("{:?} was not taken in: {verdict:?}", new.jid)),
            },
            Event::Fetched(fetch) => self.hear(&fetch.wid, now.mono),
            Event::Beat(wid, ..) => self.hear(wid, now.mono),
            Event::Watched(watch) => self.hear(&watch.wid, now.mono),
            Event::Greeted(greeting) => self.greeted(now, greeting, verdict)?,
            Event::Done(claim, _) => {
                if let Some((number, _)) = self.claimed(now, claim, verdict)? {
                    self.finishing.insert(number);
                    expected.insert(number, Expect::Removed);
                }
            }
            Event::Failed(claim, _) => {
                if let Some((number, record)) = self.claimed(now, claim, verdict)? {
                    expected.insert(number, failed(&record));
                }
            }
            Event::Refunded(claim) => {
                if let Some((number, record)) = self.claimed(now, claim, verdict)? {
                    expected.insert(number, back(&record, true));
                }
            }
            Event::Undelivered(lease) => {
                for number in self.account.end(|holder| holder.lease == *lease, Ended::Undelivered) {
                    expected.insert(number, back(&self.account.jobs[&number].record, true));
                }
            }
            Event::Damaged(lease) => {
                for number in self.account.end(|holder| holder.lease == *lease, Ended::Undelivered) {
                    expected.insert(number, damaged(&self.account.jobs[&number].record));
                }
            }
            Event::Cancelled(jid) => self.cancelled(jid, verdict, &mut expected)?,
            Event::Died(wid, pid) => self.died(wid, Some(*pid), &mut expected),
            Event::Paused(names, paused) => {
                self.open.extend(names.iter().flatten().map(|name| Item::Pause(Arc::clone(name), *paused)));
                self.settle();
            }
            Event::Mutated(..) if self.account.flushing => {
                let flush = self.last(|item| matches!(item, Item::Flush(_)));
                is_owed(verdict, flush).then_some(()).ok_or_else(|| format!("with {flush:?}: {verdict:?}"))?;
            }
            Event::Mutated(mutation, numbers) => self.mutated(*mutation, numbers, &mut expected),
            Event::Sealed => self.sealed(verdict),
            Event::Committed(batch) => self.committed(now, *batch),
            Event::Refused(batch) => self.refused(now, *batch, &mut expected),
            Event::Ticked => self.ticked(now, &mut expected),
            Event::Left(asker) => {
                self.account.waits.remove(asker);
            }
            Event::Steered(wids, _) => {
                let is_meant = |wid: &Arc<str>| wids.as_ref().is_none_or(|wids| wids.contains(wid));
                self.account.quiet.extend(self.account.heard.keys().filter(|wid| is_meant(wid)).cloned());
                for wait in self.account.waits.values_mut().filter(|wait| is_meant(&wait.wid)) {
                    wait.until = Mono::default();
                }
            }
            Event::QueuesRemoved(names) => self.queues_removed(names.as_deref(), &mut expected),
            Event::Flushed => {
                let below = self.account.jobs.keys().next_back().map_or(JobNumber(0), |last| JobNumber(last.0 + 1));
                self.unpause(None);
                self.open.push(Item::Flush(below));
                self.settle();
            }
        }
        Ok(expected)
    }

    fn hear(&mut self, wid: &str, now: Mono) {
        if let Some(heard) = self.account.heard.get_mut(wid) {
            *heard = now;
        }
    }

    /// The job that is settled by this answer, and as what it was known; none when the answer has no effect.
    fn claimed(&mut self, now: Now, claim: &Claim, said: &Verdict) -> Result<Option<(JobNumber, Record)>, String> {
        if let Some(wid) = &claim.wid {
            self.hear(wid, now.mono);
        }
        let found = self.account.by_jid.get(&claim.jid).and_then(|number| self.account.jobs.get_key_value(number));
        let Some((number, entry)) = found else {
            let is_right = *said == Verdict::Unknown;
            return is_right.then_some(None).ok_or_else(|| format!("{claim:?} names no job, {said:?} was said"));
        };
        let is_of = |holder: &Holder| match (&claim.lease, &claim.wid) {
            (Some(lease), _) => *lease == holder.lease,
            (None, Some(wid)) => *wid == holder.wid,
            (None, None) => true,
        };
        let (number, entry) = (*number, entry.clone());
        let on_its_way = self.on_its_way(number);
        let is_own = match &entry.state {
            State::Held(holder, _) => is_of(holder),
            State::Ready | State::Later(_) if entry.found => {
                entry.forgotten.as_ref().is_some_and(is_of)
                    || matches!(said, Verdict::OnCommit | Verdict::OnCommitOf(_))
            }
            State::Fresh | State::Ready | State::Later(_) | State::Dead(_) | State::Gone => false,
        };
        match (is_own, on_its_way, said) {
            (true, Some(_), _) if is_owed(said, on_its_way) => Ok(None),
            (true, None, Verdict::OnCommit) => Ok(Some((number, entry.record))),
            (false, _, Verdict::Stale) => Ok(None),
            _ => Err(format!("{claim:?} with the job {:?} (own: {is_own}) came to {said:?}", entry.state)),
        }
    }

    /// The batch of the last item that is so.
    fn last(&self, is_so: impl Fn(&Item) -> bool) -> Option<Batch> {
        if self.open.iter().any(&is_so) {
            return Some(Batch::Open);
        }
        let sealed = self.sealed.iter().rev().find(|(_, items)| items.iter().any(&is_so));
        sealed.map(|(batch, _)| Batch::Sealed(*batch))
    }

    /// The batch after which a job can be reached again.
    fn on_its_way(&self, number: JobNumber) -> Option<Batch> {
        let flush = self.last(|item| matches!(item, Item::Flush(below) if number < *below));
        flush.or_else(|| self.last(|item| *item == Item::Job(number)))
    }

    fn cancelled(&mut self, jid: &str, said: &Verdict, expected: &mut Expected) -> Result<(), String> {
        let Some(number) = self.account.by_jid.get(jid).copied() else { return Ok(()) };
        let is_leaving = matches!(self.account.jobs[&number].moves.back(), Some(Move::Vanish));
        let flush = self.last(|item| matches!(item, Item::Flush(below) if number < *below));
        let batch = if is_leaving || flush.is_some() { self.on_its_way(number) } else { None };
        if batch.is_none() {
            expected.insert(number, Expect::Removed);
        }
        let is_right = is_owed(said, batch.or(Some(Batch::Open)));
        is_right.then_some(()).ok_or_else(|| format!("to cancel {number:?} with {batch:?} came to {said:?}"))
    }

    fn queues_removed(&mut self, names: Option<&[Arc<str>]>, expected: &mut Expected) {
        let flushed = self.open.iter().rev().find_map(|item| match item {
            Item::Flush(below) => Some(*below),
            Item::Job(_) | Item::Pause(..) => None,
        });
        for (number, entry) in &self.account.jobs {
            let is_meant = names.is_none_or(|names| names.contains(&entry.record.queue));
            if is_meant && entry.is_bound_for_its_queue() {
                let is_leaving = flushed.is_some_and(|below| *number < below);
                expected.insert(*number, if is_leaving { Expect::MayBeRemoved } else { Expect::Removed });
            }
        }
        self.unpause(names);
        self.settle();
    }

    /// Whoever takes jobs away undoes pauses.
    fn unpause(&mut self, names: Option<&[Arc<str>]>) {
        let mut paused: BTreeSet<Arc<str>> = self.account.paused.union(&self.account.kept_paused).cloned().collect();
        for item in self.sealed.values().flatten().chain(&self.open) {
            if let Item::Pause(name, _) = item {
                paused.insert(Arc::clone(name));
            }
        }
        paused.retain(|name| names.is_none_or(|names| names.contains(name)));
        self.open.extend(paused.into_iter().map(|name| Item::Pause(name, false)));
    }

    fn greeted(&mut self, now: Now, greeting: &Greeting, said: &Verdict) -> Result<(), String> {
        let wid = &greeting.wid;
        let has_room = self.account.heard.len() < MOST_WORKERS || self.account.heard.contains_key(wid);
        match (has_room, said) {
            (true, Verdict::Done) => {
                self.account.heard.insert(Arc::clone(wid), now.mono);
                let processes = self.account.processes.entry(Arc::clone(wid)).or_default();
                processes.retain(|pid| *pid != greeting.pid);
                processes.push(greeting.pid);
                Ok(())
            }
            (false, Verdict::Full(_)) => Ok(()),
            _ => Err(format!("{wid} is told {said:?} while {} are known", self.account.heard.len())),
        }
    }

    fn died(&mut self, wid: &Arc<str>, pid: Option<i64>, expected: &mut Expected) {
        if !self.account.heard.contains_key(wid) {
            return;
        }
        let processes = self.account.processes.entry(Arc::clone(wid)).or_default();
        processes.retain(|known| Some(*known) != pid);
        let pid = pid.filter(|_| !processes.is_empty());
        if pid.is_none() {
            self.account.heard.remove(wid);
            self.account.processes.remove(wid);
            self.account.quiet.remove(wid);
        }
        let is_its = |of: Option<i64>| pid.is_none() || of == pid;
        for wait in self.account.waits.values_mut().filter(|wait| wait.wid == *wid && is_its(Some(wait.pid))) {
            wait.until = Mono::default();
        }
        let is_so = |holder: &Holder| holder.wid == *wid && is_its(holder.pid);
        for number in self.account.end(is_so, Ended::Orphaned) {
            expected.insert(number, orphaned(&self.account.jobs[&number].record));
        }
    }

    fn mutated(&self, mutation: Mutation, numbers: &[JobNumber], expected: &mut Expected) {
        for number in numbers {
            let Some(entry) = self.account.jobs.get(number) else { continue };
            if entry.is_free() && matches!(entry.state, State::Later(_) | State::Dead(_)) {
                let (deaths, count) = (entry.record.deaths, count(&entry.record));
                let what = match mutation {
                    Mutation::Requeue => Expect::Ready { deaths, count, at_once: false },
                    Mutation::Kill => Expect::Dead { deaths, count, at_once: false },
                    Mutation::Discard => Expect::Removed,
                };
                expected.insert(*number, what);
            }
        }
    }

    fn sealed(&mut self, verdict: &Verdict) {
        if let Verdict::Batch(Some(batch)) = verdict {
            self.sealed.insert(*batch, std::mem::take(&mut self.open));
        }
    }

    fn committed(&mut self, now: Now, batch: BatchNumber) {
        for item in self.sealed.remove(&batch).unwrap_or_default() {
            match item {
                Item::Job(number) => self.kept_so(now, number),
                Item::Pause(name, true) => _ = self.account.kept_paused.insert(name),
                Item::Pause(name, false) => _ = self.account.kept_paused.remove(&name),
                Item::Flush(below) => {
                    for entry in self.account.jobs.range_mut(..below).map(|(_, entry)| entry) {
                        entry.state = State::Gone;
                        entry.moves.clear();
                        self.account.by_jid.remove(&entry.record.jid);
                    }
                }
            }
        }
        self.settle();
    }

    /// The first move of a job is committed.
    fn kept_so(&mut self, now: Now, number: JobNumber) {
        let order = self.account.order();
        let Some(entry) = self.account.jobs.get_mut(&number) else { return };
        entry.answered = true;
        match entry.moves.pop_front() {
            Some(Move::Appear) => entry.state = Account::state(now, &entry.record),
            Some(Move::Become(record)) => {
                entry.state = Account::state(now, &record);
                (entry.record, entry.found, entry.forgotten, entry.ended) = (record, false, None, None);
            }
            Some(Move::Vanish) | None => {
                if self.finishing.remove(&number) {
                    self.to_tell.insert(number);
                }
                entry.state = State::Gone;
                entry.moves.clear();
                self.account.by_jid.remove(&entry.record.jid);
            }
        }
        entry.order = (entry.state == State::Ready).then_some(order);
    }

    fn refused(&mut self, now: Now, batch: BatchNumber, expected: &mut Expected) {
        let was_flushing = self.account.flushing;
        for item in self.sealed.remove(&batch).unwrap_or_default() {
            let Item::Job(number) = item else { continue };
            let Some(entry) = self.account.jobs.get_mut(&number) else { continue };
            entry.order = None;
            self.finishing.remove(&number);
            if let Some(Move::Appear) = entry.moves.pop_front() {
                entry.state = State::Gone;
                entry.moves.clear();
                self.account.by_jid.remove(&entry.record.jid);
            }
        }
        self.settle();
        if was_flushing && !self.account.flushing {
            self.thawed = Some(now.mono);
        }
        for number in self.account.those(|state| matches!(state, State::Held(..))) {
            let entry = &self.account.jobs[&number];
            match entry.ended {
                Some(Ended::Orphaned) => _ = expected.insert(number, orphaned(&entry.record)),
                Some(Ended::Undelivered) => _ = expected.insert(number, back(&entry.record, true)),
                None => {}
            }
        }
    }

    /// A queue is as was said of it last, if that was not refused; and so whether all is being flushed.
    fn settle(&mut self) {
        self.account.paused = self.account.kept_paused.clone();
        self.account.flushing = false;
        for item in self.sealed.values().flatten().chain(&self.open) {
            match item {
                Item::Pause(name, true) => _ = self.account.paused.insert(Arc::clone(name)),
                Item::Pause(name, false) => _ = self.account.paused.remove(name),
                Item::Flush(_) => self.account.flushing = true,
                Item::Job(_) => {}
            }
        }
    }

    fn ticked(&mut self, now: Now, expected: &mut Expected) {
        let due = self.account.those(|state| matches!(state, State::Later(at) if *at <= now.wall));
        let mut due: Vec<_> = due.iter().map(|number| (self.account.jobs[number].state.clone(), *number)).collect();
        due.sort_by_key(|(state, number)| (if let State::Later(at) = state { at.0 } else { 0 }, *number));
        for (_, number) in due {
            let order = self.account.order();
            if let Some(entry) = self.account.jobs.get_mut(&number) {
                (entry.state, entry.order) = (State::Ready, Some(order));
            }
        }
        let silent = self.account.heard.iter().filter(|(_, heard)| now.mono.since(**heard) >= SILENCE);
        for wid in silent.map(|(wid, _)| Arc::clone(wid)).collect::<BTreeSet<_>>() {
            self.died(&wid, None, expected);
        }
        for number in self.account.those(|state| matches!(state, State::Held(_, until) if *until <= now.mono)) {
            let record = &self.account.jobs[&number].record;
            let (deaths, count) = (record.deaths, count(record) + 1);
            let is_last = i64::from(count) > i64::from(record.retry);
            let dead = Expect::Dead { deaths, count, at_once: true };
            let what = if is_last { dead } else { Expect::Ready { deaths, count, at_once: true } };
            // Whoever is gone does not run out of time.
            expected.entry(number).or_insert(what);
        }
        for number in self.account.those(|state| matches!(state, State::Dead(at) if at.after(KEEP_DEAD) <= now.wall)) {
            expected.insert(number, Expect::MayBeRemoved);
        }
    }
}

/// A batch that something waits for.
#[derive(Clone, Copy, Debug)]
enum Batch {
    Open,
    Sealed(BatchNumber),
}

/// Whether the answer is owed for this batch.
fn is_owed(said: &Verdict, batch: Option<Batch>) -> bool {
    match batch {
        Some(Batch::Open) => *said == Verdict::OnCommit,
        Some(Batch::Sealed(batch)) => *said == Verdict::OnCommitOf(batch),
        None => false,
    }
}

fn back(record: &Record, at_once: bool) -> Expect {
    Expect::Ready { deaths: record.deaths, count: count(record), at_once }
}

fn orphaned(record: &Record) -> Expect {
    let deaths = record.deaths + 1;
    if deaths >= MOST_DEATHS {
        return Expect::Dead { deaths, count: count(record) + 1, at_once: true };
    }
    Expect::Ready { deaths, count: count(record), at_once: true }
}

/// A job whose text is lost.
fn damaged(record: &Record) -> Expect {
    Expect::Dead { deaths: record.deaths, count: count(record) + 1, at_once: true }
}

/// As the protocol's own server counts: a job that may be retried n times is run n + 1 times.
fn failed(record: &Record) -> Expect {
    let count = count(record) + 1;
    match u32::try_from(record.retry) {
        Ok(0) => Expect::Removed,
        Ok(retries) if count <= retries => Expect::Retried { count },
        Ok(_) | Err(_) => Expect::Dead { deaths: record.deaths, count, at_once: false },
    }
}

/// Whether what is told to the store is what must be.
pub(super) fn is_met(expect: &Expect, now: Now, record: &Record) -> bool {
    let (deaths, count) = (record.deaths, count(record));
    match (expect, &record.place) {
        (Expect::Inserted, Place::Enqueued | Place::Scheduled(_)) => count == 0 && deaths == 0,
        (Expect::Ready { deaths: d, count: c, .. }, Place::Enqueued)
        | (Expect::Dead { deaths: d, count: c, .. }, Place::Dead(_)) => (*d, *c) == (deaths, count),
        (Expect::Retried { count: c }, Place::Retry(at)) => {
            let before = u64::from(*c) - 1;
            let (least, spread) = match &*record.kind {
                OWN_KIND => {
                    let wait = (OWN_FIRST * 2_u32.pow(*c - 1)).min(OWN_MOST);
                    (wait, wait / 10)
                }
                _ => (Duration::from_secs(before.pow(4) + 15), Duration::from_secs(29 * (before + 1))),
            };
            *c == count && (least..=least + spread).contains(&at.since(now.wall))
        }
        _ => false,
    }
}
