//! What one request may cost.

use std::time::Duration;

/// At most this much of a deadline is left for the engine's answer that it was not met.
const MOST_MARGIN: Duration = Duration::from_millis(200);
/// How much longer an answer of the very deadline is waited for.
const EXACT_MARGIN: Duration = Duration::from_secs(1);

/// What a broken connection means for a request that has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upon {
    /// Ask again: asking changes nothing.
    Repeat,
    /// Say that the outcome is not known.
    Tell,
    /// Go on behind what was last heard.
    Resume,
}

/// What one request may cost, and what a broken connection means for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What a broken connection means.
    pub upon: Upon,
    /// The asker's own deadline, which the engine is told.
    pub timeout: Option<Duration>,
    /// How long an answer may take where the asker has no deadline; `None` is for ever.
    pub usual: Option<Duration>,
    /// Whether the engine answers at the deadline itself, with everything that came by then: it is left a moment for it.
    pub exact: bool,
    /// How long a connection may be missing.
    pub reach: Duration,
}

impl Terms {
    /// When it ends, after it was asked.
    pub(super) fn bound(&self) -> Option<Duration> {
        let margin = if self.exact { EXACT_MARGIN } else { Duration::ZERO };
        self.timeout.map_or(self.usual, |timeout| Some(timeout.saturating_add(margin)))
    }

    /// What the engine is told of the deadline: a little less, so that its answer, which says how far it is, comes in
    /// time. The asker's own deadline is kept in any case.
    pub(super) fn told(&self) -> Option<Duration> {
        let margin = |timeout: Duration| if self.exact { Duration::ZERO } else { (timeout / 10).min(MOST_MARGIN) };
        self.timeout.map(|timeout| timeout - margin(timeout))
    }
}
