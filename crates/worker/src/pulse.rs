//! Heartbeats of a worker with several threads: it beats as long as each of them does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::notices;

/// Looks at the other threads for each beat.
const LOOKS: u32 = 10;

/// What the threads of a worker share.
#[derive(Debug)]
struct Shared {
    begun: Instant,
    period: Option<Duration>,
    /// Threads that have not started yet.
    starting: AtomicUsize,
    /// Milliseconds from the begin to the last beat of each thread.
    beats: Vec<AtomicU64>,
}

/// One thread's part of it.
#[derive(Debug)]
pub(crate) struct Pulse {
    shared: Arc<Shared>,
    thread: usize,
}

impl Pulse {
    /// One for each of so many threads.
    pub(crate) fn of(threads: usize, period: Option<Duration>) -> Vec<Self> {
        let shared = Arc::new(Shared {
            begun: Instant::now(),
            period,
            starting: AtomicUsize::new(threads),
            beats: (0..threads).map(|_| AtomicU64::new(0)).collect(),
        });
        (0..threads).map(|thread| Self { shared: Arc::clone(&shared), thread }).collect()
    }

    /// This thread has started; the last one says that the worker is ready. Then beats for ever, from the runtime itself:
    /// a handler that blocks it stops the beats, which is what they are for.
    pub(crate) async fn beat(self) {
        if self.shared.starting.fetch_sub(1, SeqCst) == 1 {
            notices::ready().await;
        }
        let Some(period) = self.shared.period else { return };
        // Several threads look at each other more often, so that one that is stuck is found as soon as a lone one is.
        let looks = if self.shared.beats.len() > 1 { LOOKS } else { 1 };
        let mut beats = interval((period / looks).max(Duration::from_millis(1)));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for look in (0..looks).cycle() {
            beats.tick().await;
            let now = u64::try_from(self.shared.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.shared.beats[self.thread].store(now, SeqCst);
            if self.thread == 0 && look == 0 && self.shared.all_beat(now, period) {
                notices::beat();
            }
        }
    }
}

impl Shared {
    /// Whether no thread has missed more than one look. Before all have started nobody is asked to beat.
    fn all_beat(&self, now: u64, period: Duration) -> bool {
        let silence = u64::try_from((period * 2 / LOOKS).as_millis()).unwrap_or(u64::MAX).max(2);
        self.beats.len() == 1
            || self.starting.load(SeqCst) > 0
            || self.beats.iter().all(|beat| now.saturating_sub(beat.load(SeqCst)) <= silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_silent_thread_silences_the_worker() {
        let period = Duration::from_secs(1);
        let pulses = Pulse::of(2, Some(period));
        let shared = &pulses[0].shared;
        assert!(shared.all_beat(100_000, period), "nobody has started");
        shared.starting.store(0, SeqCst);
        shared.beats[0].store(1000, SeqCst);
        shared.beats[1].store(800, SeqCst);
        assert!(shared.all_beat(1000, period));
        shared.beats[1].store(799, SeqCst);
        assert!(!shared.all_beat(1000, period));
    }
}
