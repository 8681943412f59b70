//! Queues: what is ready in them, and who waits.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::number::JobNumber;

/// Most queues.
pub const MOST_QUEUES: usize = 10_000;

/// A queue's place among all.
pub(super) type Index = usize;

/// One queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: Arc<str>,
    pub(super) paused: bool,
    /// So it is on disk.
    pub(super) paused_on_disk: bool,
    /// Somebody has pushed to it or paused it; else it is only waited at.
    pub(super) known: bool,
    /// Jobs in their order, each with its stamp; one with another stamp by now is no longer here.
    pub(super) ready: VecDeque<(JobNumber, u32)>,
    /// How many of those are.
    pub(super) size: usize,
    /// Numbers of waits, the longest first.
    pub(super) waiting: BTreeMap<u64, ()>,
}

/// All queues.
#[derive(Debug, Default)]
pub(super) struct Queues {
    list: Vec<Queue>,
    by_name: HashMap<Arc<str>, Index>,
}

impl Queues {
    /// The queue of this name; it is made when there is room.
    pub(super) fn find_or_make(&mut self, name: &Arc<str>) -> Option<Index> {
        if let Some(index) = self.by_name.get(name) {
            return Some(*index);
        }
        if self.list.len() >= MOST_QUEUES {
            let free = self.list.iter().position(Queue::is_nothing)?;
            self.by_name.remove(&self.list[free].name);
            self.list[free] = Queue::new(name);
            self.by_name.insert(Arc::clone(name), free);
            return Some(free);
        }
        Some(self.make(name))
    }

    /// The queue of this name, which a job is in that is here already.
    pub(super) fn make(&mut self, name: &Arc<str>) -> Index {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        self.list.push(Queue::new(name));
        self.by_name.insert(Arc::clone(name), self.list.len() - 1);
        self.list.len() - 1
    }

    pub(super) fn find(&self, name: &str) -> Option<Index> {
        self.by_name.get(name).copied()
    }

    pub(super) fn get(&self, index: Index) -> &Queue {
        &self.list[index]
    }

    pub(super) fn get_mut(&mut self, index: Index) -> &mut Queue {
        &mut self.list[index]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Queue> {
        self.list.iter()
    }

    pub(super) fn indices(&self) -> std::ops::Range<Index> {
        0..self.list.len()
    }

    /// Takes all jobs out of them.
    pub(super) fn clear(&mut self) {
        for queue in &mut self.list {
            queue.ready = VecDeque::new();
            (queue.size, queue.known) = (0, queue.paused);
        }
    }
}

impl Queue {
    fn new(name: &Arc<str>) -> Self {
        let (ready, waiting) = (VecDeque::new(), BTreeMap::new());
        Self { name: Arc::clone(name), paused: false, paused_on_disk: false, known: false, ready, size: 0, waiting }
    }

    fn is_nothing(&self) -> bool {
        !self.known && !self.paused && self.size == 0 && self.waiting.is_empty()
    }
}
