//! Durations in buckets: bounded memory, quantiles within 3 % of the truth.

use std::time::Duration;

use serde::Serialize;

/// Steps up to the first doubling; each doubling above has half as many.
const FINE: usize = 64;
/// Powers of two of a microsecond above the linear part: up to some 19 hours.
const COARSE: usize = 30;

/// Counts of durations in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: Duration,
}

/// Quantiles of a set of durations; all zero when it is empty. In JSON: milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Quantiles {
    /// The median.
    #[serde(rename = "p50_ms", serialize_with = "millis")]
    pub p50: Duration,
    /// 90 %.
    #[serde(rename = "p90_ms", serialize_with = "millis")]
    pub p90: Duration,
    /// 99 %.
    #[serde(rename = "p99_ms", serialize_with = "millis")]
    pub p99: Duration,
    /// 99.9 %.
    #[serde(rename = "p99_9_ms", serialize_with = "millis")]
    pub p99_9: Duration,
    /// The longest, exactly.
    #[serde(rename = "max_ms", serialize_with = "millis")]
    pub max: Duration,
}

/// Writes a duration as milliseconds with three places.
pub(crate) fn millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; FINE * (COARSE + 1)], total: 0, longest: Duration::ZERO }
    }

    pub(crate) fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(micros)) {
            *count += 1;
        }
        self.total += 1;
        self.longest = self.longest.max(duration);
    }

    pub(crate) fn quantiles(&self) -> Quantiles {
        Quantiles {
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
            p99_9: self.quantile(0.999),
            max: self.longest,
        }
    }

    /// The upper edge of the bucket in which `share` of all are reached.
    fn quantile(&self, share: f64) -> Duration {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_micros(edge(index)).min(self.longest);
            }
        }
        self.longest
    }
}

/// The bucket of a value: one each up to FINE, then FINE for each doubling.
fn bucket(micros: u64) -> usize {
    let doublings = (u64::BITS - (micros / FINE as u64).leading_zeros()) as usize;
    match doublings {
        0 => micros as usize,
        _ => {
            let doublings = doublings.min(COARSE);
            // Within the doubling only the upper half of the fine steps exists.
            let fine = (micros >> doublings).min(FINE as u64 - 1) as usize;
            FINE * doublings + fine
        }
    }
}

/// The largest value of a bucket.
fn edge(index: usize) -> u64 {
    let (doublings, fine) = (index / FINE, (index % FINE) as u64);
    ((fine + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_within_its_bucket_and_a_thirtieth_of_its_edge() {
        for exponent in 0..40 {
            for offset in [0, 1, 7, 1000] {
                let value = (1u64 << exponent) + offset;
                let index = bucket(value);
                assert!(index < FINE * (COARSE + 1), "{value}");
                if value < 1 << 35 {
                    assert!(edge(index) >= value, "{value}");
                    assert!(edge(index) - value <= value / 30, "{value} has the edge {}", edge(index));
                }
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantiles(), Quantiles::default());
        for millis in 1..=1000 {
            histogram.record(Duration::from_millis(millis));
        }
        let quantiles = histogram.quantiles();
        let near = |measured: Duration, millis: f64| {
            let ratio = measured.as_secs_f64() * 1e3 / millis;
            assert!((0.999..1.04).contains(&ratio), "{measured:?} is not near {millis} ms");
        };
        near(quantiles.p50, 500.0);
        near(quantiles.p90, 900.0);
        near(quantiles.p99, 990.0);
        near(quantiles.p99_9, 999.0);
        assert_eq!(quantiles.max, Duration::from_secs(1));
    }
}
