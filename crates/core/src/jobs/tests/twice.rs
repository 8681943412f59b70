//! What meets something that is on its way: answers given twice, cancels, flushes; and memory beside the disk.

use std::collections::BTreeSet;

use super::oracle::Violation;
use super::world::{Promise, World};
use crate::jobs::{Change, Event};

impl World {
    /// With nothing on its way, memory is as the disk.
    pub(super) fn compare(&self) -> Result<(), Violation> {
        if !self.open.changes.is_empty() || !self.sealed.is_empty() {
            return Ok(());
        }
        let here: BTreeSet<u64> = self.core.jobs.keys().map(|number| number.0).collect();
        let there: BTreeSet<u64> = self.disk.keys().map(|number| number.0).collect();
        if here != there {
            let only = |left: &BTreeSet<u64>, right| left.difference(right).copied().collect();
            return Err(Violation::Differs(only(&here, &there), only(&there, &here)));
        }
        let queues = self.core.queues();
        let differs = queues.iter().filter(|queue| queue.paused != self.paused.contains(&queue.name));
        let differs: Vec<String> = differs.map(|queue| queue.name.to_string()).collect();
        if differs.is_empty() { Ok(()) } else { Err(Violation::Paused(differs)) }
    }

    /// A worker says again that a job is done.
    pub(super) fn say_again(&mut self) -> Result<(), Violation> {
        let Some((jid, lease)) = self.said.last().cloned() else { return Ok(()) };
        let claim = self.claim(&jid, lease);
        // After a failure that is on its way it means nothing.
        let way = self.core.find(&jid).and_then(|number| self.core.batches.way(number));
        let has_failed = way.is_some_and(|way| !way.vanishes);
        let verdict = self.tell(Event::Done(claim, None))?;
        if !has_failed {
            self.promise_once(&verdict, Promise::Done(jid));
        }
        Ok(())
    }

    pub(super) fn cancel(&mut self) -> Result<(), Violation> {
        let jid = format!("job-{}", self.names.saturating_sub(u64::from(self.draw(4))));
        let verdict = self.tell(Event::Cancelled(jid.as_str().into()))?;
        self.promise_once(&verdict, Promise::Gone(jid));
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), Violation> {
        let verdict = self.tell(Event::Flushed)?;
        self.promise_once(&verdict, Promise::Flushed);
        Ok(())
    }

    /// Whoever removes a queue is told that its jobs are gone.
    pub(super) fn promise_removal(&mut self, change: &Change) {
        let Change::Remove(number) = change else { return };
        let record = self.core.record(*number).expect("it is not removed yet");
        self.open.promises.push(Promise::Gone(record.jid.to_string()));
    }
}
