//! Looking at jobs, queues and workers.

use std::sync::Arc;

use super::consumers::Consumer;
use super::machine::{Job, Jobs};
use super::number::JobNumber;
use super::record::{Place, Record};
use super::totals::Totals;
use super::wall::Wall;

/// A queue as it is seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// Its name.
    pub name: Arc<str>,
    /// Jobs in it.
    pub size: usize,
    /// Whether nothing is handed out of it.
    pub paused: bool,
    /// Since when its first job is in it.
    pub oldest: Option<Wall>,
}

/// A set of jobs that clients know by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Pushed for later.
    Scheduled,
    /// Failed, and tried again later.
    Retries,
    /// Tried no more.
    Dead,
    /// With a worker.
    Working,
    /// In their queues.
    Enqueued,
}

impl Jobs {
    /// The queues that somebody has pushed to or paused, by name.
    pub fn queues(&self) -> Vec<QueueView> {
        let known = self.queues.iter().filter(|queue| queue.known);
        let mut views: Vec<QueueView> = known
            .map(|queue| {
                let first = queue.ready.iter().find_map(|(number, stamp)| {
                    let here = |job: &Job| job.stamp == *stamp && job.record.place == Place::Enqueued;
                    self.jobs.get(number).filter(|job| here(job))
                });
                let oldest = first.map(|job| job.record.enqueued_at);
                QueueView { name: Arc::clone(&queue.name), size: queue.size, paused: queue.paused, oldest }
            })
            .collect();
        views.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        views
    }

    /// How many jobs a set has.
    pub fn size(&self, set: Set) -> usize {
        match set {
            Set::Scheduled => self.scheduled.len(),
            Set::Retries => self.retries.len(),
            Set::Dead => self.dead.len(),
            Set::Working => self.leases.len(),
            Set::Enqueued => self.queues.iter().map(|queue| queue.size).sum(),
        }
    }

    /// Its jobs in their order, from the first after `after` on; an order of their numbers where it has none by time.
    pub fn members(&self, set: Set) -> Vec<JobNumber> {
        let by_time = match set {
            Set::Scheduled => &self.scheduled,
            Set::Retries => &self.retries,
            Set::Dead => &self.dead,
            Set::Working => return self.leases.values().map(|held| held.number).collect(),
            Set::Enqueued => {
                let ready = self.queues.iter().flat_map(|queue| &queue.ready);
                let here = ready.filter(|(number, stamp)| {
                    let job = self.jobs.get(number);
                    job.is_some_and(|job| job.stamp == *stamp && job.record.place == Place::Enqueued)
                });
                return here.map(|(number, _)| *number).collect();
            }
        };
        by_time.iter().map(|(_, number)| *number).collect()
    }

    /// The job that is called so.
    pub fn find(&self, jid: &str) -> Option<JobNumber> {
        self.by_jid.get(jid).copied()
    }

    /// What is known of a job. One that is on its way to the disk is told of as it was.
    pub fn record(&self, number: JobNumber) -> Option<&Record> {
        self.jobs.get(&number).map(|job| &job.record)
    }

    /// The workers by name.
    pub fn consumers(&self) -> impl Iterator<Item = (&Arc<str>, &Consumer)> {
        self.consumers.iter()
    }

    /// The worker that is called so.
    pub fn consumer(&self, wid: &str) -> Option<&Consumer> {
        self.consumers.get(wid)
    }

    /// How many workers there are.
    pub fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// How many wait for jobs.
    pub fn waiting(&self) -> usize {
        self.waits.len()
    }

    /// Counts since the start.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The one text of a queue's name.
    pub fn queue_name(&self, name: &str) -> Arc<str> {
        self.queues.find(name).map_or_else(|| Arc::from(name), |index| Arc::clone(&self.queues.get(index).name))
    }
}

#[cfg(test)]
impl Jobs {
    /// All jobs, those included whose change is not on disk.
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Jobs whose change is not on disk.
    pub(super) fn pending(&self) -> usize {
        self.jobs.values().filter(|job| job.is_pending).count()
    }

    /// Jobs that are in a set, or in a queue, or with a worker.
    pub(super) fn places(&self) -> usize {
        let queued: usize = self.queues.iter().map(|queue| queue.size).sum();
        queued + self.scheduled.len() + self.retries.len() + self.dead.len() + self.expiries.len()
    }

    /// Whether a worker holds this lease, as far as it is known here.
    pub(super) fn holds(&self, lease: super::LeaseNumber) -> bool {
        self.leases.get(&lease).is_some_and(|held| self.jobs.get(&held.number).is_some_and(|job| !job.is_pending))
    }

    /// Whether a job is there no more, and whether its change is not on disk.
    pub(super) fn is_pending(&self, jid: &str) -> (bool, bool) {
        let job = self.find(jid).and_then(|number| self.jobs.get(&number));
        (job.is_none(), job.is_some_and(|job| job.is_pending))
    }
}
