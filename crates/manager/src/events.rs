//! Events: numbered, kept in a bounded ring, told to subscribers in order or with a gap that says how many are missing.

use std::collections::{BTreeMap, VecDeque};

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
    request: String,
    /// The next number it has not been sent.
    next: u64,
}

/// All events of this manager's time.
#[derive(Debug)]
pub(crate) struct Events {
    next: u64,
    ring: VecDeque<Stored>,
    subscribers: BTreeMap<ClientId, Vec<Subscriber>>,
}

/// What a subscriber gets next.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) client: ClientId,
    pub(crate) request: String,
    pub(crate) contents: Vec<Value>,
    /// There was no room for all of them.
    pub(crate) behind: bool,
}

impl Events {
    /// With the first number to give.
    pub(crate) fn new(next: u64) -> Self {
        Self { next, ring: VecDeque::new(), subscribers: BTreeMap::new() }
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

    /// The first `most` from number `since` on, led by a gap when some are no longer kept.
    pub(crate) fn since(&self, since: u64, most: usize) -> Vec<Value> {
        let first = self.ring.front().map_or(self.next, |stored| stored.seq);
        let gap = (since < first).then(|| json!({"kind": "gap", "lost": first - since}));
        // Numbers in the ring have no holes.
        let skip = usize::try_from(since.saturating_sub(first)).unwrap_or(usize::MAX);
        gap.into_iter().chain(self.ring.iter().skip(skip).map(|stored| stored.content.clone())).take(most).collect()
    }

    /// Follows from number `since` on.
    pub(crate) fn subscribe(&mut self, client: ClientId, request: String, since: u64) {
        self.subscribers.entry(client).or_default().push(Subscriber { request, next: since });
    }

    /// Follows no longer, with one request or with all; how many requests those were.
    pub(crate) fn unsubscribe(&mut self, client: ClientId, request: Option<&str>) -> usize {
        let Some(subscribers) = self.subscribers.get_mut(&client) else { return 0 };
        let before = subscribers.len();
        subscribers.retain(|subscriber| request.is_some_and(|request| subscriber.request != request));
        let left = subscribers.len();
        if left == 0 {
            self.subscribers.remove(&client);
        }
        before - left
    }

    /// How many requests of this client follow.
    pub(crate) fn count(&self, client: ClientId) -> usize {
        self.subscribers.get(&client).map_or(0, Vec::len)
    }

    /// What each subscriber has not been sent; `room` says how many lines a client takes now. One without room catches
    /// up later, from the ring or with a gap.
    pub(crate) fn due(&mut self, room: impl Fn(ClientId) -> usize) -> Vec<Due> {
        let mut due = Vec::new();
        let mut all = std::mem::take(&mut self.subscribers);
        for (client, subscribers) in &mut all {
            if subscribers.iter().all(|subscriber| subscriber.next >= self.next) {
                continue;
            }
            let mut room = room(*client);
            // The one that is furthest behind gets the room.
            subscribers.sort_by_key(|subscriber| subscriber.next);
            for subscriber in subscribers.iter_mut().filter(|subscriber| subscriber.next < self.next) {
                let contents = self.since(subscriber.next, room);
                room -= contents.len();
                if let Some(last) = contents.last() {
                    subscriber.next = match (last.get("seq").and_then(Value::as_u64), self.ring.front()) {
                        (Some(seq), _) => seq + 1,
                        (None, Some(first)) => first.seq,
                        (None, None) => self.next,
                    };
                }
                let behind = subscriber.next < self.next;
                due.push(Due { client: *client, request: subscriber.request.clone(), contents, behind });
            }
        }
        self.subscribers = all;
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
        let due = events.due(|_| 0);
        assert!(due[0].contents.is_empty() && due[0].behind);
        events.add("b", Map::new());
        let due = events.due(|_| 10);
        assert_eq!(kinds(&due[0].contents), ["1", "2"]);
        assert!(!due[0].behind);
        assert_eq!(events.unsubscribe(ClientId(1), None), 1);
    }

    #[test]
    fn a_client_s_room_is_shared_by_its_requests_and_none_of_them_starves() {
        let mut events = Events::new(1);
        for request in ["a", "b"] {
            events.subscribe(ClientId(1), request.into(), 1);
        }
        for _ in 0..4 {
            events.add("x", Map::new());
        }
        let mut got = BTreeMap::<String, Vec<String>>::new();
        for _ in 0..4 {
            let due = events.due(|_| 2);
            assert!(due.iter().map(|due| due.contents.len()).sum::<usize>() <= 2);
            for due in due {
                got.entry(due.request).or_default().extend(kinds(&due.contents));
            }
        }
        assert!(got.values().all(|numbers| numbers == &["1", "2", "3", "4"]), "{got:?}");
        assert_eq!(events.count(ClientId(1)), 2);
        assert_eq!(events.unsubscribe(ClientId(1), Some("a")), 1);
        assert_eq!(events.count(ClientId(1)), 1);
    }
}
