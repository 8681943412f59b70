//! Events: numbered, kept in a bounded ring, told to subscribers in order or with a gap that says how many are missing.

use std::collections::{BTreeMap, VecDeque};

use evercrew_sys::clock;
use evercrew_wire::handover::Following;
use serde_json::{Map, Value, json};

use crate::clients::ClientId;
use crate::kinds;
use crate::text;

/// Events kept for `since`.
const RING: usize = 4096;

/// Beats that wait for a follower; more are dropped and counted.
const MOST_BEATS: usize = 1024;

/// One event with its line.
#[derive(Clone, Debug)]
struct Stored {
    seq: u64,
    content: Value,
}

/// What somebody wants to see; without services all of them, without kinds all kinds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) services: Vec<String>,
    /// Whole (`worker.exit`), or all that begin so (`worker`).
    pub(crate) kinds: Vec<String>,
}

impl Filter {
    fn lets(&self, content: &Value) -> bool {
        let text = |name: &str| content.get(name).and_then(Value::as_str).unwrap_or_default();
        let begins = |kind: &String| {
            text("kind").strip_prefix(kind.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        (self.services.is_empty() || self.services.iter().any(|service| service == text("service")))
            && (self.kinds.is_empty() || self.kinds.iter().any(begins))
    }
}

/// Somebody who follows.
#[derive(Debug)]
struct Subscriber {
    request: String,
    filter: Filter,
    /// The next number it has not been sent.
    next: u64,
    beats: Option<Beats>,
}

/// Heartbeats on their way to one who asked for them. They have no number and are not kept, so they cost no deposit and
/// push nothing out of the ring.
#[derive(Debug, Default)]
struct Beats {
    waiting: VecDeque<Value>,
    missed: u64,
}

impl Beats {
    fn add(&mut self, mut content: Map<String, Value>) {
        if self.waiting.len() == MOST_BEATS {
            self.missed += 1;
            return;
        }
        if self.missed > 0 {
            content.insert("missed".into(), json!(std::mem::take(&mut self.missed)));
        }
        self.waiting.push_back(Value::Object(content));
    }
}

impl Subscriber {
    fn is_up_to_date(&self, next: u64) -> bool {
        self.next >= next && self.beats.as_ref().is_none_or(|beats| beats.waiting.is_empty())
    }
}

/// All events of this manager's time.
#[derive(Debug)]
pub(crate) struct Events {
    next: u64,
    ring: VecDeque<Stored>,
    /// How many of each kind there were in this manager's time.
    counts: BTreeMap<&'static str, u64>,
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
        Self { next, ring: VecDeque::new(), counts: BTreeMap::new(), subscribers: BTreeMap::new() }
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Those that are kept, oldest first, for the next manager.
    pub(crate) fn ring(&self) -> Vec<Value> {
        self.ring.iter().map(|stored| stored.content.clone()).collect()
    }

    /// Goes on with those that another manager kept and counted.
    pub(crate) fn restore(&mut self, ring: Vec<Value>, counts: impl Iterator<Item = (&'static str, u64)>) {
        // Numbers in the ring have no holes, up to the next one.
        for content in ring.into_iter().rev().take(RING) {
            let after = self.ring.front().map_or(self.next, |stored| stored.seq);
            let Some(seq) = content.get("seq").and_then(Value::as_u64).filter(|seq| seq + 1 == after) else { break };
            self.ring.push_front(Stored { seq, content });
        }
        self.counts = counts.collect();
    }

    /// What a client follows: request, the next number, services and kinds.
    pub(crate) fn following(&self, client: ClientId) -> Vec<Following> {
        let of = |subscriber: &Subscriber| Following {
            request: subscriber.request.clone(),
            next: subscriber.next,
            services: subscriber.filter.services.clone(),
            kinds: subscriber.filter.kinds.clone(),
            heartbeats: subscriber.beats.is_some(),
        };
        self.subscribers.get(&client).into_iter().flatten().map(of).collect()
    }

    /// Adds one event.
    pub(crate) fn add(&mut self, kind: &'static str, fields: Map<String, Value>) {
        *self.counts.entry(kind).or_default() += 1;
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

    /// The first `most` from number `since` on that the filter lets through, led by a gap when some are no longer kept;
    /// and the number to go on from.
    pub(crate) fn since(&self, since: u64, most: usize, filter: &Filter) -> (Vec<Value>, u64) {
        if most == 0 {
            return (Vec::new(), since);
        }
        let first = self.ring.front().map_or(self.next, |stored| stored.seq);
        let mut contents = Vec::new();
        contents.extend((since < first).then(|| json!({"kind": "gap", "lost": first - since})));
        // Numbers in the ring have no holes.
        let skip = usize::try_from(since.saturating_sub(first)).unwrap_or(usize::MAX);
        for stored in self.ring.iter().skip(skip) {
            if contents.len() == most {
                return (contents, stored.seq);
            }
            contents.extend(filter.lets(&stored.content).then(|| stored.content.clone()));
        }
        (contents, self.next.max(since))
    }

    /// Follows from number `since` on, and each heartbeat where `beats` says so.
    pub(crate) fn subscribe(&mut self, client: ClientId, request: String, since: u64, filter: Filter, beats: bool) {
        let beats = beats.then(Beats::default);
        self.subscribers.entry(client).or_default().push(Subscriber { request, filter, next: since, beats });
    }

    /// Whether somebody follows heartbeats.
    pub(crate) fn wants_beats(&self) -> bool {
        self.subscribers.values().flatten().any(|subscriber| subscriber.beats.is_some())
    }

    /// Tells a heartbeat to those who follow them.
    pub(crate) fn beat(&mut self, fields: &Map<String, Value>) {
        let mut content = Map::new();
        content.insert("at".into(), json!(text::wall(clock::wall())));
        content.insert("kind".into(), json!("worker.heartbeat"));
        content.extend(fields.clone());
        let content = Value::Object(content);
        for Subscriber { filter, beats, .. } in self.subscribers.values_mut().flatten() {
            if let (Some(beats), Value::Object(content), true) = (beats, &content, filter.lets(&content)) {
                beats.add(content.clone());
            }
        }
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

    /// How many requests follow.
    pub(crate) fn followers(&self) -> usize {
        self.subscribers.values().map(Vec::len).sum()
    }

    /// How many of each kind there were, by counter.
    pub(crate) fn counters(&self) -> Value {
        let one = |(kind, count): (&&'static str, &u64)| (kinds::metric(kind), json!(count));
        Value::Object(self.counts.iter().map(one).collect())
    }

    /// How many of each kind there were.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.clone()
    }

    /// How many events are kept.
    pub(crate) fn kept(&self) -> usize {
        self.ring.len()
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
            if subscribers.iter().all(|subscriber| subscriber.is_up_to_date(self.next)) {
                continue;
            }
            let mut room = room(*client);
            // The one that is furthest behind gets the room.
            subscribers.sort_by_key(|subscriber| subscriber.next);
            for subscriber in subscribers.iter_mut().filter(|subscriber| !subscriber.is_up_to_date(self.next)) {
                let (mut contents, next) = self.since(subscriber.next, room, &subscriber.filter);
                room -= contents.len();
                subscriber.next = next;
                if let Some(beats) = &mut subscriber.beats {
                    let fits = room.min(beats.waiting.len());
                    contents.extend(beats.waiting.drain(..fits));
                    room -= fits;
                }
                let behind = !subscriber.is_up_to_date(self.next);
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
        events.subscribe(ClientId(1), "e".into(), 8, Filter::default(), false);
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
    fn the_next_manager_keeps_what_was_kept_as_far_as_it_has_no_hole() {
        let mut before = Events::new(10);
        (0..3).for_each(|_| before.add("a", Map::new()));
        let mut after = Events::new(before.next());
        after.restore(before.ring(), before.counts().into_iter());
        assert_eq!(
            (kinds(&after.since(10, 9, &Filter::default()).0), after.counts()["a"]),
            (vec!["10".into(), "11".into(), "12".into()], 3)
        );
        let mut holed = before.ring();
        holed.remove(1);
        let mut after = Events::new(before.next());
        after.restore(holed, std::iter::empty());
        assert_eq!(kinds(&after.since(10, 9, &Filter::default()).0), ["gap 2", "12"]);
    }

    #[test]
    fn one_without_room_loses_nothing_that_is_still_kept() {
        let mut events = Events::new(1);
        events.subscribe(ClientId(1), "e".into(), 1, Filter::default(), false);
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
            events.subscribe(ClientId(1), request.into(), 1, Filter::default(), false);
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

    #[test]
    fn a_filter_lets_its_services_and_kinds_through_and_hides_no_gap() {
        let mut events = Events::new(2);
        for (kind, service) in
            [("worker.exit", "web"), ("worker.exited", "web"), ("worker.exit", "db"), ("engine.away", "")]
        {
            let mut fields = Map::new();
            if !service.is_empty() {
                fields.insert("service".into(), json!(service));
            }
            events.add(kind, fields);
        }
        let seen = |services: &[&str], wanted: &[&str], since| {
            let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            kinds(&events.since(since, 9, &Filter { services: all(services), kinds: all(wanted) }).0)
        };
        assert_eq!(seen(&["web"], &[], 2), ["2", "3"]);
        assert_eq!(seen(&[], &["worker.exit"], 2), ["2", "4"]);
        assert_eq!(seen(&[], &["worker", "engine"], 2), ["2", "3", "4", "5"]);
        assert_eq!(seen(&["db"], &["worker.exit"], 1), ["gap 1", "4"]);
        assert_eq!(seen(&["no"], &[], 2), Vec::<String>::new());
        let (contents, next) = events.since(2, 1, &Filter { services: vec!["web".into()], kinds: vec![] });
        assert_eq!((contents.len(), next), (1, 3), "what had no room is next");
    }
    #[test]
    fn beats_are_told_to_who_asks_bounded_and_without_a_number() {
        let beat = |service: &str| {
            let mut fields = Map::new();
            fields.insert("service".into(), json!(service));
            fields
        };
        let mut events = Events::new(1);
        events.subscribe(ClientId(1), "all".into(), 1, Filter::default(), false);
        assert!(!events.wants_beats());
        let filter = Filter { services: vec!["web".into()], kinds: vec![] };
        events.subscribe(ClientId(2), "beats".into(), 1, filter, true);
        assert!(events.wants_beats());
        events.beat(&beat("web"));
        events.beat(&beat("db"));
        let due = events.due(|_| 100);
        assert_eq!((due.len(), due[0].client, due[0].contents.len(), due[0].behind), (1, ClientId(2), 1, false));
        assert_eq!((&due[0].contents[0]["kind"], due[0].contents[0].get("seq")), (&json!("worker.heartbeat"), None));
        (0..MOST_BEATS + 3).for_each(|_| events.beat(&beat("web")));
        let due = events.due(|_| 10);
        assert!(due[0].contents.len() == 10 && due[0].behind);
        events.beat(&beat("web"));
        let due = events.due(|_| usize::MAX);
        assert_eq!(due[0].contents.last().map(|last| &last["missed"]), Some(&json!(3)));
        assert_eq!((due[0].contents.len(), events.next(), events.kept()), (MOST_BEATS - 10 + 1, 1, 0));
    }
}
