//! What is asked for of many jobs at once, or of queues.

use std::collections::HashSet;
use std::sync::Arc;

use super::batches::Step;
use super::change::Change;
use super::event::{Action, Mutation, Verdict};
use super::fault::Fault;
use super::machine::Jobs;
use super::number::JobNumber;
use super::queues::Index;
use super::record::{Place, Record};
use super::wall::Now;

impl Jobs {
    pub(super) fn mutate(
        &mut self,
        now: Now,
        mutation: Mutation,
        numbers: &[JobNumber],
        out: &mut Vec<Action>,
    ) -> Verdict {
        if let Some((batch, _)) = self.batches.flush() {
            return self.once(batch);
        }
        for number in numbers {
            let Some(job) = self.jobs.get(number).filter(|job| !job.is_pending) else { continue };
            if !matches!(job.record.place, Place::Scheduled(_) | Place::Retry(_) | Place::Dead(_)) {
                continue;
            }
            let next = match mutation {
                Mutation::Requeue => {
                    Some(Record { place: Place::Enqueued, enqueued_at: now.wall, ..job.record.clone() })
                }
                Mutation::Kill => Some(Record { place: Place::Dead(now.wall), ..job.record.clone() }),
                Mutation::Discard => None,
            };
            self.begin(*number, next, out);
        }
        Verdict::OnCommit
    }

    /// Takes a job away, whatever is on its way of it: its push, or a failure.
    pub(super) fn cancel(&mut self, jid: &str, out: &mut Vec<Action>) -> Verdict {
        let Some(number) = self.by_jid.get(jid).copied() else { return Verdict::Unknown };
        if let Some((batch, _)) = self.batches.flush().filter(|(_, below)| number < *below) {
            return self.once(batch);
        }
        match self.batches.way(number) {
            Some(way) if way.vanishes => self.once(way.batch),
            Some(_) if self.faults.has(Fault::CancelledTooEarly) => Verdict::OnCommit,
            Some(_) | None => {
                self.totals.cancelled += 1;
                self.begin(number, None, out)
            }
        }
    }

    /// Takes away every job that is here, and undoes every pause.
    pub(super) fn flush(&mut self, out: &mut Vec<Action>) -> Verdict {
        let below = JobNumber(self.next_job);
        if !self.faults.has(Fault::PauseOutlivesFlush) {
            for index in self.queues.indices() {
                self.unpause(index, out);
            }
        }
        if self.batches.flush() == Some((self.batches.open(), below)) {
            return Verdict::OnCommit;
        }
        out.push(Action::Keep(Change::Flush));
        if self.faults.has(Fault::FlushedAtOnce) {
            self.wipe(below, out);
            self.batches.touch();
        } else {
            self.batches.add(Step::Flush(below));
        }
        Verdict::OnCommit
    }

    pub(super) fn pause(
        &mut self,
        now: Now,
        names: Option<Vec<Arc<str>>>,
        paused: bool,
        out: &mut Vec<Action>,
    ) -> Verdict {
        let indices: Vec<Index> = match &names {
            None => self.queues.indices().collect(),
            Some(names) => names.iter().filter_map(|name| self.queues.find_or_make(name)).collect(),
        };
        for index in indices {
            if names.is_none() && !self.queues.get(index).known || self.is_said(index, paused) {
                continue;
            }
            self.queues.get_mut(index).known = true;
            self.say_paused(index, paused, out);
            self.serve(now, index, out);
        }
        Verdict::OnCommit
    }

    /// Whether a queue is so, and nothing else was said of it that is on its way.
    fn is_said(&self, index: Index, paused: bool) -> bool {
        let queue = self.queues.get(index);
        queue.paused == paused && self.batches.last_pause(&queue.name).is_none()
    }

    fn say_paused(&mut self, index: Index, paused: bool, out: &mut Vec<Action>) {
        let queue = self.queues.get_mut(index);
        queue.paused = paused;
        let name = Arc::clone(&queue.name);
        out.push(Action::Keep(Change::Pause(Arc::clone(&name), paused)));
        self.batches.add(Step::Pause(name, paused));
    }

    /// Whoever takes a queue's jobs away undoes its pause. Nothing is handed out by that: they are on their way out.
    fn unpause(&mut self, index: Index, out: &mut Vec<Action>) {
        if !self.is_said(index, false) {
            self.say_paused(index, false, out);
        }
    }

    pub(super) fn remove_queues(&mut self, names: Option<Vec<Arc<str>>>, out: &mut Vec<Action>) -> Verdict {
        let indices: Vec<Index> = match &names {
            None => self.queues.indices().collect(),
            Some(names) => names.iter().filter_map(|name| self.queues.find(name)).collect(),
        };
        let mut removed = HashSet::new();
        for index in indices {
            let name = Arc::clone(&self.queues.get(index).name);
            self.take_out(index, out);
            self.unpause(index, out);
            self.batches.add(Step::Close(Arc::clone(&name)));
            removed.insert(name);
        }
        let is_meant = |number, next: Option<&Record>| {
            let record = next.or_else(|| self.jobs.get(&number).map(|job| &job.record));
            record.is_some_and(|record| record.place == Place::Enqueued && removed.contains(&record.queue))
        };
        let bound = self.batches.bound_for(is_meant);
        if !self.faults.has(Fault::RemovedTooEarly) {
            for number in bound {
                self.begin(number, None, out);
            }
        }
        Verdict::OnCommit
    }

    /// Takes every job out of a queue, for good once that is on disk.
    fn take_out(&mut self, index: Index, out: &mut Vec<Action>) {
        if self.batches.flush().is_some_and(|(batch, _)| batch == self.batches.open()) {
            // They are on their way out, with the same batch.
            return;
        }
        for (number, stamp) in std::mem::take(&mut self.queues.get_mut(index).ready) {
            let is_here = |job: &super::machine::Job| job.stamp == stamp && job.record.place == Place::Enqueued;
            if self.jobs.get(&number).is_some_and(|job| is_here(job)) {
                self.begin(number, None, out);
            }
        }
    }
}
