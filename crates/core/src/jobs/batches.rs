//! Changes that are not on disk yet.

use std::collections::VecDeque;
use std::sync::Arc;

use super::number::{BatchNumber, JobNumber};
use super::record::Record;

/// A change that counts once it is committed.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) number: JobNumber,
    pub(super) step: Step,
}

/// What then becomes of the job.
#[derive(Debug)]
pub(super) enum Step {
    /// It is new.
    Appear,
    /// It is like this.
    Become(Box<Record>),
    /// It is no more.
    Vanish,
    /// Of a queue: it is paused, or no more.
    Pause(Arc<str>, bool),
}

/// The open batch, and those that are on their way to the disk.
#[derive(Debug, Default)]
pub(super) struct Batches {
    open: Vec<Pending>,
    /// Something is to be kept that nothing waits for.
    touched: bool,
    sealed: VecDeque<(BatchNumber, Vec<Pending>)>,
    last: u64,
}

impl Batches {
    pub(super) fn add(&mut self, pending: Pending) {
        self.touched = true;
        self.open.push(pending);
    }

    pub(super) fn touch(&mut self) {
        self.touched = true;
    }

    /// What was said last of a queue, and is not on disk yet.
    pub(super) fn last_pause(&self, queue: &str) -> Option<bool> {
        let pending = self.open.iter().rev().chain(self.sealed.iter().rev().flat_map(|(_, all)| all.iter().rev()));
        pending.into_iter().find_map(|pending| match &pending.step {
            Step::Pause(name, paused) if &**name == queue => Some(*paused),
            Step::Pause(..) | Step::Appear | Step::Become(_) | Step::Vanish => None,
        })
    }

    /// Closes the open batch, if there is anything in it.
    pub(super) fn seal(&mut self) -> Option<BatchNumber> {
        if !std::mem::take(&mut self.touched) {
            return None;
        }
        self.last += 1;
        let number = BatchNumber(self.last);
        self.sealed.push_back((number, std::mem::take(&mut self.open)));
        Some(number)
    }

    /// What was in a batch that is on disk, or will never be.
    pub(super) fn committed(&mut self, batch: BatchNumber) -> Vec<Pending> {
        let place = self.sealed.iter().position(|(number, _)| *number == batch);
        place.and_then(|place| self.sealed.remove(place)).map(|(_, pending)| pending).unwrap_or_default()
    }
}
