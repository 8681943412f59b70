//! Who the workers are, and what becomes of what they have when they are no more.

use std::sync::Arc;

use super::event::{Action, Greeting, Stage, Verdict};
use super::fault::Fault;
use super::machine::{Ended, Held, Jobs};
use super::number::LeaseNumber;
use super::wall::Now;

impl Jobs {
    /// A worker says who it is.
    pub(super) fn greet(&mut self, now: Now, greeting: Greeting) -> Verdict {
        let is_full = self.consumers.len() >= self.policy.most_workers && !self.faults.has(Fault::WorkersUnbounded);
        let is_known = self.consumers.get(&greeting.wid).is_some() && !self.faults.has(Fault::KnownTurnedAway);
        if is_full && !is_known {
            return Verdict::Full("there are as many workers as may be known");
        }
        self.consumers.greet(now.mono, now.wall, greeting);
        Verdict::Done
    }

    /// A process of a worker is no more, or the worker with all of them: what it had comes back, and a job that has cost
    /// too many workers is parked.
    pub(super) fn died(&mut self, now: Now, wid: &str, pid: Option<i64>, out: &mut Vec<Action>) -> Verdict {
        let Some(consumer) = self.consumers.get_mut(wid) else { return Verdict::Unknown };
        consumer.processes.retain(|known| Some(*known) != pid);
        // The last one takes along what is nobody's in particular: that was found at a start.
        let is_last = pid.is_none() || consumer.processes.is_empty() || self.faults.has(Fault::ProcessTakesAll);
        let pid = pid.filter(|_| !is_last);
        let leases: Vec<LeaseNumber> = consumer.leases.iter().copied().collect();
        match consumer.processes.last() {
            Some(other) if !is_last => consumer.pid = *other,
            _ => _ = self.consumers.remove(wid),
        }
        for asker in self.waits.of_worker(wid, pid) {
            self.leave(asker);
            out.push(Action::Nothing(asker));
        }
        let is_its = |held: &Held| pid.is_none() || held.pid == pid;
        // The last one first, so that they stand in their queue as before.
        for lease in leases.into_iter().rev() {
            let is_its = self.leases.get(&lease).is_some_and(is_its);
            if is_its && !self.faults.has(Fault::DeathKeepsLeases) {
                self.end(now, lease, Ended::Orphaned, out);
            }
        }
        Verdict::Done
    }

    pub(super) fn beat(&mut self, now: Now, wid: &str, said: Stage, rss: u64) -> Verdict {
        let Some(consumer) = self.consumers.get_mut(wid) else { return Verdict::Unknown };
        consumer.heard = now.mono;
        consumer.rss = rss;
        consumer.stage = consumer.stage.max(said);
        Verdict::Asked(Some(consumer.stage).filter(|stage| *stage != Stage::Running))
    }

    /// Whoever waits and is asked to fetch no more gets nothing at once.
    pub(super) fn steer(&mut self, wids: Option<Vec<Arc<str>>>, stage: Stage, out: &mut Vec<Action>) -> Verdict {
        let mut meant = Vec::new();
        for (wid, consumer) in self.consumers.iter_mut() {
            if wids.as_ref().is_none_or(|wids| wids.contains(wid)) {
                consumer.stage = consumer.stage.max(stage);
                meant.push(Arc::clone(wid));
            }
        }
        for asker in meant.iter().flat_map(|wid| self.waits.of_worker(wid, None)).collect::<Vec<_>>() {
            self.leave(asker);
            out.push(Action::Nothing(asker));
        }
        Verdict::Done
    }
}
