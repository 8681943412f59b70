//! Faults that can be planted into a pool, to show that the simulator would find them; as those of the fleet.

use crate::fault::faults;

faults! {
    /// A mistake that a pool of children can make; those of a known one among them.
    RoundRobin: "A job is bound to the next child in turn, free or not.",
    BoundEarly: "A job is bound to a child that is not ready yet.",
    UnnamedTrusted: "An answer without an id counts at any time.",
    StrangerTrusted: "An answer for another job counts for the one in hand.",
    ExtraIgnored: "An answer that nobody asked for is passed over.",
    OneTooMany: "A child gets one job more than it takes.",
    LeastRecent: "The child that was used longest ago takes the next job.",
    TimeoutForgotten: "A child may have a job in hand for ever.",
    LatestDeadline: "The loop sleeps to the latest deadline.",
    DoomedIsUsed: "A child that is being ended takes jobs.",
    LeavingIsUsed: "A child that was asked to leave takes jobs.",
    UnbegunIsCharged: "A job that no child has begun fails with its child.",
    BegunIsRequeued: "A job that was begun is handed out again by the pool.",
    ReturnsUnbounded: "A job that dies unbegun with its children is handed out for ever.",
    PoisonForgotten: "A job may end any number of children.",
    CancelForgotten: "A cancelled job that is in hand runs on.",
    CancelKills: "A child that can cancel a job is ended at once.",
    ExpiryForgotten: "A job waits longer than it may.",
    QueueUnbounded: "Any number of jobs may wait.",
    WeightsIgnored: "Kinds take turns whatever their weight.",
    OneLine: "All kinds wait in one line.",
    ThrottleIsFailure: "A job that its child wants later has failed.",
    RetryAfterForgotten: "For how long a child wants to wait is forgotten.",
    RecycleForgotten: "A child is never replaced for the number of its jobs.",
    IdleForgotten: "An idle child is never replaced.",
    KilledWithJob: "A child that leaves is ended though it has a job in hand.",
    NoiseAnswers: "A line that is no answer fails the job in hand.",
    WaitingKept: "A pool that stops keeps what waits.",
    StrictForgotten: "Noise is passed over though none is allowed.",
}

#[cfg(feature = "planted-faults")]
impl super::Pool {
    /// Plants a fault, for the simulator to find.
    pub fn plant(&mut self, fault: Fault) {
        self.faults.plant(fault);
    }
}
