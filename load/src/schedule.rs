//! When each request is meant to be sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Hands out the turns of all lanes.
#[derive(Debug)]
pub(crate) struct Schedule {
    start: Instant,
    /// Requests a second; `None` sends the next when an answer came.
    rate: Option<f64>,
    limit: u64,
    duration: Duration,
    /// How long after the end turns that fell due before it are still taken.
    patience: Duration,
    next: AtomicU64,
}

impl Schedule {
    pub(crate) fn new(rate: Option<f64>, limit: Option<u64>, duration: Duration, patience: Duration) -> Self {
        let limit = limit.unwrap_or(u64::MAX);
        Self { start: Instant::now(), rate, limit, duration, patience, next: AtomicU64::new(0) }
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    pub(crate) fn is_open(&self) -> bool {
        self.rate.is_some()
    }

    /// The moment of the next request, which may lie in the past when every lane was busy; `None` when it is over.
    pub(crate) fn take(&self) -> Option<Instant> {
        let now = Instant::now();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let (intended, end) = match self.rate {
            Some(rate) => (self.start + due(turn, rate), self.start + self.duration + self.patience),
            None => (now, self.start + self.duration),
        };
        let within = intended < self.start + self.duration && now < end;
        (turn < self.limit && within).then_some(intended)
    }

    /// How many requests fell due up to `moment`; `None` where a request is due only when an answer came.
    pub(crate) fn due_by(&self, moment: Instant) -> Option<u64> {
        let passed = moment.saturating_duration_since(self.start).min(self.duration);
        self.rate.map(|rate| ((passed.as_secs_f64() * rate).ceil() as u64).min(self.limit))
    }
}

fn due(turn: u64, rate: f64) -> Duration {
    // A day at the highest rate that is allowed is far below what f64 counts exactly.
    Duration::try_from_secs_f64(turn as f64 / rate).unwrap_or(Duration::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_at_the_rate_and_end_with_the_duration() {
        let schedule = Schedule::new(Some(100.0), None, Duration::from_millis(50), Duration::from_secs(60));
        let turns: Vec<u128> =
            std::iter::from_fn(|| schedule.take()).map(|moment| (moment - schedule.start()).as_millis()).collect();
        assert_eq!(turns, [0, 10, 20, 30, 40]);
        assert_eq!(schedule.due_by(schedule.start() + Duration::from_millis(15)), Some(2));
        assert_eq!(schedule.due_by(schedule.start() + Duration::from_secs(9)), Some(5));
    }

    #[test]
    fn a_limit_ends_it_as_well() {
        let schedule = Schedule::new(None, Some(3), Duration::from_secs(60), Duration::ZERO);
        assert_eq!(std::iter::from_fn(|| schedule.take()).count(), 3);
    }
}
