//! Changes that are not on disk yet.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::number::{BatchNumber, JobNumber};
use super::record::Record;

/// A change that counts once it is committed.
#[derive(Debug)]
pub(super) enum Step {
    /// This job is new.
    Appear(JobNumber),
    /// This job is like this.
    Become(Box<Record>),
    /// This job is no more.
    Vanish(JobNumber),
    /// This job is done, with this result, and so no more.
    Finish(JobNumber, Option<Arc<str>>),
    /// This queue is paused, or no more.
    Pause(Arc<str>, bool),
    /// This queue is known no more, unless there is something in it.
    Close(Arc<str>),
    /// Every job below this number is no more.
    Flush(JobNumber),
}

impl Step {
    /// The one job that it is about.
    fn job(&self) -> Option<JobNumber> {
        match self {
            Self::Appear(number) | Self::Vanish(number) | Self::Finish(number, _) => Some(*number),
            Self::Become(record) => Some(record.number),
            Self::Pause(..) | Self::Close(_) | Self::Flush(_) => None,
        }
    }
}

/// What is on its way to the disk of one job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    steps: u32,
    /// The batch of the last one.
    pub(super) batch: BatchNumber,
    /// After the last one it is no more.
    pub(super) vanishes: bool,
}

/// The open batch, and those that are on their way to the disk. They come to their end in their order.
#[derive(Debug, Default)]
pub(super) struct Batches {
    open: Vec<Step>,
    /// Something is to be kept that nothing waits for.
    touched: bool,
    sealed: VecDeque<(BatchNumber, Vec<Step>)>,
    ways: HashMap<JobNumber, Way>,
    /// The last flush that is on its way, and below which number jobs are gone with it.
    flush: Option<(BatchNumber, JobNumber)>,
    last: u64,
}

impl Batches {
    pub(super) fn add(&mut self, step: Step) {
        self.touched = true;
        let batch = self.open();
        if let Some(number) = step.job() {
            let way = self.ways.entry(number).or_insert(Way { steps: 0, batch, vanishes: false });
            way.steps += 1;
            (way.batch, way.vanishes) = (batch, matches!(step, Step::Vanish(_) | Step::Finish(..)));
        }
        if let Step::Flush(below) = step {
            self.flush = Some((batch, below));
        }
        self.open.push(step);
    }

    pub(super) fn touch(&mut self) {
        self.touched = true;
    }

    /// The number that the open batch will have.
    pub(super) fn open(&self) -> BatchNumber {
        BatchNumber(self.last + 1)
    }

    /// What is on its way of a job.
    pub(super) fn way(&self, number: JobNumber) -> Option<Way> {
        self.ways.get(&number).copied()
    }

    /// One step of a job has come to its end; whether it was the last one.
    pub(super) fn ended(&mut self, number: JobNumber) -> bool {
        let Some(way) = self.ways.get_mut(&number) else { return false };
        way.steps -= 1;
        let is_last = way.steps == 0;
        if is_last {
            self.ways.remove(&number);
        }
        is_last
    }

    /// A job is no more, whatever is on its way.
    pub(super) fn forget(&mut self, number: JobNumber) {
        self.ways.remove(&number);
    }

    /// As [`Self::forget`], for every job below this number.
    pub(super) fn forget_below(&mut self, below: JobNumber) {
        self.ways = std::mem::take(&mut self.ways).into_iter().filter(|(number, _)| *number >= below).collect();
    }

    /// The flush that is on its way: until it comes to its end every job below this number is out of reach.
    pub(super) fn flush(&self) -> Option<(BatchNumber, JobNumber)> {
        self.flush
    }

    /// A flush has come to its end; whether no other one is on its way.
    pub(super) fn flushed(&mut self, batch: BatchNumber, below: JobNumber) -> bool {
        if self.flush == Some((batch, below)) {
            self.flush = None;
        }
        self.flush.is_none()
    }

    /// What was said last of a queue, and is not on disk yet.
    pub(super) fn last_pause(&self, queue: &str) -> Option<bool> {
        self.steps().rev().find_map(|step| match step {
            Step::Pause(name, paused) if &**name == queue => Some(*paused),
            _ => None,
        })
    }

    /// Jobs that come into a queue, if they are not taken away before.
    pub(super) fn bound_for(&self, is_meant: impl Fn(JobNumber, Option<&Record>) -> bool) -> Vec<JobNumber> {
        let steps = self.steps().filter_map(|step| match step {
            Step::Appear(number) => Some((*number, None)),
            Step::Become(record) => Some((record.number, Some(&**record))),
            Step::Vanish(_) | Step::Finish(..) | Step::Pause(..) | Step::Close(_) | Step::Flush(_) => None,
        });
        let stays = steps.filter(|(number, _)| self.ways.get(number).is_some_and(|way| !way.vanishes));
        stays.filter(|(number, record)| is_meant(*number, *record)).map(|(number, _)| number).collect()
    }

    fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.sealed.iter().flat_map(|(_, steps)| steps).chain(&self.open)
    }

    /// Closes the open batch, if there is anything in it.
    pub(super) fn seal(&mut self) -> Option<BatchNumber> {
        if !std::mem::take(&mut self.touched) {
            return None;
        }
        let number = self.open();
        self.last = number.0;
        self.sealed.push_back((number, std::mem::take(&mut self.open)));
        Some(number)
    }

    /// What was in a batch that is on disk, or will never be.
    pub(super) fn taken(&mut self, batch: BatchNumber) -> Vec<Step> {
        let place = self.sealed.iter().position(|(number, _)| *number == batch);
        place.and_then(|place| self.sealed.remove(place)).map(|(_, steps)| steps).unwrap_or_default()
    }
}
