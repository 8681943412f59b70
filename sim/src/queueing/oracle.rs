//! Judges each event by the account.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::jobs::{
    Action, Asker, BatchNumber, Change, Event, Grant, JobNumber, LeaseNumber, Now, Place, Record, Verdict,
};

use super::account::{Account, Entry, Holder, Move, State, Wait};
use super::disk::Disk;
use super::expect::{Expect, Expected, is_met};

/// A job that is due is in its queue after this long, if the clock was not set meanwhile.
const LATE: Duration = Duration::from_millis(50);
/// What came due while it was flushed is looked at this soon after the flush was refused.
const THAW: Duration = Duration::from_millis(5);
/// After the clock was set a schedule is looked at again within this.
const LATE_AFTER_STEP: Duration = Duration::from_millis(1100);

/// What comes to its end with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The next move of a job.
    Job(JobNumber),
    /// A queue is paused, or no more.
    Pause(Arc<str>, bool),
    /// Every job below this number is no more.
    Flush(JobNumber),
}

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    pub(super) account: Account,
    /// What is pending in the open batch, and in those on their way.
    pub(super) open: Vec<Item>,
    pub(super) sealed: BTreeMap<BatchNumber, Vec<Item>>,
    /// Jobs that are done once that is committed, and those of them that are to be told of.
    pub(super) finishing: BTreeSet<JobNumber>,
    pub(super) to_tell: BTreeSet<JobNumber>,
    /// When a flush was refused last.
    pub(super) thawed: Option<Mono>,
    /// Every lease that was ever given.
    leases: BTreeSet<LeaseNumber>,
    /// Jobs that were done, and that was told on disk.
    pub(super) finished: u64,
    pub(super) grants: u64,
}

