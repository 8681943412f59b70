//! How long somebody has moved too little.

use evercrew_core::Mono;

/// Bytes that count as having moved.
const STEP: usize = 64 << 10;

/// Bytes that are to move in one direction, and since when too few of them do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    since: Option<Mono>,
    moved: usize,
}

impl Pace {
    /// Something is there to be moved.
    pub(crate) fn begin(&mut self, now: Mono) {
        self.since.get_or_insert(now);
    }

    /// So many bytes of it moved. One at a time is no progress: whoever trickles holds as much memory as who stands still.
    pub(crate) fn advance(&mut self, bytes: usize, now: Mono) {
        self.moved += bytes;
        if self.moved >= STEP {
            self.moved = 0;
            self.since = self.since.map(|_| now);
        }
    }

    /// Nothing is left to be moved.
    pub(crate) fn rest(&mut self) {
        *self = Self::default();
    }

    /// Since when too little moved; `None` when there is nothing to move.
    pub(crate) fn slow_since(&self) -> Option<Mono> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_no_progress_and_a_stream_is() {
        let at = Mono::from_nanos;
        let mut pace = Pace::default();
        pace.advance(STEP, at(1));
        assert_eq!(pace.slow_since(), None);
        pace.begin(at(2));
        (3..1000).for_each(|now| pace.advance(1, at(now)));
        assert_eq!(pace.slow_since(), Some(at(2)));
        pace.advance(STEP, at(2000));
        pace.begin(at(2001));
        assert_eq!(pace.slow_since(), Some(at(2000)));
        pace.rest();
        assert_eq!(pace.slow_since(), None);
    }
}
