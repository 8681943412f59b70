//! What a worker counts of its connections and requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use evercrew_core::patience::Verdict;

use super::refusal::Refusal;

/// Counters and gauges of one worker, counted without locks.
#[derive(Debug, Default)]
pub struct Statistics {
    connections: AtomicU64,
    accepted: AtomicU64,
    busy: AtomicU64,
    requests: AtomicU64,
    answers: [AtomicU64; 5],
    refused: [AtomicU64; Refusal::ALL.len()],
    idle_closed: AtomicU64,
    stalled: AtomicU64,
    log_dropped: AtomicU64,
}

/// The statistics at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// Open connections.
    pub connections: u64,
    /// Connections that were accepted since the start.
    pub accepted: u64,
    /// Requests under way: arrived, and not answered to the last byte.
    pub busy: u64,
    /// Requests that a service has seen since the start.
    pub requests: u64,
    /// Answers by the first digit of their status, from 1 on.
    pub answers: [u64; 5],
    /// Requests that were refused, by name.
    pub refused: Vec<(&'static str, u64)>,
    /// Connections that were closed because nothing came.
    pub idle_closed: u64,
    /// Connections that were reset because their client took nothing.
    pub stalled: u64,
    /// Lines of the access log that nobody took in time.
    pub log_dropped: u64,
}

impl Figures {
    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        let counts = [
            (&mut self.connections, other.connections),
            (&mut self.accepted, other.accepted),
            (&mut self.busy, other.busy),
            (&mut self.requests, other.requests),
            (&mut self.idle_closed, other.idle_closed),
            (&mut self.stalled, other.stalled),
            (&mut self.log_dropped, other.log_dropped),
        ];
        counts.into_iter().for_each(|(mine, others)| *mine += others);
        self.answers.iter_mut().zip(other.answers).for_each(|(mine, others)| *mine += others);
        if self.refused.is_empty() {
            self.refused = other.refused;
        } else {
            // Both lists are of every refusal, in one order.
            self.refused.iter_mut().zip(other.refused).for_each(|((_, mine), (_, others))| *mine += others);
        }
        self
    }
}

impl Statistics {
    /// How many requests are under way.
    pub fn busy(&self) -> u64 {
        self.busy.load(Relaxed)
    }

    /// Everything at this moment.
    pub fn figures(&self) -> Figures {
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        Figures {
            connections: load(&self.connections),
            accepted: load(&self.accepted),
            busy: load(&self.busy),
            requests: load(&self.requests),
            answers: std::array::from_fn(|class| load(&self.answers[class])),
            refused: Refusal::ALL.map(|refusal| (refusal.name(), load(&self.refused[refusal.index()]))).to_vec(),
            idle_closed: load(&self.idle_closed),
            stalled: load(&self.stalled),
            log_dropped: load(&self.log_dropped),
        }
    }

    pub(crate) fn connection_began(&self) {
        self.connections.fetch_add(1, Relaxed);
        self.accepted.fetch_add(1, Relaxed);
    }

    pub(crate) fn connection_ended(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    pub(crate) fn request_began(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.busy.fetch_add(1, Relaxed);
    }

    pub(crate) fn request_ended(&self) {
        self.busy.fetch_sub(1, Relaxed);
    }

    pub(crate) fn answered(&self, status: u16) {
        if let Some(class) = self.answers.get(usize::from(status / 100).wrapping_sub(1)) {
            class.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refused[refusal.index()].fetch_add(1, Relaxed);
    }

    pub(crate) fn judged(&self, verdict: Verdict) {
        match verdict {
            Verdict::Close => &self.idle_closed,
            Verdict::Reset => &self.stalled,
            // Counted where they are told.
            Verdict::HeadTime | Verdict::BodyRate => return,
        }
        .fetch_add(1, Relaxed);
    }

    pub(crate) fn log_dropped(&self, lines: u64) {
        self.log_dropped.fetch_add(lines, Relaxed);
    }
}
