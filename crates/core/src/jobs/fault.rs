//! Faults that can be planted into a queue server's decisions, to show that the simulator would find them.

use crate::fault::faults;

faults! {
    /// A mistake that a queue server can make; known ones of other systems among them.
    ReadyBeforeCommit: "A job is handed out before it is on disk.",
    NoFence: "Whoever names a job settles it.",
    DroppedOnReturn: "A job that comes back from a worker is nowhere.",
    RefusedCounts: "What could not be written counts as written.",
    LatestDeadline: "The server sleeps to its latest deadline.",
    NobodyWoken: "Whoever waits for jobs is not told of a new one.",
    LastQueueFirst: "The queues of a fetch are looked through from the end.",
    OwnBackoffForgotten: "A type that has a backoff of its own waits like all others.",
    OneRetryLess: "The last retry is never made.",
    PoisonForgotten: "A job may cost any number of workers.",
    DeathKeepsLeases: "What a dead worker had stays with it.",
    RestartFreesLeases: "After a restart nobody has a job.",
    RestartDisownsWorkers: "After a restart the answer of whoever had a job counts for nothing.",
    RestartForgetsDue: "After a restart nobody had a job whose time had come, when the store does not know of it.",
    LeaseGivenAgain: "After a restart numbers of leases are given again.",
    AnswerOfTheDeadKept: "A job whose answer could not be written stays with its worker, dead meanwhile.",
    PauseIgnored: "A queue that is paused hands out what is pushed to it.",
    SecondAnswerAtOnce: "The second answer about a job does not wait until the first is on disk.",
    SecondAnswerOnNext: "The second answer about a job counts with the next batch, whatever becomes of the first.",
    FlushedAtOnce: "Jobs are gone before their flush is on disk.",
    RefusedFlushEmpties: "A flush that could not be written empties the memory alone.",
    FlushedHandedOut: "A job that is being flushed is handed out.",
    CancelledTooEarly: "A job whose push is not on disk yet is not cancelled.",
    PauseOutlivesFlush: "A pause that is not on disk yet is not undone by a flush.",
    RemovedTooEarly: "A job whose push is not on disk yet stays in a queue that is removed.",
    ProcessTakesAll: "The end of one process of a worker frees what another one has that goes by the same name.",
    RestartFutureIsAnybodys: "After a restart whoever names a job that is not due settles it.",
    WorkersUnbounded: "Any number of workers is known.",
    KnownTurnedAway: "With as many workers as there may be, one that is known is turned away.",
    FinishedTooEarly: "A job counts as done before that is on disk.",
    WaitWithoutEnd: "Whoever waits in vain is never told.",
    ClockBelieved: "A schedule is not looked at again when the clock is set.",
    NewestFirst: "A queue hands out what came last.",
    PromotedEarly: "A job for later is ready a minute early.",
}

#[cfg(feature = "planted-faults")]
impl super::Jobs {
    /// Plants a fault, for the simulator to find. It is planted again after each start.
    pub fn plant(&mut self, fault: Fault) {
        self.faults.plant(fault);
        if fault == Fault::LeaseGivenAgain {
            self.next_lease = 1;
        }
        if fault == Fault::RestartFutureIsAnybodys {
            for job in self.jobs.values_mut() {
                job.is_recovered |= matches!(job.record.place, super::Place::Scheduled(_));
            }
        }
        if fault == Fault::RestartForgetsDue {
            for job in self.jobs.values_mut() {
                job.is_recovered = job.record.place == super::Place::Enqueued;
            }
        }
        if fault == Fault::RestartDisownsWorkers {
            for job in self.jobs.values_mut() {
                job.is_recovered = false;
            }
        }
        if fault == Fault::RestartFreesLeases {
            let held: Vec<_> = self.leases.values().map(|held| held.number).collect();
            for number in held {
                self.come_back(super::Now::default(), number, &mut Vec::new());
            }
        }
    }
}
