//! One connection: down, opening or up, and what it owes answers to.

use std::collections::VecDeque;
use std::time::Duration;

use super::book::DueId;
use super::event::LinkId;
use crate::Mono;
use crate::lots::Lots;

/// Most connections of one worker.
pub const MOST_LINES: usize = 4;
/// How long the next answer to a fetch may take; the server itself waits 2 s for a job.
const FETCH_PATIENCE: Duration = Duration::from_secs(7);
/// How long the next answer to anything else may take.
const REPORT_PATIENCE: Duration = Duration::from_secs(8);
/// The first pause before a connection is opened again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A question that has no answer yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// So many jobs.
    Fetch(u32),
    /// These are done.
    Done(Vec<DueId>),
    /// One thing that is owed.
    Due(DueId),
    Beat,
}

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Down { until: Mono },
    Opening { link: LinkId, until: Mono },
    Up { link: LinkId },
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) phase: Phase,
    asked: VecDeque<(Mono, Asked)>,
    /// When the server last said anything.
    heard: Mono,
    /// Attempts since one went well.
    failures: u32,
    /// The last fetch found a job.
    pub(super) is_hot: bool,
    /// Nothing is fetched before: the server refused.
    pub(super) fetch_from: Mono,
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Down { until: Mono::default() },
            asked: VecDeque::new(),
            heard: Mono::default(),
            failures: 0,
            is_hot: false,
            fetch_from: Mono::default(),
        }
    }

    pub(super) fn link(&self) -> Option<LinkId> {
        match self.phase {
            Phase::Down { .. } => None,
            Phase::Opening { link, .. } | Phase::Up { link } => Some(link),
        }
    }

    pub(super) fn up(&self) -> Option<LinkId> {
        match self.phase {
            Phase::Up { link } => Some(link),
            Phase::Down { .. } | Phase::Opening { .. } => None,
        }
    }

    pub(super) fn open(&mut self, now: Mono, link: LinkId, patience: Duration) {
        self.phase = Phase::Opening { link, until: now.after(patience) };
    }

    pub(super) fn opened(&mut self, now: Mono) {
        if let Phase::Opening { link, .. } = self.phase {
            self.phase = Phase::Up { link };
            self.heard = now;
        }
    }

    pub(super) fn ask(&mut self, now: Mono, asked: Asked) {
        self.asked.push_back((now, asked));
    }

    /// The question that an answer belongs to.
    pub(super) fn answered(&mut self, now: Mono) -> Option<Asked> {
        self.heard = now;
        self.asked.pop_front().map(|(_, asked)| asked)
    }

    /// The server has shown that it serves this worker.
    pub(super) fn is_well(&mut self) {
        self.failures = 0;
    }

    /// The connection is no more; gives what it owed answers to.
    pub(super) fn broken(&mut self, now: Mono, lots: &mut Lots, at_once: bool) -> Vec<Asked> {
        self.failures = self.failures.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(6)).min(LONGEST_PAUSE);
        let spread = pause / 2 * (lots.draw() >> 16) / (1 << 16);
        let pause = if at_once { Duration::ZERO } else { pause / 2 + spread };
        self.phase = Phase::Down { until: now.after(pause) };
        self.is_hot = false;
        self.asked.drain(..).map(|(_, asked)| asked).collect()
    }

    /// How many jobs are being fetched.
    pub(super) fn fetching(&self) -> u32 {
        self.asked.iter().map(|(_, asked)| if let Asked::Fetch(most) = asked { *most } else { 0 }).sum()
    }

    pub(super) fn asked(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter().map(|(_, asked)| asked)
    }

    /// When something has to happen at the latest, if nothing is heard.
    pub(super) fn deadline(&self) -> Option<Mono> {
        match self.phase {
            Phase::Down { until } | Phase::Opening { until, .. } => Some(until),
            Phase::Up { .. } => {
                let (since, asked) = self.asked.front()?;
                let patience = if matches!(asked, Asked::Fetch(_)) { FETCH_PATIENCE } else { REPORT_PATIENCE };
                Some(self.heard.max(*since).after(patience))
            }
        }
    }
}
