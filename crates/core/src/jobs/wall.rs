//! Time of day, for what is scheduled and for display; never for how long something took.

use std::time::Duration;

use crate::Mono;

/// Nanoseconds since 1970, as the clock on the wall has them; it may be set forward and back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub u64);

impl Wall {
    /// This moment moved forward, held at the end of time.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this moment is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Both clocks, read at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For leases, waits and silence.
    pub mono: Mono,
    /// For schedules.
    pub wall: Wall,
}
