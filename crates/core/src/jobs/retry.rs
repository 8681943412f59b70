//! When a job that failed is tried again.

use std::time::Duration;

/// The longest anybody waits for a retry.
const LONGEST: u64 = 365 * 86_400;

/// The time until the next try after `count` failures, by the formula that workers of this protocol know: the fourth
/// power of the count, 15 s, and a spread that grows with the count. `lot` draws from the spread.
pub(super) fn delay(count: u32, lot: u32) -> Duration {
    let count = u64::from(count);
    let power = count.saturating_mul(count).saturating_mul(count).saturating_mul(count);
    let spread = u64::from(lot % 30).saturating_mul(count + 1);
    Duration::from_secs(power.saturating_add(15 + spread).min(LONGEST))
}

/// Draws, the same in each run of a seed.
#[derive(Debug)]
pub(super) struct Lots(u64);

impl Lots {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    pub(super) fn draw(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_that_workers_know() {
        assert_eq!(delay(0, 0), Duration::from_secs(15));
        assert_eq!(delay(1, 29), Duration::from_secs(1 + 15 + 58));
        assert_eq!(delay(24, 30), Duration::from_secs(331_776 + 15));
        assert_eq!(delay(u32::MAX, u32::MAX), Duration::from_secs(LONGEST));
    }
}
