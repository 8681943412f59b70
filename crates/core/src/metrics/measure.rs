//! One value, and how two become one.

/// What gauges of several workers amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// All of them together.
    #[default]
    Sum,
    /// The highest.
    Max,
    /// The lowest.
    Min,
    /// Their average.
    Mean,
}

impl Rule {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Max => "max",
            Self::Min => "min",
            Self::Mean => "mean",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "sum" => Some(Self::Sum),
            "max" => Some(Self::Max),
            "min" => Some(Self::Min),
            "mean" => Some(Self::Mean),
            _ => None,
        }
    }
}

/// How often values fell under which bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bounds, growing, and how many values were at most that.
    pub buckets: Vec<(f64, u64)>,
    /// Of all values.
    pub sum: f64,
    /// How many values.
    pub count: u64,
}

impl Histogram {
    /// Takes in one value.
    pub fn observe(&mut self, value: f64) {
        for (_, count) in self.buckets.iter_mut().filter(|(bound, _)| value <= *bound) {
            *count += 1;
        }
        self.sum += value;
        self.count += 1;
    }

    /// How many values were at most `bound`, as far as is known: those of the highest bound that is not above.
    fn up_to(&self, bound: f64) -> u64 {
        self.buckets.iter().take_while(|(of, _)| *of <= bound).last().map_or(0, |(_, count)| *count)
    }

    /// The bounds of both, and what both had under each.
    pub(super) fn add(&mut self, other: &Self) {
        let mut bounds: Vec<f64> = self.buckets.iter().chain(&other.buckets).map(|(bound, _)| *bound).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        self.buckets = bounds.into_iter().map(|bound| (bound, self.up_to(bound) + other.up_to(bound))).collect();
        self.sum += other.sum;
        self.count += other.count;
    }

    /// Whether it can be the same one a little later.
    fn follows(&self, before: &Self) -> bool {
        self.count >= before.count && before.buckets.iter().all(|(bound, count)| self.up_to(*bound) >= *count)
    }

    fn is_sound(&self, most_buckets: usize) -> bool {
        let growing = |pair: &[(f64, u64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        self.buckets.len() <= most_buckets
            && self.sum.is_finite()
            && self.buckets.iter().all(|(bound, count)| !bound.is_nan() && *count <= self.count)
            && self.buckets.windows(2).all(growing)
    }
}

/// A value by its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// Only grows.
    Counter(f64),
    /// Goes up and down.
    Gauge(f64, Rule),
    /// How often values fell under which bound.
    Histogram(Histogram),
}

impl Measure {
    /// `counter`, `gauge` or `histogram`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(..) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }

    /// Whether it is a value that there can be.
    pub(super) fn is_sound(&self, most_buckets: usize) -> bool {
        match self {
            Self::Counter(value) => value.is_finite() && *value >= 0.0,
            Self::Gauge(value, _) => value.is_finite(),
            Self::Histogram(histogram) => histogram.is_sound(most_buckets),
        }
    }

    /// Whether it goes on from `before`; if not, its worker began anew to count.
    pub(super) fn follows(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Counter(value), Self::Counter(before)) => value >= before,
            (Self::Gauge(..), Self::Gauge(..)) => true,
            (Self::Histogram(value), Self::Histogram(before)) => value.follows(before),
            (Self::Counter(_) | Self::Gauge(..) | Self::Histogram(_), _) => false,
        }
    }
}
