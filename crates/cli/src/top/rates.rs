//! How much happened in the last minute.

use std::time::Duration;

use serde_json::{Value, json};

/// What is counted.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Counts of one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    /// Workers that ended unasked, so that others took their places.
    pub(crate) restarts: usize,
    /// Events of every kind.
    pub(crate) events: usize,
}

impl Rates {
    /// Of those events that are not before `since`, a moment as events have it.
    pub(crate) fn of<'a>(events: impl IntoIterator<Item = &'a Value>, since: &str) -> Self {
        let mut rates = Self::default();
        for event in events {
            if event["at"].as_str().is_some_and(|at| at >= since) {
                rates.events += 1;
                rates.restarts += usize::from(is_unasked(event));
            }
        }
        rates
    }

    pub(crate) fn document(self) -> Value {
        json!({"restarts_per_minute": self.restarts, "events_per_minute": self.events})
    }
}

/// Whether it is the end of a worker that nobody had asked to end.
fn is_unasked(event: &Value) -> bool {
    let reason = event["reason"].as_str().unwrap_or_default();
    event["kind"] == "worker.exit" && !matches!(reason, "stop" | "scale" | "rollout" | "recycle" | "rolled-back")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unasked_ends_of_the_last_minute_are_restarts() {
        let exit = |at: &str, reason: &str| json!({"kind": "worker.exit", "at": at, "reason": reason});
        let events = [
            exit("2026-01-01T00:00:59.999Z", "unasked"),
            exit("2026-01-01T00:01:00.000Z", "heartbeat"),
            exit("2026-01-01T00:01:10.000Z", "rollout"),
            json!({"kind": "worker.ready", "at": "2026-01-01T00:01:11.000Z"}),
            json!({"kind": "gap", "lost": 7}),
        ];
        assert_eq!(Rates::of(&events, "2026-01-01T00:01:00.000Z"), Rates { restarts: 1, events: 3 });
    }
}
