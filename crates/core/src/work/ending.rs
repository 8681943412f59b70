//! How a worker stops: running jobs go on for a while, are told to end, and are let go.

use std::time::Duration;

use super::settings::Settings;
use crate::Mono;

/// How long results may take to arrive after the last job.
const DELIVERY: Duration = Duration::from_secs(5);
/// How long everything may take when it ends at once; a fetch under way takes 2 s.
const AT_ONCE: Duration = Duration::from_secs(3);

/// When what happens at the latest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    /// Jobs are told to end.
    pub(super) cancel_at: Mono,
    /// They are let go.
    pub(super) abandon_at: Mono,
    /// The worker ends whatever is open.
    pub(super) end_at: Mono,
    pub(super) cancelled: bool,
    pub(super) abandoned: bool,
}

impl Ending {
    pub(super) fn graceful(now: Mono, settings: &Settings) -> Self {
        let cancel_at = now.after(settings.grace);
        let abandon_at = cancel_at.after(settings.last_words);
        let end_at = abandon_at.after(DELIVERY);
        Self { cancel_at, abandon_at, end_at, cancelled: false, abandoned: false }
    }

    pub(super) fn at_once(now: Mono) -> Self {
        Self { cancel_at: now, abandon_at: now, end_at: now.after(AT_ONCE), cancelled: false, abandoned: false }
    }

    pub(super) fn deadline(&self) -> Mono {
        match (self.cancelled, self.abandoned) {
            (false, _) => self.cancel_at,
            (true, false) => self.abandon_at,
            (true, true) => self.end_at,
        }
    }
}
