//! When a job that failed is tried again.

use std::time::Duration;

pub(super) use crate::lots::Lots;

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
