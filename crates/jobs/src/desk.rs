//! Between clients and the core: events in, what was decided out, and answers once it is kept.

use std::mem;
use std::sync::Arc;

use evercrew_core::jobs::{Action, Asker, BatchNumber, Change, Event, Grant, Now, Place, Verdict, Wall};
use evercrew_sys::clock;
use evercrew_wire::faktory::{Refusal, reply};
use serde_json::json;

use crate::answers::Owed;
use crate::connection::{ALLOWANCE, Crowd};
use crate::error::Error;
use crate::finished::Finished;
use crate::handout::{self, Form};
use crate::keeper::Outcome;
use crate::server::Server;
use crate::sessions::SessionId;

/// What a change takes until it is on disk, beside the text of its job.
const CHANGE: usize = 512;
/// Texts in one answer, in bytes, unless there is only one.
const MOST_HANDED_OUT: usize = 4 << 20;

/// An answer that is owed until a batch is committed.
#[derive(Debug)]
pub(crate) struct Debt {
    id: SessionId,
    owed: Owed,
    answer: Answer,
}

/// What is then said.
#[derive(Debug)]
pub(crate) enum Answer {
    /// `+OK`.
    Ok,
    /// This bulk.
    Bulk(Vec<u8>),
}

impl Server {
    /// Both clocks.
    pub(crate) fn clocks(&self) -> Now {
        Now { mono: self.now, wall: self.wall }
    }

    /// Reads both clocks.
    pub(crate) fn look_at_the_clock(&mut self) {
        self.now = clock::mono();
        self.wall = wall();
    }

    /// Tells the core, and carries out what it decided.
    pub(crate) fn tell(&mut self, event: Event) -> Verdict {
        let mut actions = mem::take(&mut self.actions);
        let verdict = self.core.handle(self.clocks(), event, &mut actions);
        for action in actions.drain(..) {
            self.perform(action);
        }
        self.actions = actions;
        verdict
    }

    pub(crate) fn perform(&mut self, action: Action) {
        match action {
            Action::Keep(change) => {
                let text = match &change {
                    Change::Insert(record) => {
                        self.fresh.push(record.number);
                        self.texts.get(record.number).cloned()
                    }
                    Change::Move(_) | Change::Remove(_) | Change::Pause(..) | Change::Flush => None,
                };
                self.room.batch += CHANGE + text.as_ref().map_or(0, |text| text.len());
                self.changes.push((change, text));
            }
            Action::Grant(asker, grants) => self.grant(asker, &grants),
            Action::Nothing(asker) => self.nothing(asker),
            Action::Ended(asker, jids) => self.ended(asker, &jids),
            Action::Finished(record, result) => self.finished_jobs.add(Finished::new(&record, self.wall, result)),
            Action::Forget(number) => self.texts.remove(number),
            Action::ForgetBelow(number) => {
                self.texts.remove_below(number);
                self.finished_jobs.clear();
            }
        }
    }

    fn grant(&mut self, asker: Asker, grants: &[Grant]) {
        let id = SessionId(asker.0);
        let Some(form) = self.sessions.get_mut(id).and_then(|connection| connection.waiting.take()) else {
            // It left in this very moment: they are the next ones again.
            self.lost_grants.extend(grants.iter().map(|grant| grant.lease));
            return;
        };
        let granted = self.those_that_fit(grants);
        for (grant, _) in &granted {
            if let Some(record) = self.core.record(grant.number) {
                self.waits.observe(&record.queue, self.wall.since(grant.enqueued_at));
            }
        }
        let Some(connection) = self.sessions.get_mut(id) else { return };
        connection.handed_out.extend(granted.iter().map(|(grant, _)| grant.lease));
        let core = &self.core;
        let retries = |grant: &Grant| core.record(grant.number).map_or(0, |record| record.retry);
        connection.answers.answer(|out| match (form, granted.first()) {
            (Form::One, Some((grant, text))) => handout::one(out, grant, text, retries(grant)),
            (Form::Bulk, Some(_)) => {
                handout::many(out, granted.iter().map(|(grant, text)| (*grant, &**text, retries(grant))))
            }
            (Form::One | Form::Bulk, None) | (Form::Ended, _) => reply::nothing(out),
        });
        self.dirty.push(id);
        self.account(id);
    }

