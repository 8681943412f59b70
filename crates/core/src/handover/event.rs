//! What the machine is told, and what it asks for.

use std::time::Duration;

/// What was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The manager asks for a successor.
    Asked {
        /// How long it may take to get ready.
        patience: Duration,
    },
    /// No process could be made of it.
    NotStarted,
    /// The successor has shown that it can work from what it was given.
    Ready,
    /// The manager is frozen and has left everything. What the successor then has to do takes this long at most.
    Left {
        /// How long the handing on may take.
        patience: Duration,
    },
    /// The manager cannot leave what it has; it goes on.
    Kept,
    /// The successor has everything.
    Applied,
    /// The manager's process ended.
    ManagerEnded {
        /// It was not killed by somebody else.
        by_itself: bool,
    },
    /// The successor's process ended.
    SuccessorEnded,
    /// The engine is to stop.
    StopAsked,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the successor and give it what a manager starts from, to try.
    Start,
    /// Tell the manager to leave everything and to do nothing more.
    Freeze,
    /// Give the successor what the manager left.
    HandOn,
    /// End the manager; the successor is the manager from here on. What the manager left, and its binary, are kept.
    Commit,
    /// End the successor.
    End,
    /// Tell the manager what became of it: it goes on, frozen or not.
    GoOn(Failure),
    /// The next manager is started from the binary and the state that were kept.
    Return,
    /// The manager has proved itself: what was kept is not needed any more.
    Settle,
}

/// Why nothing came of a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no process.
    NotStarted,
    /// It ended before it was ready.
    EndedUnready,
    /// It did not get ready in time.
    LateUnready,
    /// The manager did not leave in time.
    LateLeaving,
    /// The manager could not leave what it has.
    Kept,
    /// It ended while it took over.
    EndedTaking,
    /// It did not take over in time.
    LateTaking,
    /// The engine is being stopped.
    Stopped,
    /// Another one is under way.
    Busy,
}