impl Oracle {
    /// Judges what was done about an event.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn judge(
        &mut self,
        (now, stepped): (Now, Mono),
        event: &Event,
        verdict: &Verdict,
        actions: &[Action],
    ) -> Result<(), String> {
        if !matches!(event, Event::Ticked) {
            self.judge_lateness(now, stepped)?;
        }
        let mut expected = self.expect(now, event, verdict)?;
        // Until they are granted.
        let mut leased = BTreeMap::new();
        for action in actions {
            match action {
                Action::Keep(change) => self.kept(now, event, change, &mut expected, &mut leased)?,
                Action::Grant(asker, grants) => self.granted(event, *asker, grants, &mut leased)?,
                Action::Nothing(asker) => self.told_nothing(now, event, *asker)?,
                Action::Ended(asker, jids) => return Err(format!("{asker:?} never asked for {jids:?}")),
                Action::Finished(record, _) => {
                    if !self.to_tell.remove(&record.number) {
                        return Err(format!("{:?} is told to be done, and that is not on disk", record.number));
                    }
                }
                Action::Forget(number) => {
                    if self.account.jobs.get(number).is_some_and(|entry| entry.state != State::Gone) {
                        return Err(format!("the text of {number:?} is forgotten, and it is still there"));
                    }
                }
                Action::ForgetBelow(below) => {
                    let mut before = self.account.jobs.range(..below);
                    if let Some((number, _)) = before.find(|(_, entry)| entry.state != State::Gone) {
                        return Err(format!("the text of {number:?} is forgotten with all, and it is still there"));
                    }
                }
            }
        }
        expected.retain(|_, expect| *expect != Expect::MayBeRemoved);
        if let Some((number, expect)) = expected.first_key_value() {
            return Err(format!("{number:?} should be {expect:?}"));
        }
        if let Some(number) = self.to_tell.first() {
            return Err(format!("nobody is told that {number:?} is done"));
        }
        if let Some(lease) = leased.keys().next() {
            return Err(format!("{lease:?} was given to nobody"));
        }
        if let (Event::Fetched(fetch), Verdict::Waits) = (event, verdict) {
            let (wid, queues) = (Arc::clone(&fetch.wid), fetch.queues.clone());
            let wait = Wait { wid, pid: fetch.pid, queues, until: now.mono.after(fetch.wait) };
            self.account.waits.insert(fetch.asker, wait);
        }
        self.judge_waits()?;
        self.account.jobs.retain(|_, entry| entry.state != State::Gone);
        Ok(())
    }

    fn kept(
        &mut self,
        now: Now,
        event: &Event,
        change: &Change,
        expected: &mut Expected,
        leased: &mut BTreeMap<LeaseNumber, JobNumber>,
    ) -> Result<(), String> {
        match change {
            Change::Insert(record) => {
                let newest = self.account.jobs.keys().next_back().copied();
                if expected.remove(&record.number) != Some(Expect::Inserted) || newest >= Some(record.number) {
                    return Err(format!("{record:?} should not be new"));
                }
                let (record, order) = (record.clone(), None);
                self.open.push(Item::Job(record.number));
                self.account.by_jid.insert(Arc::clone(&record.jid), record.number);
                let (forgotten, found, answered, ended) = (None, false, false, None);
                let (number, moves) = (record.number, [Move::Appear].into());
                let entry = Entry { state: State::Fresh, moves, ended, record, forgotten, found, order, answered };
                self.account.jobs.insert(number, entry);
            }
            Change::Move(record) => match &record.place {
                Place::Reserved { lease, wid, .. } => {
                    self.lease(now, event, record, *lease, wid)?;
                    leased.insert(*lease, record.number);
                }
                _ => self.moved(now, record, expected)?,
            },
            Change::Remove(number) => match expected.remove(number) {
                Some(Expect::Removed | Expect::MayBeRemoved) => self.begin(*number, None),
                other => return Err(format!("{number:?} is removed, should be {other:?}")),
            },
            Change::Pause(..) | Change::Flush => {}
        }
        Ok(())
    }

    fn begin(&mut self, number: JobNumber, to: Option<Record>) {
        self.finished += u64::from(to.is_none());
        self.open.push(Item::Job(number));
        if let Some(entry) = self.account.jobs.get_mut(&number) {
            entry.moves.push_back(to.map_or(Move::Vanish, Move::Become));
        }
    }

    fn moved(&mut self, now: Now, record: &Record, expected: &mut Expected) -> Result<(), String> {
        let number = record.number;
        let expect = expected.remove(&number).filter(|expect| is_met(expect, now, record));
        match expect {
            Some(Expect::Ready { at_once: true, .. } | Expect::Dead { at_once: true, .. }) => {
                if let Some(entry) = self.account.jobs.get_mut(&number) {
                    (entry.state, entry.record) = (Account::state(now, record), record.clone());
                    (entry.found, entry.forgotten, entry.order, entry.ended) = (false, None, None, None);
                }
            }
            Some(Expect::Ready { .. } | Expect::Dead { .. } | Expect::Retried { .. }) => {
                self.begin(number, Some(record.clone()));
            }
            other => return Err(format!("{record:?} should be {other:?}")),
        }
        Ok(())
    }

    /// A job is handed out.
    fn lease(
        &mut self,
        now: Now,
        event: &Event,
        record: &Record,
        lease: LeaseNumber,
        wid: &Arc<str>,
    ) -> Result<(), String> {
        if !self.leases.insert(lease) {
            return Err(format!("{lease:?} was given before"));
        }
        let queue = Arc::clone(&record.queue);
        let Some(entry) = self.account.jobs.get(&record.number) else {
            return Err(format!("{:?} is handed out, and is no more", record.number));
        };
        let is_there = entry.state == State::Ready && entry.is_free() && !self.account.flushing;
        if !is_there || self.account.paused.contains(&queue) || self.account.quiet.contains(wid) {
            return Err(format!("{:?} is handed out to {wid:?}, and is {:?}", record.number, entry.state));
        }
        let earlier = |other: &Entry| other.order.zip(entry.order).is_some_and(|(other, own)| other < own);
        if let Some(other) = self.account.ready(&queue).find(|other| earlier(other)) {
            return Err(format!("{:?} is handed out before {:?}", record.number, other.record.number));
        }
        if let Event::Fetched(fetch) = event {
            let before = fetch.queues.iter().take_while(|name| **name != queue);
            if let Some(name) = before.into_iter().find(|name| self.account.ready(name).next().is_some()) {
                return Err(format!("{:?} is handed out while {name} has jobs", record.number));
            }
        }
        self.grants += 1;
        if let Some(entry) = self.account.jobs.get_mut(&record.number) {
            let until = now.mono.after(Duration::from_secs(record.reserve_for.into()));
            entry.state = State::Held(Holder { lease, wid: Arc::clone(wid), pid: None }, until);
            (entry.record, entry.found, entry.forgotten) = (record.clone(), false, None);
        }
        Ok(())
    }

    fn granted(
        &mut self,
        event: &Event,
        asker: Asker,
        grants: &[Grant],
        leased: &mut BTreeMap<LeaseNumber, JobNumber>,
    ) -> Result<(), String> {
        let (wid, pid, queues, most) = match event {
            Event::Fetched(fetch) if fetch.asker == asker => {
                (Arc::clone(&fetch.wid), fetch.pid, fetch.queues.clone(), fetch.most)
            }
            _ => match self.account.waits.remove(&asker) {
                Some(wait) => (wait.wid, wait.pid, wait.queues, 1),
                None => return Err(format!("{asker:?} gets {grants:?} and does not wait")),
            },
        };
        if grants.is_empty() || grants.len() > most as usize {
            return Err(format!("{asker:?} gets {} jobs, and asked for {most}", grants.len()));
        }
        for grant in grants {
            let number = leased.remove(&grant.lease);
            let mut entry = number.and_then(|number| self.account.jobs.get_mut(&number));
            if let Some(State::Held(holder, _)) = entry.as_mut().map(|entry| &mut entry.state) {
                holder.pid = Some(pid);
            }
            let is_right = entry.is_some_and(|entry| {
                matches!(&entry.state, State::Held(holder, _) if holder.wid == wid)
                    && queues.contains(&entry.record.queue)
                    && Some(grant.number) == number
            });
            if !is_right {
                return Err(format!("{asker:?} of {wid} gets {grant:?}, which is not its own"));
            }
        }
        Ok(())
    }

    fn told_nothing(&mut self, now: Now, event: &Event, asker: Asker) -> Result<(), String> {
        if matches!(event, Event::Fetched(fetch) if fetch.asker == asker && fetch.wait.is_zero()) {
            return Ok(());
        }
        match self.account.waits.remove(&asker) {
            Some(wait) if wait.until <= now.mono => Ok(()),
            other => Err(format!("{asker:?} is told that there is nothing: {other:?}")),
        }
    }

    fn judge_lateness(&self, now: Now, stepped: Mono) -> Result<(), String> {
        let grace = if now.mono.since(stepped) > LATE_AFTER_STEP { LATE } else { Duration::MAX };
        let was_away = self.account.flushing || self.thawed.is_some_and(|at| now.mono.since(at) < THAW);
        for (number, entry) in self.account.jobs.iter().filter(|(_, entry)| entry.is_free() && !was_away) {
            match &entry.state {
                State::Later(at) if at.after(grace) < now.wall => {
                    return Err(format!("{number:?} is due since {at:?} and not ready at {:?}", now.wall));
                }
                State::Held(_, until) if until.after(LATE) < now.mono => {
                    return Err(format!("{number:?} is held after its time"));
                }
                _ => {}
            }
        }
        let late = self.account.waits.iter().find(|(_, wait)| wait.until.after(LATE) < now.mono);
        late.map_or(Ok(()), |(asker, _)| Err(format!("{asker:?} waits on after its time")))
    }

    /// Nobody waits while there is a job.
    fn judge_waits(&self) -> Result<(), String> {
        let waits = self.account.waits.iter().filter(|(_, wait)| !self.account.quiet.contains(&wait.wid));
        for (asker, wait) in waits {
            let ready = wait.queues.iter().find_map(|queue| self.account.ready(queue).next());
            if let Some(entry) = ready {
                let wid = &wait.wid;
                return Err(format!("{asker:?} of {wid} waits while {:?} is ready", entry.record.number));
            }
        }
        Ok(())
    }

    /// A batch has come to its end: what is on disk is what is known.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn compare(&self, disk: &Disk) -> Result<(), String> {
        let known = self.account.jobs.iter().filter(|(_, entry)| entry.state != State::Fresh);
        let known: BTreeSet<JobNumber> = known.map(|(number, _)| *number).collect();
        let kept: BTreeSet<JobNumber> = disk.records.keys().copied().collect();
        if let Some(number) = known.symmetric_difference(&kept).next() {
            return Err(format!("{number:?} is only {}", if kept.contains(number) { "on disk" } else { "in memory" }));
        }
        if self.account.kept_paused != disk.paused() {
            return Err(format!("paused are {:?}, on disk {:?}", self.account.kept_paused, disk.paused()));
        }
        Ok(())
    }

    /// The server was killed, and starts with what is on disk.
    ///
    /// # Errors
    /// A job that was answered for is lost, or one is back that was done.
    pub(super) fn restarted(&mut self, now: Now, disk: &Disk) -> Result<(), String> {
        let before = std::mem::take(&mut self.account);
        self.open.clear();
        self.sealed.clear();
        self.finishing.clear();
        for (number, entry) in &before.jobs {
            let may_be_gone = before.flushing || entry.moves.iter().any(|to| matches!(to, Move::Vanish));
            if entry.answered && !may_be_gone && !disk.records.contains_key(number) {
                return Err(format!("{number:?} is lost: {:?}", entry.state));
            }
        }
        for (number, record) in &disk.records {
            let Some(known) = before.jobs.get(number) else {
                return Err(format!("{number:?} is back, and was done"));
            };
            let state = Account::state(now, record);
            let holder = match &known.state {
                State::Held(holder, _) => Some(holder.clone()),
                _ => known.forgotten.clone(),
            };
            // Nobody can have one whose time has not come.
            let found = state == State::Ready || matches!(state, State::Later(at) if at <= now.wall);
            let forgotten = holder.filter(|_| found);
            if let State::Held(holder, _) = &state {
                self.account.heard.insert(Arc::clone(&holder.wid), now.mono);
            }
            let order = if state == State::Ready { Some(self.account.order()) } else { None };
            let (moves, ended, record) = (std::collections::VecDeque::new(), None, record.clone());
            let entry = Entry { state, moves, ended, record, forgotten, found, order, answered: true };
            self.account.by_jid.insert(Arc::clone(&entry.record.jid), *number);
            self.account.jobs.insert(*number, entry);
        }
        self.account.paused = disk.paused();
        self.account.kept_paused = disk.paused();
        Ok(())
    }

    /// Nothing is left but what is dead.
    pub(super) fn is_over(&self) -> bool {
        self.account.jobs.values().all(|entry| matches!(entry.state, State::Dead(_) | State::Gone))
    }
}
