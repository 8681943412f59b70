//! Changes from their beginning to the disk, or back.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::batches::Step;
use super::change::Change;
use super::event::{Action, Verdict};
use super::fault::Fault;
use super::machine::Jobs;
use super::number::{BatchNumber, JobNumber};
use super::queues::Index;
use super::record::{Place, Record};
use super::totals::Totals;
use super::wall::Now;

impl Jobs {
    /// Begins a change that counts once it is committed; until then the job is nowhere. `next` is where it comes to,
    /// and nowhere for good if there is no place.
    pub(super) fn begin(&mut self, number: JobNumber, next: Option<Record>, out: &mut Vec<Action>) -> Verdict {
        self.unindex(number);
        let Some(job) = self.jobs.get_mut(&number) else { return Verdict::Unknown };
        job.is_pending = true;
        let (change, step) = match next {
            Some(record) => (Change::Move(record.clone()), Step::Become(Box::new(record))),
            None => (Change::Remove(number), Step::Vanish(number)),
        };
        out.push(Action::Keep(change));
        self.batches.add(step);
        Verdict::OnCommit
    }

    /// As [`Self::begin`], for a job that is done.
    pub(super) fn finish(&mut self, number: JobNumber, result: Option<Arc<str>>, out: &mut Vec<Action>) -> Verdict {
        self.unindex(number);
        let Some(job) = self.jobs.get_mut(&number) else { return Verdict::Unknown };
        job.is_pending = true;
        if self.faults.has(Fault::FinishedTooEarly) {
            out.push(Action::Finished(Box::new(job.record.clone()), result.clone()));
        }
        out.push(Action::Keep(Change::Remove(number)));
        self.batches.add(Step::Finish(number, result));
        Verdict::OnCommit
    }

    /// What is owed once this batch is committed: the open one, or one on its way.
    pub(super) fn once(&self, batch: BatchNumber) -> Verdict {
        if batch == self.batches.open() || self.faults.has(Fault::SecondAnswerOnNext) {
            Verdict::OnCommit
        } else {
            Verdict::OnCommitOf(batch)
        }
    }

    /// The last batch by which something becomes of this job that is not on disk yet. Until then it is out of reach.
    pub(super) fn on_its_way(&self, number: JobNumber) -> Option<BatchNumber> {
        match self.batches.flush() {
            Some((batch, below)) if number < below => Some(batch),
            _ => self.batches.way(number).map(|way| way.batch),
        }
    }

    /// A batch is on disk.
    pub(super) fn committed(&mut self, now: Now, batch: BatchNumber, out: &mut Vec<Action>) {
        let steps = self.batches.taken(batch);
        let said = self.repause(&steps, true);
        for step in steps {
            match step {
                Step::Appear(number) => self.appear(now, number, out),
                Step::Become(record) => {
                    let is_last = self.batches.ended(record.number);
                    self.become_so(now, *record, is_last, out);
                }
                Step::Vanish(number) => {
                    self.batches.forget(number);
                    self.vanish(number, out);
                }
                Step::Finish(number, result) => {
                    self.batches.forget(number);
                    if let Some(job) = self.jobs.get(&number) {
                        out.push(Action::Finished(Box::new(job.record.clone()), result));
                    }
                    self.vanish(number, out);
                }
                Step::Pause(..) => {}
                Step::Close(name) => {
                    if let Some(index) = self.queues.find(&name) {
                        let queue = self.queues.get_mut(index);
                        queue.known = queue.size > 0 || queue.paused;
                    }
                }
                Step::Flush(below) => {
                    self.wipe(below, out);
                    self.batches.flushed(batch, below);
                }
            }
        }
        said.into_iter().for_each(|index| self.serve(now, index, out));
    }

