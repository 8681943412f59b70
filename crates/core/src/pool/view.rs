//! What an observer may see.

use std::time::Duration;

use super::child::Phase;
use super::job::{JobId, Kind};
use super::machine::Pool;
use super::outcome::Outcome;
use crate::Mono;
use crate::fleet::{Epoch, Generation, ServiceView, Slot, WorkerId};

/// What a child is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildState {
    /// It does not work yet.
    Booting,
    /// It works.
    Serving,
    /// It finishes what it has in hand, or is about to end.
    Leaving,
    /// It is being ended.
    Doomed,
}

/// A job in a child's hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldView {
    /// Which.
    pub job: JobId,
    /// Since when.
    pub since: Mono,
}

/// One child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildView {
    /// Who.
    pub child: WorkerId,
    /// Its slot.
    pub slot: Slot,
    /// Which process of that slot.
    pub generation: Generation,
    /// The version of its command.
    pub epoch: Epoch,
    /// What it is doing.
    pub state: ChildState,
    /// When it became ready.
    pub ready: Option<Mono>,
    /// How many jobs it takes at once.
    pub takes: u32,
    /// What it has in hand.
    pub held: Vec<HeldView>,
    /// How many jobs it has ended.
    pub jobs: u64,
    /// How many of them badly.
    pub errors: u64,
    /// How long it has had something in hand.
    pub busy: Duration,
}

/// What a pool has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs that were taken.
    pub taken: u64,
    /// Jobs that were not.
    pub refused: u64,
    /// Done.
    pub done: u64,
    /// Failed.
    pub failed: u64,
    /// Wanted later.
    pub throttled: u64,
    /// Never to be tried again: discarded, or of a kind that nobody knows.
    pub discarded: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Not begun in time.
    pub expired: u64,
    /// Given back.
    pub returned: u64,
}

impl Counts {
    pub(super) fn add(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Done => &mut self.done,
            Outcome::Failed { .. } => &mut self.failed,
            Outcome::Throttled(_) => &mut self.throttled,
            Outcome::Discarded | Outcome::Unknown => &mut self.discarded,
            Outcome::Cancelled => &mut self.cancelled,
            Outcome::Expired => &mut self.expired,
            Outcome::Returned { .. } => &mut self.returned,
        };
        *count += 1;
    }
}

impl Pool {
    /// The children as a service: slots that wait or failed, and a rollout that runs, are there too.
    pub fn crew(&self) -> Option<ServiceView> {
        self.fleet.service(super::crewing::CREW)
    }

    /// Every child that lives, by its number.
    pub fn children(&self) -> Vec<ChildView> {
        let view = |(id, child): (&WorkerId, &super::child::Child)| ChildView {
            child: *id,
            slot: child.slot,
            generation: child.generation,
            epoch: child.epoch,
            state: match child.phase {
                Phase::Booting => ChildState::Booting,
                Phase::Serving => ChildState::Serving,
                Phase::Leaving | Phase::Closed => ChildState::Leaving,
                Phase::Doomed(_) => ChildState::Doomed,
            },
            ready: child.booted,
            takes: child.takes,
            held: child.hands.iter().map(|held| HeldView { job: held.job, since: held.since }).collect(),
            jobs: child.jobs,
            errors: child.errors,
            busy: child.busy + if child.hands.is_empty() { Duration::ZERO } else { self.now.since(child.changed) },
        };
        self.children.iter().map(view).collect()
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many jobs wait.
    pub fn waiting(&self) -> usize {
        self.lines.len()
    }

    /// How many jobs of a kind wait.
    pub fn waiting_of(&self, kind: Kind) -> usize {
        self.lines.of(self.line_of(kind))
    }
}
