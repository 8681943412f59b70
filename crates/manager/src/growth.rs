//! Memory of workers that are replaced for it: looked at only where it is asked for.

use std::time::Duration;

use evercrew_config::Settings;
use evercrew_core::Mono;
use evercrew_core::fleet::{Event, WorkerId};
use evercrew_sys::{cgroup, clock, process};

use crate::manager::Manager;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(10);

/// When to look next; `None` while no service asks for it.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    next: Option<Mono>,
}

impl Growth {
    pub(crate) fn new(asked: bool, now: Mono) -> Self {
        Self { next: asked.then(|| now.after(INTERVAL)) }
    }

    /// The configuration changed.
    pub(crate) fn ask(&mut self, asked: bool, now: Mono) {
        self.next = if asked { self.next.or(Some(now.after(INTERVAL))) } else { None };
    }

    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.next
    }

    /// Whether a look is due; the next one is an interval from now.
    fn due(&mut self, now: Mono) -> bool {
        let due = self.next.is_some_and(|at| now >= at);
        if due {
            self.next = Some(now.after(INTERVAL));
        }
        due
    }
}

/// Whether a service asks for it.
pub(crate) fn is_asked(settings: &Settings) -> bool {
    settings.services.iter().any(|service| service.recycle_memory.is_some())
}

impl Manager {
    /// Tells the fleet of every worker over its bound.
    pub(crate) fn look_at_growth(&mut self) {
        if !self.growth.due(clock::mono()) {
            return;
        }
        let outgrown: Vec<WorkerId> = self
            .crew
            .processes
            .iter()
            .filter_map(|(worker, process)| {
                let service = self.crew.service(self.crew.find(&process.label.service)?)?;
                let bound = bound(service.recycle_memory?, service.policy.recycle.jitter, *worker);
                has_outgrown(&self.processes_of(*worker, process.pid), bound).then_some(*worker)
            })
            .collect();
        for worker in outgrown {
            self.decide(Event::Outgrown { worker });
        }
    }
}

impl Manager {
    /// The worker's own process and what descends from it: all of its cgroup, where it has one.
    fn processes_of(&self, worker: WorkerId, pid: u32) -> Vec<u32> {
        let directory = self.crew.cgroups.first().and_then(|base| cgroup::open(&base.join(worker.0.to_string())).ok());
        let members = directory.and_then(|directory| cgroup::members(directory).ok()).unwrap_or_default();
        if members.is_empty() { process::tree(pid) } else { members }
    }
}

/// The exact figure costs a walk over all pages, so only those are asked for it that the cheap one, which is never
/// below it, speaks against.
fn has_outgrown(processes: &[u32], bound: u64) -> bool {
    let sum = |of: fn(u32) -> Option<u64>| processes.iter().filter_map(|pid| of(*pid)).fold(0, u64::saturating_add);
    sum(process::anonymous) > bound && sum(share) > bound
}

fn share(pid: u32) -> Option<u64> {
    process::anonymous_share(pid).or_else(|| process::anonymous(pid))
}

/// Each worker's bound (of bytes, of requests) is lower by its own part of the jitter, so that equal workers do not leave together.
pub(crate) fn bound(most: u64, jitter: f64, worker: WorkerId) -> u64 {
    // The low bits of a product with an odd constant are spread evenly over successive ids.
    let lot = (worker.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1u64 << 24) as f64;
    (most as f64 * (1.0 - jitter.clamp(0.0, 1.0) * lot)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_equal_workers_differ_within_the_jitter() {
        let mut bounds: Vec<u64> = (1..=8).map(|worker| bound(1000, 0.5, WorkerId(worker))).collect();
        assert!(bounds.iter().all(|bound| (500..=1000).contains(bound)), "{bounds:?}");
        bounds.sort_unstable();
        bounds.dedup();
        assert_eq!(bounds.len(), 8);
        assert_eq!(bound(1000, 0.0, WorkerId(3)), 1000);
    }

    #[test]
    fn nobody_is_looked_at_unasked() {
        let at = |seconds: u64| Mono::from_nanos(seconds * 1_000_000_000);
        assert_eq!(Growth::new(false, at(0)).deadline(), None);
        let mut growth = Growth::new(true, at(0));
        assert!(!growth.due(at(9)) && growth.due(at(10)) && !growth.due(at(11)));
        assert_eq!(growth.deadline(), Some(at(20)));
    }
}
