//! Workers that want to know which of their jobs are theirs no more.

use std::collections::HashMap;
use std::sync::Arc;

use super::event::{Action, Claim, Verdict, Watch};
use super::machine::Jobs;
use super::number::{JobNumber, LeaseNumber};
use super::record::Place;
use super::wall::Now;

/// Which waits are to hear of the end of which leases. One that nobody waits for any more stays until its lease ends.
#[derive(Debug, Default)]
pub(super) struct Watches(HashMap<LeaseNumber, (u64, Arc<str>)>);

impl Jobs {
    /// Tells which of these jobs the worker could settle no more, or waits until there is one.
    pub(super) fn watch(&mut self, now: Now, watch: Watch, out: &mut Vec<Action>) -> Verdict {
        let Some(consumer) = self.consumers.get_mut(&watch.wid) else { return Verdict::Unknown };
        consumer.heard = now.mono;
        let held = |claim: &&Claim| {
            let job = self.by_jid.get(&claim.jid).and_then(|number| self.jobs.get(number));
            job.is_some_and(|job| job.is_of(claim))
        };
        let (held, ended): (Vec<&Claim>, Vec<&Claim>) = watch.held.iter().partition(held);
        if !ended.is_empty() {
            out.push(Action::Ended(watch.asker, ended.iter().map(|claim| Arc::clone(&claim.jid)).collect()));
            return Verdict::Done;
        }
        if watch.wait.is_zero() {
            out.push(Action::Nothing(watch.asker));
            return Verdict::Done;
        }
        let number = self.waits.add(watch.asker, (watch.wid, watch.pid), Vec::new(), now.mono.after(watch.wait));
        for claim in held {
            if let Some(lease) = self.by_jid.get(&claim.jid).and_then(|number| self.lease_of(*number)) {
                self.watches.0.insert(lease, (number, Arc::clone(&claim.jid)));
            }
        }
        Verdict::Waits
    }

    fn lease_of(&self, number: JobNumber) -> Option<LeaseNumber> {
        match &self.jobs.get(&number)?.record.place {
            Place::Reserved { lease, .. } => Some(*lease),
            Place::Enqueued | Place::Scheduled(_) | Place::Retry(_) | Place::Dead(_) => None,
        }
    }

    /// The worker itself ends it, which it need not be told.
    pub(super) fn settled_by_its_worker(&mut self, number: JobNumber) {
        if let Some(lease) = self.lease_of(number) {
            self.watches.0.remove(&lease);
        }
    }

    /// A lease has ended: whoever watches it is told.
    pub(super) fn lease_ended(&mut self, lease: LeaseNumber, out: &mut Vec<Action>) {
        let Some((number, jid)) = self.watches.0.remove(&lease) else { return };
        if let Some(asker) = self.waits.asker(number) {
            self.waits.remove(asker);
            out.push(Action::Ended(asker, vec![jid]));
        }
    }

    /// All leases have ended.
    pub(super) fn all_leases_ended(&mut self, out: &mut Vec<Action>) {
        let mut leases: Vec<LeaseNumber> = self.watches.0.keys().copied().collect();
        leases.sort_unstable();
        for lease in leases {
            self.lease_ended(lease, out);
        }
    }
}