    /// As many of these jobs as one answer holds, with their texts; the first of them in any case where there is room.
    /// The others are given back, and those whose text is lost are parked.
    fn those_that_fit<'a>(&mut self, grants: &'a [Grant]) -> Vec<(&'a Grant, Arc<[u8]>)> {
        let mut fitting: Vec<(&Grant, Arc<[u8]>)> = Vec::new();
        let mut bytes = 0;
        for (index, grant) in grants.iter().enumerate() {
            let text = self.text(grant.number);
            if text.is_none() && self.failure.is_none() {
                self.lost_texts.push((grant.number, grant.lease));
                continue;
            }
            bytes += text.as_ref().map_or(0, |text| text.len());
            let most = match self.room.crowd() {
                Crowd::Thin if fitting.is_empty() => usize::MAX,
                Crowd::Thin => MOST_HANDED_OUT,
                Crowd::Dense => ALLOWANCE,
            };
            match text.filter(|_| bytes <= most) {
                Some(text) => fitting.push((grant, text)),
                None => {
                    self.lost_grants.extend(grants[index..].iter().map(|grant| grant.lease));
                    break;
                }
            }
        }
        fitting
    }

    /// The text of a job, from memory or else from the store.
    pub(crate) fn text(&mut self, number: evercrew_core::jobs::JobNumber) -> Option<Arc<[u8]>> {
        if let Some(text) = self.texts.get(number) {
            return Some(Arc::clone(text));
        }
        let text = match self.reader.text(number) {
            Ok(text) => text?,
            Err(error) => {
                self.failure = Some(Error::Store(error));
                return None;
            }
        };
        if self.texts.has_room(text.len()) {
            self.texts.insert(number, Arc::clone(&text));
        }
        Some(text)
    }

    fn nothing(&mut self, asker: Asker) {
        self.end_wait(asker, reply::nothing);
    }

    fn ended(&mut self, asker: Asker, jids: &[Arc<str>]) {
        let jids: Vec<&str> = jids.iter().map(|jid| &**jid).collect();
        self.end_wait(asker, |out| reply::bulk(out, json!(jids).to_string().as_bytes()));
    }

    fn end_wait(&mut self, asker: Asker, write: impl FnOnce(&mut Vec<u8>)) {
        let id = SessionId(asker.0);
        if let Some(connection) = self.sessions.get_mut(id)
            && connection.waiting.take().is_some()
        {
            connection.answers.answer(write);
            self.dirty.push(id);
        }
    }

    /// What did not reach a worker is given back, and what has no text is parked.
    pub(crate) fn give_back(&mut self) {
        for (number, lease) in mem::take(&mut self.lost_texts) {
            if let Some(record) = self.core.record(number) {
                self.notices.damaged(&record.jid);
            }
            self.tell(Event::Damaged(lease));
        }
        while let Some(lease) = self.lost_grants.pop() {
            self.tell(Event::Undelivered(lease));
        }
    }

    /// Owes an answer until what is open by now is committed.
    pub(crate) fn owe(&mut self, id: SessionId, answer: Answer) {
        self.owe_for(id, answer, 0);
    }

    /// As [`Server::owe`], for a job of so many bytes.
    pub(crate) fn owe_for(&mut self, id: SessionId, answer: Answer, job: usize) {
        self.owe_once(id, &Verdict::OnCommit, answer, job);
    }

    /// As [`Server::owe`], until the batch is committed that was named, which may be on its way.
    pub(crate) fn owe_with(&mut self, id: SessionId, named: &Verdict, answer: Answer) {
        self.owe_once(id, named, answer, 0);
    }

    fn owe_once(&mut self, id: SessionId, named: &Verdict, answer: Answer, job: usize) {
        if let Some(connection) = self.sessions.get_mut(id) {
            let length = if let Answer::Bulk(text) = &answer { text.capacity() } else { 0 };
            let owed = connection.answers.owe(length, job);
            self.room.batch += size_of::<Debt>();
            let debts = match (named, &mut self.in_flight) {
                (Verdict::OnCommitOf(batch), Some((in_flight, debts))) if batch == in_flight => debts,
                _ => &mut self.debts,
            };
            debts.push(Debt { id, owed, answer });
        }
        if self.config.faults.answers_before_sync() {
            let debts = mem::take(&mut self.debts);
            self.pay(debts);
        }
    }

    /// Hands over what was changed, when the writer has nothing to do: so what comes while one batch is written is the
    /// next one, however much it is.
    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        if self.in_flight.is_some() {
            return Ok(());
        }
        self.room.batch = 0;
        let Verdict::Batch(Some(batch)) = self.tell(Event::Sealed) else {
            // Nothing is to be kept, so nothing can be owed for it.
            let debts = mem::take(&mut self.debts);
            self.pay(debts);
            return Ok(());
        };
        let changes = mem::replace(&mut self.changes, mem::take(&mut self.spare));
        self.in_flight = Some((batch, mem::take(&mut self.debts)));
        self.written.clear();
        self.written.append(&mut self.fresh);
        self.keeper.commit(batch, changes);
        Ok(())
    }

    /// Takes in what became of the batch.
    ///
    /// # Errors
    /// When it is not known what is kept.
    pub(crate) fn committed(&mut self) -> Result<(), Error> {
        self.keeper.answer_the_bell();
        while let Some((outcome, spare)) = self.keeper.outcome() {
            self.spare = spare;
            match outcome {
                Outcome::Committed(batch) => {
                    let (_, debts) = self.in_flight.take().unwrap_or_default();
                    self.count.commits += 1;
                    self.tell(Event::Committed(batch));
                    self.make_room();
                    self.pay(debts);
                }
                Outcome::Refused(batch, why) => {
                    let (_, debts) = self.in_flight.take().unwrap_or_default();
                    self.refused(batch, &why, debts);
                }
                Outcome::Broken(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Texts that are on disk by now are kept only as far as there is room, and those of jobs for later not at all.
    fn make_room(&mut self) {
        let written = mem::take(&mut self.written);
        for number in &written {
            let is_for_later =
                self.core.record(*number).is_some_and(|record| matches!(record.place, Place::Scheduled(_)));
            if is_for_later || self.texts.is_over() {
                self.texts.remove(*number);
            }
        }
        self.written = written;
    }

    fn pay(&mut self, debts: Vec<Debt>) {
        for debt in debts {
            if let Some(connection) = self.sessions.get_mut(debt.id) {
                connection.answers.settle(debt.owed, |out| match &debt.answer {
                    Answer::Ok => reply::ok(out),
                    Answer::Bulk(text) => reply::bulk(out, text),
                });
                self.dirty.push(debt.id);
            }
        }
    }

    fn refused(&mut self, batch: BatchNumber, why: &str, debts: Vec<Debt>) {
        self.count.refused_commits += 1;
        self.notices.refused(why);
        self.tell(Event::Refused(batch));
        let refusal = Refusal::error(format!("nothing can be stored at the moment, try again later: {why}"));
        for debt in debts {
            if let Some(connection) = self.sessions.get_mut(debt.id) {
                connection.answers.settle(debt.owed, |out| reply::refused(out, &refusal));
                self.dirty.push(debt.id);
            }
        }
    }
}

/// The clock on the wall: the one place where it is read.
pub(crate) fn wall() -> Wall {
    let since = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
