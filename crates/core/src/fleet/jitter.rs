//! Spread for waiting times, the same in each run of a seed.

use std::time::Duration;

use crate::lots::Lots;

/// Draws of spread.
#[derive(Debug)]
pub(super) struct Jitter(Lots);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(Lots::new(seed))
    }

    /// The next draw, evenly spread over all of `u32`.
    pub(super) fn draw(&mut self) -> u32 {
        self.0.draw()
    }

    /// Between nothing and `percent` of `time`.
    pub(super) fn up_to(&mut self, time: Duration, percent: u32) -> Duration {
        share(time, f64::from(percent) / 100.0, self.draw())
    }
}

/// `lot / u32::MAX` of `fraction` of `time`. The fraction is held between 0 and 1, so the answer is never above `time`.
pub(super) fn share(time: Duration, fraction: f64, lot: u32) -> Duration {
    const ONE: u128 = u32::MAX as u128;
    // A fraction that is no number becomes 0 in the cast.
    let parts = (fraction.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u128;
    let nanos = time.as_nanos().min(u128::from(u64::MAX)) * parts / ONE * u128::from(lot) / ONE;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
