//! A moment as every line of a file begins: `2026-01-01T00:00:00.000Z`.

use evercrew_sys::clock;

/// Now.
pub(crate) fn now() -> String {
    // The wall clock of a machine can be set to where no calendar reaches.
    text(jiff::Timestamp::try_from(clock::wall()).unwrap_or_default())
}

/// Milliseconds since 1970.
pub(crate) fn of_millis(millis: u64) -> String {
    text(i64::try_from(millis).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok()).unwrap_or_default())
}

/// That moment.
pub(crate) fn text(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The moment that long ago, as lines have it.
pub fn ago(time: std::time::Duration) -> String {
    let now = jiff::Timestamp::try_from(clock::wall()).unwrap_or_default();
    let before = jiff::SignedDuration::try_from(time).ok().and_then(|time| now.checked_sub(time).ok());
    text(before.unwrap_or_default())
}

/// The moment that a text like `2026-01-31T12:00:00Z` names, as lines have it.
pub fn moment(text: &str) -> Option<String> {
    text.parse().ok().map(self::text)
}
