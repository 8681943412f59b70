//! The one place that reads clocks.

use evercrew_core::Mono;
use rustix::time::{ClockId, clock_gettime};
use std::time::SystemTime;

/// The moment by CLOCK_MONOTONIC: for every interval.
pub fn mono() -> Mono {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    Mono::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// The wall clock: for display and job schedules alone. It may step in either direction.
pub fn wall() -> SystemTime {
    SystemTime::now()
}