    /// Nothing of a batch is on disk, nor will it be.
    pub(super) fn refused(&mut self, now: Now, batch: BatchNumber, out: &mut Vec<Action>) {
        let steps = self.batches.taken(batch);
        let said = self.repause(&steps, false);
        let mut is_thawed = false;
        for step in steps {
            match step {
                Step::Appear(number) => {
                    self.batches.forget(number);
                    self.vanish(number, out);
                }
                Step::Become(record) => self.stay(now, record.number, out),
                Step::Vanish(number) | Step::Finish(number, _) => self.stay(now, number, out),
                Step::Pause(..) | Step::Close(_) => {}
                Step::Flush(below) => {
                    if self.faults.has(Fault::RefusedFlushEmpties) {
                        self.wipe(below, out);
                    }
                    is_thawed |= self.batches.flushed(batch, below);
                }
            }
        }
        said.into_iter().for_each(|index| self.serve(now, index, out));
        if is_thawed {
            self.thaw(now, out);
        }
    }

    pub(super) fn appear(&mut self, now: Now, number: JobNumber, out: &mut Vec<Action>) {
        if !self.batches.ended(number) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&number) else { return };
        job.is_pending = false;
        self.index(now, number, false, out);
    }

    fn become_so(&mut self, now: Now, record: Record, is_last: bool, out: &mut Vec<Action>) {
        let number = record.number;
        let Some(job) = self.jobs.get_mut(&number) else { return };
        job.is_recovered = false;
        job.is_pending = !is_last;
        let before = std::mem::replace(&mut job.record, record).place;
        self.release_lease(&before, out);
        if is_last {
            self.index(now, number, false, out);
        }
    }

    /// A job is no more.
    fn vanish(&mut self, number: JobNumber, out: &mut Vec<Action>) {
        if let Some(job) = self.jobs.remove(&number) {
            self.release_lease(&job.record.place, out);
            self.by_jid.remove(&job.record.jid);
            out.push(Action::Forget(number));
        }
    }

    /// What was begun with a job has come to nothing: it is where it was.
    fn stay(&mut self, now: Now, number: JobNumber, out: &mut Vec<Action>) {
        if !self.batches.ended(number) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&number) else { return };
        job.is_pending = false;
        let lease = if let Place::Reserved { lease, .. } = &job.record.place { Some(*lease) } else { None };
        self.index(now, number, false, out);
        if let Some(lease) = lease {
            self.disown(now, lease, out);
        }
    }

    /// Every job below this number is no more. Those above it are not on disk yet, so they are in no set and no queue.
    pub(super) fn wipe(&mut self, below: JobNumber, out: &mut Vec<Action>) {
        for (_, consumer) in self.consumers.iter_mut() {
            consumer.leases.clear();
        }
        self.jobs = std::mem::take(&mut self.jobs).into_iter().filter(|(number, _)| *number >= below).collect();
        self.by_jid = self.jobs.iter().map(|(number, job)| (Arc::clone(&job.record.jid), *number)).collect();
        self.kinds = HashMap::new();
        (self.scheduled, self.retries, self.dead) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        (self.leases, self.expiries) = (std::collections::BTreeMap::new(), BTreeSet::new());
        self.all_leases_ended(out);
        self.queues.clear();
        self.batches.forget_below(below);
        self.totals = Totals::default();
        out.push(Action::ForgetBelow(below));
    }

    /// A flush has come to nothing: what was out of reach is where it was.
    fn thaw(&mut self, now: Now, out: &mut Vec<Action>) {
        let ended: Vec<_> =
            self.leases.iter().filter(|(_, held)| held.ended.is_some()).map(|(lease, _)| *lease).collect();
        for lease in ended {
            self.disown(now, lease, out);
        }
        for index in self.queues.indices() {
            self.serve(now, index, out);
        }
    }

    /// Queues that something was said of are as was said last, if that was not refused. It comes before anything becomes
    /// of their jobs, so that none of them is handed out in between; gives the queues, to be served afterwards.
    fn repause(&mut self, steps: &[Step], is_kept: bool) -> BTreeSet<Index> {
        let mut said = BTreeSet::new();
        for step in steps {
            if let Step::Pause(name, paused) = step
                && let Some(index) = self.queues.find(name)
            {
                let queue = self.queues.get_mut(index);
                queue.paused_on_disk = if is_kept { *paused } else { queue.paused_on_disk };
                said.insert(index);
            }
        }
        for index in &said {
            let queue = self.queues.get(*index);
            let paused = self.batches.last_pause(&queue.name).unwrap_or(queue.paused_on_disk);
            self.queues.get_mut(*index).paused = paused;
        }
        said
    }
}
