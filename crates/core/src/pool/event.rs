//! What a pool is told, and what it asks for.

use std::time::Duration;

use super::job::{Job, JobId};
use super::outcome::{Outcome, Refusal};
use super::policy::Policy;
use crate::Signal;
use crate::fleet::{Epoch, ExitStatus, Generation, Notice, Pace, Scope, Slot, WorkerId};

/// Something that was observed or asked for.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)]
pub enum Event {
    /// The deadline came.
    Tick,
    /// What the pool goes by, at first or anew. `epoch` is raised when the children's command changed: a rollout follows.
    Defined {
        /// By what.
        policy: Policy,
        /// The version of the command.
        epoch: Epoch,
    },
    /// Somebody wants a job done.
    Submitted(Job),
    /// Nobody wants it any more.
    Cancelled(JobId),
    /// What waits is wanted back.
    Recalled,
    /// So many children are wanted.
    Scaled(u32),
    /// Every child is to be replaced, or the one in this slot.
    Restarted {
        /// Only this one.
        slot: Option<Slot>,
        /// The version to run.
        epoch: Epoch,
        /// How fast.
        pace: Pace,
    },
    /// Finish what is in hand, take nothing new, end.
    Stopped {
        /// Without finishing.
        now: bool,
    },
    /// A child's program runs.
    Spawned(WorkerId),
    /// No process came of it.
    SpawnFailed {
        /// Which.
        child: WorkerId,
        /// Whether another try can help.
        transient: bool,
    },
    /// A child said something.
    Said {
        /// Which.
        child: WorkerId,
        /// What.
        said: Said,
    },
    /// A child has outgrown its bound of memory.
    Outgrown(WorkerId),
    /// A child's process ended and was reaped; everything that it had written was told before.
    Exited {
        /// Which.
        child: WorkerId,
        /// How.
        status: ExitStatus,
        /// The jobs handed to it of which it never read a byte.
        unread: Vec<JobId>,
    },
}

/// What a line of a child says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It introduces itself.
    Ready(Introduction),
    /// It begins a job.
    Started(Echo),
    /// It is on it, and alive.
    Progress(Echo),
    /// It is alive.
    Beat,
    /// The end of a job.
    Answer(Echo, Reply),
    /// Something for the log.
    Log,
    /// Something that is no answer.
    Noise,
    /// More than a line may have, or what cannot be understood where only answers may stand.
    Garbage,
}

/// What a child says of itself in its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The version of the protocol.
    pub protocol: u32,
    /// How many jobs it takes at once.
    pub concurrency: u32,
    /// It tells when it begins a job.
    pub starts: bool,
    /// It can cancel a job.
    pub cancels: bool,
}

/// For which job a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// It does not say.
    Missing,
    /// For this one.
    Job(JobId),
    /// For one that nobody here knows.
    Stranger,
}

/// What a child makes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Ok,
    /// Not done.
    Error,
    /// Later.
    Throttled(Option<Duration>),
    /// Never again.
    Discard,
    /// It knows no such kind.
    Unknown,
    /// It was asked to cancel it, and did.
    Cancelled,
}

/// Why the pool ends a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doom {
    /// It had a job in hand for too long.
    TimedOut(JobId),
    /// A job was cancelled that it did not let go.
    Cancelled(JobId),
    /// It answered for another job, or more often than it was asked.
    OutOfStep,
    /// It wrote what is no answer.
    Garbage,
    /// It speaks another version of the protocol, or takes no job at all.
    Foreign,
    /// It was asked to leave and did not.
    Stayed,
    /// Its time to leave is over, or there was none.
    Stopped,
}

/// What has to be done, in order, before the next event is handled.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make a process; answer with `Spawned` or `SpawnFailed`.
    Spawn {
        /// Its identity, new.
        child: WorkerId,
        /// Its slot.
        slot: Slot,
        /// Which process of that slot.
        generation: Generation,
        /// Which version of the command.
        epoch: Epoch,
    },
    /// Write the job to the child.
    Hand {
        /// Which.
        child: WorkerId,
        /// What.
        job: JobId,
    },
    /// Ask the child to cancel a job that it has in hand.
    AskCancel {
        /// Which.
        child: WorkerId,
        /// What.
        job: JobId,
    },
    /// Close the child's input: nothing more comes, it is to end. One that speaks our protocol is told `drain` first.
    Close(WorkerId),
    /// End the child with its whole group.
    Kill {
        /// Which.
        child: WorkerId,
        /// Why.
        why: Doom,
    },
    /// Signal the child.
    Signal {
        /// Which.
        child: WorkerId,
        /// What.
        signal: Signal,
        /// To whom.
        scope: Scope,
    },
    /// The job is over here.
    Settled {
        /// Which.
        job: JobId,
        /// How.
        outcome: Outcome,
        /// The child that had it in hand last, if any.
        child: Option<WorkerId>,
    },
    /// The job was not taken.
    Refused {
        /// Which.
        job: JobId,
        /// Why.
        why: Refusal,
    },
    /// A child begins the job.
    Began {
        /// Which.
        job: JobId,
        /// Who.
        child: WorkerId,
    },
    /// The job waits again: its child died and had not begun it.
    Requeued(JobId),
    /// Pass on what the child says about the job.
    Relay {
        /// Which.
        job: JobId,
        /// Who says it.
        child: WorkerId,
    },
    /// What the child wrote is to be logged as its output.
    Noise {
        /// Who.
        child: WorkerId,
        /// Its first: a warning says how to mend it.
        first: bool,
    },
    /// What the child says changes nothing.
    Disregarded(WorkerId),
    /// A fact about the children.
    Crew(Notice),
    /// The pool is over: no child and no job is left.
    Over,
}
