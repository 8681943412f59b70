//! Jobs that wait: a line for each kind, and whose turn it is.

use std::collections::{BTreeMap, BTreeSet};

use super::job::{JobId, Kind};

/// How far a kind of weight 1 moves on with each job: weights divide it.
const STRIDE: u64 = 1 << 20;

/// One kind's line.
#[derive(Debug, Default)]
struct Line {
    /// How much its kind has had; the smallest is next.
    pass: u64,
    jobs: BTreeMap<i64, JobId>,
}

/// Every line. Kinds that wait get children's time in the ratio of their weights; one that comes anew has nothing to catch
/// up on.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: BTreeMap<Kind, Line>,
    /// The kinds that wait, by how much they have had.
    turns: BTreeSet<(u64, Kind)>,
    /// How much the kind that was served last had had.
    clock: u64,
    length: usize,
    next: i64,
}

impl Lines {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn of(&self, kind: Kind) -> usize {
        self.lines.get(&kind).map_or(0, |line| line.jobs.len())
    }

    /// At the end of its line; gives its position.
    pub(super) fn push(&mut self, kind: Kind, job: JobId) -> i64 {
        self.next += 1;
        self.place(kind, self.next, job);
        self.next
    }

    /// At the head of its line.
    pub(super) fn push_front(&mut self, kind: Kind, job: JobId) -> i64 {
        let first = self.lines.get(&kind).and_then(|line| line.jobs.first_key_value().map(|(at, _)| *at));
        let at = first.unwrap_or(self.next).min(self.next) - 1;
        self.place(kind, at, job);
        at
    }

    fn place(&mut self, kind: Kind, at: i64, job: JobId) {
        let line = self.lines.entry(kind).or_default();
        if line.jobs.is_empty() {
            line.pass = line.pass.max(self.clock);
            self.turns.insert((line.pass, kind));
        }
        line.jobs.insert(at, job);
        self.length += 1;
    }

    /// Takes one out of its line.
    pub(super) fn remove(&mut self, kind: Kind, at: i64) {
        let Some(line) = self.lines.get_mut(&kind) else { return };
        if line.jobs.remove(&at).is_none() {
            return;
        }
        self.length -= 1;
        if line.jobs.is_empty() {
            self.turns.remove(&(line.pass, kind));
            self.tidy();
        }
    }

    /// The next one.
    pub(super) fn pop(&mut self, weight: impl Fn(Kind) -> u32) -> Option<JobId> {
        let (pass, kind) = self.turns.pop_first()?;
        let line = self.lines.get_mut(&kind)?;
        let (_, job) = line.jobs.pop_first()?;
        self.length -= 1;
        self.clock = self.clock.max(pass);
        line.pass = pass + STRIDE / u64::from(weight(kind).clamp(1, 1 << 10));
        if line.jobs.is_empty() {
            self.tidy();
        } else {
            self.turns.insert((line.pass, kind));
        }
        Some(job)
    }

    /// What an empty line has had is remembered until the others have had as much: one that waits with a single job at a
    /// time has no more than its weight. Lines that are even are dropped now and then, since submitters name kinds.
    fn tidy(&mut self) {
        if self.turns.is_empty() {
            self.lines.clear();
            self.clock = 0;
        } else if self.lines.len() > 2 * self.turns.len() + 64 {
            let clock = self.clock;
            self.lines.retain(|_, line| !line.jobs.is_empty() || line.pass > clock);
        }
    }

    /// Everything that waits, in no order that matters to whoever takes it back.
    pub(super) fn drain(&mut self) -> Vec<JobId> {
        let jobs = self.lines.values().flat_map(|line| line.jobs.values().copied()).collect();
        *self = Self { next: self.next, ..Self::default() };
        jobs
    }
}
