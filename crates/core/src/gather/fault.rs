//! Faults that can be planted into a gathering, to show that the simulator would find them; as those of the fleet.

use crate::fault::faults;

faults! {
    /// A mistake that a hub of commands can make; known ones of another system among them.
    TimedOutForgotten: "A worker that did not answer is no reason to fail.",
    LatestDeadline: "The loop sleeps to the latest deadline.",
    DoubleCounted: "A second answer of a worker counts for another one.",
    NobodyIsSuccess: "No workers at all is a success.",
    ForeignCounted: "An answer counts whoever sends it.",
    OversizedTaken: "An answer may have any length.",
    ProgressEnds: "What a worker says meanwhile counts as its answer.",
    FailureIsOk: "A failure is an answer like another.",
    DeathIgnored: "A worker's death does not end what it was asked.",
    OneAskADeath: "A worker's death ends only one of the questions put to it.",
    ReplacedIsDead: "A worker that was asked to leave counts as dead.",
    CancelForgotten: "A task goes on when its asker is gone.",
    RestoreForgetsDeadlines: "After a handover nothing is ever late.",
    RestoreForgetsNext: "After a handover numbers of questions are given again.",
    RestoreForgetsWorkers: "After a handover a death ends nothing.",
}

#[cfg(feature = "planted-faults")]
impl<A: Clone> super::Gather<A> {
    /// Plants a fault, for the simulator to find. Those of a restore are planted right after it.
    pub fn plant(&mut self, fault: Fault, restored: bool) {
        self.faults.plant(fault);
        if restored {
            self.forget_some(fault);
        }
    }
}
