//! Spread for waiting times, the same in each run of a seed.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood, 2014): enough to keep equal workers from moving together.
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next draw, evenly spread over all of `u32`.
    pub(super) fn draw(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 32) as u32
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
