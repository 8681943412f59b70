//! Events: numbered, kept in a bounded ring, told to subscribers in order or with a gap that says how many are missing.

use std::collections::VecDeque;

use evercrew_sys::clock;
use serde_json::{Map, Value, json};

use crate::clients::ClientId;
use crate::text;

/// Events kept for `since`.
const RING: usize = 4096;

/// One event with its line.
#[derive(Clone, Debug)]
struct Stored {
    seq: u64,
    content: Value,
}

/// Somebody who follows.
#[derive(Debug)]
struct Subscriber {
    client: ClientId,
    request: String,
    /// The next number it has not been sent.
    next: u64,
}

/// All events of this manager's time.
#[derive(Debug)]
pub(crate) struct Events {
    next: u64,
    ring: VecDeque<Stored>,
    subscribers: Vec<Subscriber>,
}

/// What a subscriber gets next.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) client: ClientId,
    pub(crate) request: String,
    pub(crate) contents: Vec<Value>,
}

impl Events {
    /// With the first number to give.
    pub(crate) fn new(next: u64) -> Self {
        Self { next, ring: VecDeque::new(), subscribers: Vec::new() }
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Adds one event.
    pub(crate) fn add(&mut self, kind: &str, fields: Map<String, Value>) {
        let mut content = Map::new();
        content.insert("seq".into(), json!(self.next));
        content.insert("at".into(), json!(text::wall(clock::wall())));
        content.insert("kind".into(), json!(kind));
        content.extend(fields);
        if self.ring.len() == RING {
            self.ring.pop_front();
        }
        self.ring.push_back(Stored { seq: self.next, content: Value::Object(content) });
        self.next += 1;
    }

    /// Everything from number `since` on, led by a gap when some are no longer kept.
    pub(crate) fn since(&self, since: u64) -> Vec<Value> {
        let first = self.ring.front().map_or(self.next, |stored| stored.seq);
        let gap = (since < first).then(|| json!({"kind": "gap", "lost": first - since}));
        gap.into_iter()
            .chain(self.ring.iter().filter(|stored| stored.seq >= since).map(|stored| stored.content.clone()))
            .collect()
    }

    /// Follows from number `since` on.
    pub(crate) fn subscribe(&mut self, client: ClientId, request: String, since: u64) {
        self.subscribers.push(Subscriber { client, request, next: since });
    }

    /// Follows no longer; whether it did.
    pub(crate) fn unsubscribe(&mut self, client: ClientId, request: Option<&str>) -> bool {
        let before = self.subscribers.len();
        self.subscribers.retain(|s| s.client != client || request.is_some_and(|request| s.request != request));
        before != self.subscribers.len()
    }

    /// What each subscriber has not been sent; `room` says how many lines it takes now. One without room catches up
    /// later, from the ring or with a gap.
    pub(crate) fn due(&mut self, room: impl Fn(ClientId) -> usize) -> Vec<Due> {
        let mut due = Vec::new();
        let mut subscribers = std::mem::take(&mut self.subscribers);
        for subscriber in &mut subscribers {
            if subscriber.next >= self.next {
                continue;
            }
            let mut contents = self.since(subscriber.next);
            contents.truncate(room(subscriber.client));
            let Some(last) = contents.last() else { continue };
            subscriber.next = match (last.get("seq").and_then(Value::as_u64), self.ring.front()) {
                (Some(seq), _) => seq + 1,
                (None, Some(first)) => first.seq,
                (None, None) => self.next,
            };
            due.push(Due { client: subscriber.client, request: subscriber.request.clone(), contents });
        }
        self.subscribers = subscribers;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(values: &[Value]) -> Vec<String> {
        values
            .iter()
            .map(|v| v.get("lost").map_or_else(|| v["seq"].to_string(), |lost| format!("gap {lost}")))
            .collect()
    }

    #[test]
    fn a_follower_sees_each_event_once_and_a_gap_where_the_ring_was_too_short() {
        let mut events = Events::new(10);
        events.subscribe(ClientId(1), "e".into(), 8);
        events.add("a", Map::new());
        events.add("b", Map::new());
        let due = events.due(|_| 100);
        assert_eq!(kinds(&due[0].contents), ["gap 2", "10", "11"]);
        assert!(events.due(|_| 100).is_empty());
        for _ in 0..RING + 5 {
            events.add("c", Map::new());
        }
        let due = events.due(|_| 3);
        assert_eq!(kinds(&due[0].contents), ["gap 5", "17", "18"]);
        let due = events.due(|_| usize::MAX);
        assert_eq!(due[0].contents.len(), RING - 2);
    }

    #[test]
    fn one_without_room_loses_nothing_that_is_still_kept() {
        let mut events = Events::new(1);
        events.subscribe(ClientId(1), "e".into(), 1);
        events.add("a", Map::new());
        assert!(events.due(|_| 0).is_empty());
        events.add("b", Map::new());
        assert_eq!(kinds(&events.due(|_| 10)[0].contents), ["1", "2"]);
        assert!(events.unsubscribe(ClientId(1), None));
    }
}
