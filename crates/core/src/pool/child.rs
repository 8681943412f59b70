//! One child as the pool knows it.

use std::cmp::Reverse;
use std::time::Duration;

use super::bench::Seat;
use super::event::Doom;
use super::job::JobId;
use crate::Mono;
use crate::fleet::{Epoch, Generation, Slot, WorkerId};

/// How far a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Asked for, or its program does not work yet.
    Booting,
    /// It takes jobs.
    Serving,
    /// It finishes what it has in hand and then leaves.
    Leaving,
    /// Its input is closed.
    Closed,
    /// It is being ended, and never used again.
    Doomed(Doom),
}

/// A job in a child's hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) job: JobId,
    pub(super) since: Mono,
    /// When its time, or that of its cancelling, is over.
    pub(super) due: Mono,
    pub(super) timeout: Duration,
    /// The child said that it has begun it.
    pub(super) started: bool,
    pub(super) cancelled: bool,
    /// Its time was over while the pool itself did not run: it has some more.
    pub(super) spared: bool,
}

/// A child.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) slot: Slot,
    pub(super) generation: Generation,
    pub(super) epoch: Epoch,
    pub(super) phase: Phase,
    pub(super) booted: Option<Mono>,
    /// It introduced itself: it speaks our protocol.
    pub(super) speaks: bool,
    pub(super) starts: bool,
    pub(super) cancels: bool,
    /// How many jobs it takes at once.
    pub(super) takes: u32,
    /// In the order in which they were handed to it.
    pub(super) hands: Vec<Held>,
    /// Its answers carry ids: one without is a mistake.
    pub(super) echoes: bool,
    /// When it was used last, as a number that grows.
    pub(super) used: u64,
    pub(super) plain_at: Option<Mono>,
    pub(super) doubt: Option<Mono>,
    pub(super) idle_at: Option<Mono>,
    pub(super) leave_by: Option<Mono>,
    /// Where it sits on the bench.
    pub(super) seat: Option<Seat>,
    pub(super) noisy: bool,
    /// It is to be replaced, and the fleet knows.
    pub(super) outgrown: bool,
    /// After how many jobs it is to be replaced.
    pub(super) lasts: Option<u32>,
    pub(super) jobs: u64,
    pub(super) errors: u64,
    pub(super) busy: Duration,
    /// Since when it has had something, or nothing, in hand.
    pub(super) changed: Mono,
}

impl Child {
    pub(super) fn new(slot: Slot, generation: Generation, epoch: Epoch, now: Mono) -> Self {
        Self {
            slot,
            generation,
            epoch,
            phase: Phase::Booting,
            booted: None,
            speaks: false,
            starts: false,
            cancels: false,
            takes: 1,
            hands: Vec::new(),
            echoes: false,
            used: 0,
            plain_at: None,
            doubt: None,
            idle_at: None,
            leave_by: None,
            seat: None,
            noisy: false,
            outgrown: false,
            lasts: None,
            jobs: 0,
            errors: 0,
            busy: Duration::ZERO,
            changed: now,
        }
    }

    pub(super) fn in_hand(&self) -> u32 {
        u32::try_from(self.hands.len()).unwrap_or(u32::MAX)
    }

    /// How many more jobs it can take now.
    pub(super) fn free(&self) -> u32 {
        if self.phase == Phase::Serving && self.doubt.is_none() { self.takes.saturating_sub(self.in_hand()) } else { 0 }
    }

    pub(super) fn seat(&self, id: WorkerId) -> Seat {
        (self.in_hand(), Reverse(self.used), id)
    }

    pub(super) fn held(&mut self, job: JobId) -> Option<&mut Held> {
        self.hands.iter_mut().find(|held| held.job == job)
    }

    /// Whether it can still be heard.
    pub(super) fn is_doomed(&self) -> bool {
        matches!(self.phase, Phase::Doomed(_))
    }

    /// What was read counts as begun, unless the child tells what it begins.
    pub(super) fn has_begun(&self, held: &Held, unread: &[JobId]) -> bool {
        held.started || !(self.starts || unread.contains(&held.job))
    }
}
