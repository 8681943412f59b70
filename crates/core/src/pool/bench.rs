//! Children that can take a job, and which of them takes the next.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::fleet::WorkerId;

/// A child that can take a job: how many it has, when it was used last, who it is.
pub(super) type Seat = (u32, Reverse<u64>, WorkerId);

/// Idle ones first; among equals the one that was used last, whose memory is warm, so that others get to be idle for long.
#[derive(Debug, Default)]
pub(super) struct Bench {
    seats: BTreeSet<Seat>,
}

impl Bench {
    pub(super) fn add(&mut self, seat: Seat) {
        self.seats.insert(seat);
    }

    pub(super) fn remove(&mut self, seat: &Seat) {
        self.seats.remove(seat);
    }

    pub(super) fn first(&self) -> Option<WorkerId> {
        self.seats.first().map(|(.., child)| *child)
    }

    /// Planted: the one that was used longest ago.
    pub(super) fn last(&self) -> Option<WorkerId> {
        self.seats.last().map(|(.., child)| *child)
    }
}
