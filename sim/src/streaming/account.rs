//! The plainest account of jobs and children there is.

use std::collections::BTreeMap;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::pool::{Doom, Introduction, Job, JobId, Kind, Policy};

/// A job in a child's hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) job: JobId,
    /// When its time is over.
    pub(super) due: Mono,
    pub(super) timeout: Duration,
    pub(super) started: bool,
    pub(super) cancelled: bool,
}

/// A child.
#[derive(Clone, Debug, Default)]
pub(super) struct Child {
    pub(super) spawned: Option<Mono>,
    pub(super) ready: bool,
    pub(super) speaks: Option<Introduction>,
    pub(super) takes: u32,
    pub(super) hands: Vec<Held>,
    pub(super) used: u64,
    /// It gave an answer without an id: nothing new until then.
    pub(super) doubted: Option<Mono>,
    pub(super) echoes: bool,
    pub(super) leaving: bool,
    pub(super) closed: Option<Mono>,
    pub(super) killed: Option<Doom>,
    pub(super) jobs: u32,
    /// Since when it has nothing in hand.
    pub(super) idle: Mono,
    /// Since when it has had all the jobs that it is to have.
    pub(super) worn: Option<Mono>,
    pub(super) epoch: u64,
    /// Its version introduces itself: silence is no readiness.
    pub(super) expected: bool,
}

impl Child {
    pub(super) fn free(&self, now: Mono) -> bool {
        self.ready
            && !self.leaving
            && self.killed.is_none()
            && self.doubted.is_none_or(|until| until <= now)
            && self.hands.len() < self.takes as usize
    }
}

/// A job that is not over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) job: Job,
    pub(super) returns: u32,
    pub(super) waits: bool,
}

/// How often two kinds that both wait were served.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    served: BTreeMap<Kind, u64>,
}

impl Shares {
    /// One of `kind` was handed out while `waiting` were not empty before.
    pub(super) fn serve(&mut self, kind: Kind, waiting: &[Kind], policy: &Policy) -> Result<(), String> {
        if waiting.len() < 2 || waiting.iter().any(|other| other.0 > 1) {
            self.served.clear();
            return Ok(());
        }
        *self.served.entry(kind).or_default() += 1;
        let share = |kind: Kind| {
            let weight = f64::from(policy.weights.get(&kind).copied().unwrap_or(1));
            (self.served.get(&kind).copied().unwrap_or(0) as f64 / weight, 1.0 / weight)
        };
        let ((a, one_a), (b, one_b)) = (share(waiting[0]), share(waiting[1]));
        if (a - b).abs() > 2.0 * (one_a + one_b) {
            return Err(format!("kinds that all waited were served {:?}, weights {:?}", self.served, policy.weights));
        }
        Ok(())
    }
}
