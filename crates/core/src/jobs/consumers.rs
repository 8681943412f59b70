//! Workers, and how long they have been silent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::Mono;

use super::event::{Greeting, Stage};
use super::number::LeaseNumber;
use super::wall::Wall;

/// Silence after which a worker is no more.
pub const SILENCE: Duration = Duration::from_secs(60);

/// Processes that are known of a worker.
const MOST_PROCESSES: usize = 16;

/// One worker.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Where it runs.
    pub host: String,
    /// Its process there, the one that said so last.
    pub pid: i64,
    /// All that go by its name, the latest last: one may replace another before that has ended.
    pub processes: Vec<i64>,
    /// Its labels.
    pub labels: Vec<String>,
    /// How far it is, or is asked to come.
    pub stage: Stage,
    /// Memory it uses, in KiB.
    pub rss: u64,
    /// Since when it is known.
    pub since: Wall,
    /// When it gave its last sign of life.
    pub heard: Mono,
    /// What it holds.
    pub leases: BTreeSet<LeaseNumber>,
}

/// All workers.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    by_wid: BTreeMap<Arc<str>, Consumer>,
    /// When to look at which; a worker that was heard meanwhile is looked at later.
    looks: BTreeSet<(Mono, Arc<str>)>,
}

impl Consumers {
    /// Takes a worker in, or another connection or process of one that is known.
    pub(super) fn greet(&mut self, now: Mono, since: Wall, greeting: Greeting) {
        let known = self.by_wid.entry(Arc::clone(&greeting.wid)).or_insert_with(|| {
            self.looks.insert((now.after(SILENCE), greeting.wid));
            Consumer {
                host: String::new(),
                pid: 0,
                processes: Vec::new(),
                labels: Vec::new(),
                stage: Stage::Running,
                rss: 0,
                since,
                heard: now,
                leases: BTreeSet::new(),
            }
        });
        known.processes.retain(|pid| *pid != greeting.pid);
        if known.processes.len() >= MOST_PROCESSES {
            known.processes.remove(0);
        }
        known.processes.push(greeting.pid);
        (known.host, known.pid, known.labels, known.heard) = (greeting.host, greeting.pid, greeting.labels, now);
    }

    pub(super) fn get(&self, wid: &str) -> Option<&Consumer> {
        self.by_wid.get(wid)
    }

    pub(super) fn get_mut(&mut self, wid: &str) -> Option<&mut Consumer> {
        self.by_wid.get_mut(wid)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Consumer)> {
        self.by_wid.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Arc<str>, &mut Consumer)> {
        self.by_wid.iter_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.by_wid.len()
    }

    pub(super) fn remove(&mut self, wid: &str) -> Option<Consumer> {
        self.by_wid.remove(wid)
    }

    /// Workers that were silent for too long by now.
    pub(super) fn silent(&mut self, now: Mono) -> Vec<Arc<str>> {
        let mut silent = Vec::new();
        while let Some((at, wid)) = self.looks.first().cloned().filter(|(at, _)| *at <= now) {
            self.looks.remove(&(at, Arc::clone(&wid)));
            match self.by_wid.get(&wid) {
                Some(consumer) if now.since(consumer.heard) >= SILENCE => silent.push(wid),
                Some(consumer) => {
                    self.looks.insert((consumer.heard.after(SILENCE), wid));
                }
                None => {}
            }
        }
        silent
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.looks.first().map(|(at, _)| *at)
    }
}
