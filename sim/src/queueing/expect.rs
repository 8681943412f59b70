//! What must become of which jobs by an event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::jobs::{
    BatchNumber, Claim, Event, JobNumber, LeaseNumber, Mutation, Now, Place, Record, SILENCE, Verdict,
};

use super::account::{Entry, Holder, State};
use super::oracle::Oracle;

/// How long dead jobs are kept.
pub(super) const KEEP_DEAD: Duration = Duration::from_secs(300);
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
            Event::Greeted(greeting) => {
                self.account.heard.insert(Arc::clone(&greeting.wid), now.mono);
            }
            Event::Done(claim) => {
                if let Some((number, _)) = self.claimed(now, claim, verdict)? {
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
            Event::Undelivered(lease) => self.undelivered(*lease, &mut expected),
            Event::Cancelled(jid) => {
                let number = self.account.by_jid.get(jid).copied();
                let is_still = |entry: &Entry| !matches!(entry.state, State::Fresh | State::Moving(..));
                if let Some(number) = number.filter(|number| self.account.jobs.get(number).is_some_and(is_still)) {
                    expected.insert(number, Expect::Removed);
                }
            }
            Event::Died(wid) => self.died(wid, &mut expected),
            Event::Paused(names, paused) => {
                for name in names.iter().flatten() {
                    self.pauses.push((Arc::clone(name), *paused));
                }
                self.repause();
            }
            Event::Mutated(mutation, numbers) => self.mutated(*mutation, numbers, &mut expected),
            Event::Sealed => self.sealed(verdict),
            Event::Committed(batch) => self.committed(now, *batch),
            Event::Refused(batch) => self.refused(*batch, &mut expected),
            Event::Ticked => self.ticked(now, &mut expected),
            Event::Left(asker) => {
                self.account.waits.remove(asker);
            }
            Event::Steered(..) | Event::QueuesRemoved(_) | Event::Flushed => {}
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
        let (state, is_moving) = match &entry.state {
            State::Moving(from, _) => (&**from, true),
            state => (state, false),
        };
        let is_own = match state {
            State::Held(holder, _) => is_of(holder),
            State::Ready | State::Later(_) if entry.found => {
                entry.forgotten.as_ref().is_some_and(is_of) || *said == Verdict::OnCommit
            }
            State::Fresh | State::Ready | State::Later(_) | State::Dead(_) | State::Gone | State::Moving(..) => false,
        };
        match (is_own, said) {
            (true, Verdict::OnCommit) if is_moving => Ok(None),
            (true, Verdict::OnCommit) => Ok(Some((*number, entry.record.clone()))),
            (false, Verdict::Stale) => Ok(None),
            _ => Err(format!("{claim:?} with the job {:?} (own: {is_own}) came to {said:?}", entry.state)),
        }
    }

    fn undelivered(&self, lease: LeaseNumber, expected: &mut Expected) {
        let is_under = |state: &State| matches!(state, State::Held(holder, _) if holder.lease == lease);
        for number in self.account.those(is_under) {
            expected.insert(number, back(&self.account.jobs[&number].record, true));
        }
    }

    fn died(&mut self, wid: &Arc<str>, expected: &mut Expected) {
        if self.account.heard.remove(wid).is_none() {
            return;
        }
        for wait in self.account.waits.values_mut().filter(|(of, ..)| of == wid) {
            wait.2 = Mono::default();
        }
        for number in self.account.those(|state| matches!(state, State::Held(holder, _) if holder.wid == *wid)) {
            expected.insert(number, orphaned(&self.account.jobs[&number].record));
        }
    }

    fn mutated(&self, mutation: Mutation, numbers: &[JobNumber], expected: &mut Expected) {
        for number in numbers {
            let Some(entry) = self.account.jobs.get(number) else { continue };
            if matches!(entry.state, State::Later(_) | State::Dead(_)) {
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
            let (open, pauses) = (std::mem::take(&mut self.open), std::mem::take(&mut self.pauses));
            self.sealed.insert(*batch, (open, pauses));
        }
    }

    fn committed(&mut self, now: Now, batch: BatchNumber) {
        let (jobs, pauses) = self.sealed.remove(&batch).unwrap_or_default();
        for (name, paused) in pauses {
            if paused {
                self.account.kept_paused.insert(name);
            } else {
                self.account.kept_paused.remove(&name);
            }
        }
        self.repause();
        for number in jobs {
            let order = self.account.order();
            let Some(entry) = self.account.jobs.get_mut(&number) else { continue };
            entry.answered = true;
            match std::mem::replace(&mut entry.state, State::Gone) {
                State::Fresh => entry.state = super::account::Account::state(now, &entry.record),
                State::Moving(_, Some(record)) => {
                    entry.state = super::account::Account::state(now, &record);
                    (entry.record, entry.found, entry.forgotten) = (record, false, None);
                }
                _ => {
                    self.account.by_jid.remove(&entry.record.jid);
                }
            }
            entry.order = (entry.state == State::Ready).then_some(order);
        }
    }

    fn refused(&mut self, batch: BatchNumber, expected: &mut Expected) {
        let (jobs, _) = self.sealed.remove(&batch).unwrap_or_default();
        for number in jobs {
            let Some(entry) = self.account.jobs.get_mut(&number) else { continue };
            match std::mem::replace(&mut entry.state, State::Gone) {
                State::Moving(from, _) => {
                    entry.state = *from;
                    entry.order = None;
                    if matches!(&entry.state, State::Held(holder, _) if !self.account.heard.contains_key(&holder.wid)) {
                        expected.insert(number, orphaned(&entry.record));
                    }
                }
                _ => {
                    self.account.by_jid.remove(&entry.record.jid);
                }
            }
        }
        self.repause();
    }

    /// A queue is as was said of it last, if that was not refused.
    fn repause(&mut self) {
        self.account.paused = self.account.kept_paused.clone();
        let sealed = self.sealed.values().flat_map(|(_, pauses)| pauses);
        for (name, paused) in sealed.chain(&self.pauses) {
            if *paused {
                self.account.paused.insert(Arc::clone(name));
            } else {
                self.account.paused.remove(name);
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
            self.died(&wid, expected);
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
            let least = before.pow(4) + 15;
            let wait = at.since(now.wall).as_secs();
            *c == count && (least..=least + 29 * (before + 1)).contains(&wait)
        }
        _ => false,
    }
}
