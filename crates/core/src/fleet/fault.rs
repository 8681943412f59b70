//! Faults that can be planted into a fleet, to show that the simulator would find them.

use crate::fault::faults;

faults! {
    /// A mistake that a supervisor can make; known ones of other systems among them.
    NoBackoff: "Every death is followed by a start at once.",
    ShortLifeResetsBackoff: "A worker that was ready for a moment resets the backoff.",
    StartLimitIgnored: "No slot ever counts as failed.",
    CommandedStopCounts: "A worker that was asked to leave counts as a death.",
    LatestDeadline: "The fleet sleeps to its latest deadline.",
    ReadyTimeoutForgotten: "A worker may boot for ever.",
    HeartbeatForgotten: "Nobody supervises beats.",
    AwayKills: "Time in which the whole engine was stopped counts as silence.",
    LateLookKills: "A wakeup that comes a little late finds workers silent that could not speak.",
    LadderWithoutEnd: "No KILL follows the last step of a stop.",
    ImmediateStopWaits: "An immediate stop during a graceful one waits for the ladder.",
    ScaleDownPicksDraining: "Scaling down counts a worker that already drains.",
    RolloutDropsAllOld: "A rollout stops every old worker at once.",
    CanaryNotAwaited: "A rollout goes on before its first new worker has proved itself.",
    SettleIgnored: "A new worker counts as proved when it is ready.",
    FailedRolloutKeepsEpoch: "New workers run the version whose rollout was stopped.",
    ProveIgnored: "The first new worker is on trial no longer than the others.",
    PausedGoesOn: "A paused rollout replaces the next worker.",
    UndoForgotten: "Undo ends a rollout and leaves its new version where it is.",
    WordForgotten: "A worker that takes words is never told one when it is to leave.",
    DrainForgotten: "A replaced worker may drain for ever.",
    DrainingUnbounded: "Every rollout may leave one more generation that drains.",
    LeaversNotCounted: "A draining worker does not count as a process.",
    StartBeforeDependency: "A service does not wait for those it comes after.",
    StopOrderIgnored: "A shutdown stops every service at once.",
    SpawnAfterShutdown: "A worker that dies during a shutdown is replaced.",
    ExitTooEarly: "The engine ends while the last killed workers still live.",
    LostForgotten: "A worker that the inventory does not show is waited for.",
    RestoreForgetsNextWorker: "After a crash of the shell a worker's number is given again.",
    WorkerBeforePrologue: "A worker is started before what has to run first has succeeded.",
    PrologueFailureIgnored: "What has to run first counts as done however it ended.",
    PrologueTimeoutForgotten: "What has to run first may take for ever.",
    PrologueOutlivesStop: "What has to run first is not told that its service stops.",
    RestoreForgetsPrologue: "After a crash of the shell what has to run first is run again.",
    RestoreForgetsBackoff: "After a crash of the shell every slot is started at once.",
    DefineForgetsScale: "A changed policy undoes what `Scale` set.",
    LiveChangeRolls: "A changed policy alone replaces every worker.",
    RemovedIsRestarted: "A worker that dies while its service is removed is replaced.",
    TermsOfNewVersion: "A worker of another version goes by the terms of the new one.",
    VersionForgotten: "A version that a rollout returns to counts as given up.",
}

#[cfg(feature = "planted-faults")]
impl super::Fleet {
    /// Plants a fault, for the simulator to find. Those of `restore` are planted right after it.
    pub fn plant(&mut self, fault: Fault) {
        self.tools.faults.plant(fault);
        if self.hold == super::machine::Hold::Restored {
            self.forget_some(fault);
        }
    }

    fn forget_some(&mut self, fault: Fault) {
        let now = self.now;
        if fault == Fault::RestoreForgetsNextWorker {
            let newest = self.tools.places.keys().next_back().map_or(0, |worker| worker.0);
            self.tools.next_worker = newest.saturating_add(1);
        }
        if fault == Fault::RestoreForgetsPrologue {
            for prologue in self.services.values_mut().filter_map(|service| service.memory.prologue.as_mut()) {
                prologue.owed = true;
                prologue.command = 0;
            }
        }
        if fault == Fault::RestoreForgetsBackoff {
            for service in self.services.values_mut() {
                for slot in &mut service.memory.slots {
                    slot.clear(now);
                }
                service.recount(&mut self.tools);
            }
        }
    }
}
