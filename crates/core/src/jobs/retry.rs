//! When a job that failed is tried again.

use std::time::Duration;

pub(super) use crate::lots::Lots;

/// The longest anybody waits for a retry.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// How long a job that failed waits for its next try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backoff {
    /// By the formula that workers of this protocol know: the fourth power of the failures before this one, 15 s, and a
    /// spread of up to 30 s for each.
    #[default]
    Power,
    /// Always this long, and up to a tenth more.
    Fixed(Duration),
    /// At first this long, then twice as long each time, at most as long as the second says; and up to a tenth more.
    Doubling(Duration, Duration),
}

impl Backoff {
    /// The time until the next try after `before` failures and one more. `lot` draws from the spread.
    pub(super) fn delay(self, before: u32, lot: u32) -> Duration {
        match self {
            Self::Power => power(before, lot),
            Self::Fixed(wait) => spread(wait, lot),
            Self::Doubling(first, most) => {
                let times = 1_u32.checked_shl(before).unwrap_or(u32::MAX);
                spread(first.saturating_mul(times).min(most), lot)
            }
        }
    }
}

fn power(count: u32, lot: u32) -> Duration {
    let count = u64::from(count);
    let power = count.saturating_mul(count).saturating_mul(count).saturating_mul(count);
    let spread = u64::from(lot % 30).saturating_mul(count + 1);
    Duration::from_secs(power.saturating_add(15 + spread)).min(LONGEST)
}

fn spread(wait: Duration, lot: u32) -> Duration {
    wait.saturating_add((wait / 10_000).saturating_mul(lot % 1001)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_that_workers_know() {
        let delay = |count, lot| Backoff::Power.delay(count, lot);
        assert_eq!(delay(0, 0), Duration::from_secs(15));
        assert_eq!(delay(1, 29), Duration::from_secs(1 + 15 + 58));
        assert_eq!(delay(24, 30), Duration::from_secs(331_776 + 15));
        assert_eq!(delay(u32::MAX, u32::MAX), LONGEST);
    }

    #[test]
    fn own_ones_are_spread_by_a_tenth_and_bounded() {
        let second = Duration::from_secs(1);
        assert_eq!(Backoff::Fixed(10 * second).delay(7, 1000), 11 * second);
        let doubling = Backoff::Doubling(2 * second, 60 * second);
        let waits = [0, 1, 2, 5, 31, 32, u32::MAX].map(|before| doubling.delay(before, 0).as_secs());
        assert_eq!(waits, [2, 4, 8, 60, 60, 60, 60]);
        assert_eq!(Backoff::Fixed(Duration::MAX).delay(0, 1000), LONGEST);
    }
}
