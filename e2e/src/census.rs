//! How many workers of one service there were at every moment, by the engine's own events.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What a service may have at a moment: at least so many workers ready, at most so many processes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Wanted less what may be unavailable.
    pub ready: usize,
    /// Wanted and surge.
    pub processes: usize,
}

/// The count, kept event by event.
#[derive(Debug)]
pub struct Census {
    service: &'static str,
    processes: BTreeSet<u64>,
    ready: BTreeSet<u64>,
    /// Slots whose worker ended unasked, until the next one there is ready: nobody promised that it would live.
    bereft: BTreeMap<String, u64>,
    /// The fewest that were ready while nothing was excused.
    pub fewest: usize,
    /// The most processes.
    pub most: usize,
}

impl Census {
    /// Of this service, before its first event.
    pub fn of(service: &'static str) -> Self {
        let (processes, ready, bereft) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Self { service, processes, ready, bereft, fewest: usize::MAX, most: 0 }
    }

    /// Notes the next event and says what is wrong with the count after it.
    pub fn note(&mut self, event: &Value, allowed: Bounds) -> Option<String> {
        if event["kind"] == "gap" {
            return Some("events were lost, nothing can be counted".to_owned());
        }
        if event["service"] != self.service {
            return None;
        }
        let (pid, worker) = (event["pid"].as_u64()?, event["worker"].as_str()?.to_owned());
        match event["kind"].as_str()? {
            "worker.spawn" => drop(self.processes.insert(pid)),
            "worker.ready" => {
                self.ready.insert(pid);
                self.bereft.remove(&worker);
            }
            "worker.draining" | "worker.heartbeat-lost" => drop(self.ready.remove(&pid)),
            "worker.exit" => {
                if self.ready.remove(&pid) && event["reason"] == "unasked" {
                    self.bereft.insert(worker, pid);
                }
                self.processes.remove(&pid);
            }
            _ => return None,
        }
        self.most = self.most.max(self.processes.len());
        if self.bereft.is_empty() && allowed.ready > 0 {
            self.fewest = self.fewest.min(self.ready.len());
        }
        let few = self.ready.len() + self.bereft.len() < allowed.ready;
        let many = self.processes.len() > allowed.processes;
        (few || many).then(|| {
            let Self { processes, ready, bereft, .. } = self;
            format!("{event}: {ready:?} ready of {processes:?}, killed {bereft:?}, allowed {allowed:?}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ALLOWED: Bounds = Bounds { ready: 1, processes: 2 };

    /// What is wrong after the last of these events; nothing before it may be.
    fn after(events: &[(&str, u64)]) -> Option<String> {
        let mut census = Census::of("web");
        let mut note = |(kind, pid): &(&str, u64), allowed| {
            let event = json!({"kind": kind, "service": "web", "worker": "web.1", "pid": pid, "reason": "unasked"});
            census.note(&event, allowed)
        };
        let (start, rest) = events.split_at(2);
        let last = rest.len() - 1;
        assert!(start.iter().all(|event| note(event, Bounds { ready: 0, processes: 1 }).is_none()));
        assert!(rest[..last].iter().all(|event| note(event, ALLOWED).is_none()));
        note(&rest[last], ALLOWED)
    }

    const UP: [(&str, u64); 2] = [("worker.spawn", 1), ("worker.ready", 1)];

    #[test]
    fn a_worker_that_leaves_before_its_successor_is_ready_is_found() {
        let early = [&UP[..], &[("worker.spawn", 2), ("worker.draining", 1)]].concat();
        assert!(after(&early).is_some());
        let late = [&UP[..], &[("worker.spawn", 2), ("worker.ready", 2), ("worker.draining", 1)]].concat();
        assert_eq!(after(&late), None);
    }

    #[test]
    fn one_process_too_many_is_found() {
        let two = [&UP[..], &[("worker.spawn", 2)]].concat();
        assert_eq!(after(&two), None);
        assert!(after(&[&two[..], &[("worker.spawn", 3)]].concat()).is_some());
        assert_eq!(after(&[&two[..], &[("worker.exit", 1), ("worker.spawn", 3)]].concat()), None);
    }

    #[test]
    fn a_killed_worker_is_excused_until_the_next_is_ready() {
        let killed = [&UP[..], &[("worker.exit", 1)]].concat();
        assert_eq!(after(&killed), None);
        let mended = [&killed[..], &[("worker.spawn", 2), ("worker.ready", 2)]].concat();
        assert_eq!(after(&mended), None);
        assert!(after(&[&mended[..], &[("worker.draining", 2)]].concat()).is_some());
    }
}
