//! A worker's life as a table: every stage × everything that can happen to it.
//!
//! `docs/reference/worker-phases.md` is generated from here.

use std::time::Duration;

use super::{ExitStatus, Phase, StopReason};

/// A phase without its times: the rows of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Spawning,
    Booting,
    Ready,
    Draining,
    Stopping,
    Killed,
}

impl Phase {
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Spawning => Stage::Spawning,
            Self::Booting { .. } => Stage::Booting,
            Self::Ready { .. } => Stage::Ready,
            Self::Draining(_) => Stage::Draining,
            Self::Stopping(_) => Stage::Stopping,
            Self::Killed => Stage::Killed,
        }
    }
}

/// What can happen to a worker: observed, decided by the fleet, or a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Spawned,
    SpawnFailed { transient: bool },
    Ready,
    Beat,
    Extend(Duration),
    Stopping,
    Outgrown,
    Exited(ExitStatus),
    Lost,
    Unsignalled,
    Deadline,
    Leave(StopReason),
    Kill(StopReason),
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Ignore,
    /// The program runs: the ready timeout begins, or with `exec` it is ready.
    Boot,
    /// The moment of the exec is written down.
    Note,
    /// It is ready.
    Serve,
    /// The next beat is awaited.
    Beat,
    /// The present deadline is moved.
    Extend(Duration),
    /// It ends by itself: the slot is started anew where surge allows.
    Bow,
    /// It is replaced, as an old one is.
    Age,
    /// The process is gone.
    Gone(End),
    /// There never was a process.
    Forget,
    /// The last signal is sent again.
    Resend,
    /// It was not ready in time: KILL, counted as a failure.
    TimeOut,
    /// Silent: killed. Settled: it has proved itself. Old: it is replaced.
    Due,
    /// The stop repeats its signal, goes on to its next step, or ends in KILL.
    Climb,
    /// The stop ladder begins.
    Drain(StopReason),
    /// KILL to the group.
    Kill(StopReason),
}

/// How a worker ended, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// No process came of it.
    Stillborn { transient: bool },
    /// Its process ended.
    Exited(ExitStatus),
    /// It is being killed, or it said that it ends; its status is not known yet.
    Doomed,
}

/// The table.
pub(super) fn verdict(stage: Stage, input: Input) -> Verdict {
    use {Input as I, Stage as S, Verdict as V};
    match (stage, input) {
        (S::Spawning, I::Spawned) => V::Boot,
        (S::Draining | S::Stopping | S::Killed, I::Spawned) => V::Note,
        (S::Booting | S::Ready, I::Spawned) => V::Ignore,

        // The notify socket and the exec pipe are two ways: readiness may come first, and then implies the exec.
        (S::Spawning | S::Booting, I::Ready) => V::Serve,
        (S::Ready | S::Draining | S::Stopping | S::Killed, I::Ready) => V::Ignore,

        (S::Ready, I::Beat) => V::Beat,
        (S::Spawning | S::Booting | S::Draining | S::Stopping | S::Killed, I::Beat) => V::Ignore,

        (S::Booting | S::Ready | S::Draining | S::Stopping, I::Extend(by)) => V::Extend(by),
        (S::Spawning | S::Killed, I::Extend(_)) => V::Ignore,

        (S::Spawning | S::Booting | S::Ready, I::Stopping) => V::Bow,
        (S::Draining | S::Stopping | S::Killed, I::Stopping) => V::Ignore,

        (S::Ready, I::Outgrown) => V::Age,
        // One that is not ready or ends anyway is not replaced for its size.
        (S::Spawning | S::Booting | S::Draining | S::Stopping | S::Killed, I::Outgrown) => V::Ignore,

        // Also when the fleet believes that it runs: a ghost would be waited for for ever.
        (S::Spawning | S::Booting | S::Ready | S::Draining | S::Stopping | S::Killed, I::SpawnFailed { transient }) => {
            V::Gone(End::Stillborn { transient })
        }
        (S::Spawning | S::Booting | S::Ready | S::Draining | S::Stopping | S::Killed, I::Exited(status)) => {
            V::Gone(End::Exited(status))
        }
        (S::Spawning | S::Booting | S::Ready | S::Draining | S::Stopping | S::Killed, I::Lost) => V::Forget,

        (S::Draining | S::Stopping | S::Killed, I::Unsignalled) => V::Resend,
        (S::Spawning | S::Booting | S::Ready, I::Unsignalled) => V::Ignore,

        (S::Booting, I::Deadline) => V::TimeOut,
        (S::Ready, I::Deadline) => V::Due,
        (S::Draining | S::Stopping, I::Deadline) => V::Climb,
        // An answer to Spawn and the exit of a killed process (it may hang in the kernel) have no deadline.
        (S::Spawning | S::Killed, I::Deadline) => V::Ignore,

        // One that drains by itself was sent nothing so far; one that was told only loses its slot.
        (S::Spawning | S::Booting | S::Ready | S::Draining | S::Stopping, I::Leave(reason)) => V::Drain(reason),
        (S::Killed, I::Leave(_)) => V::Ignore,
        (S::Spawning | S::Booting | S::Ready | S::Draining | S::Stopping, I::Kill(reason)) => V::Kill(reason),
        (S::Killed, I::Kill(_)) => V::Ignore,
    }
}
