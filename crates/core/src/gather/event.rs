//! What a gathering is told, and what it asks for.

use super::outcome::{Outcome, Report};
use super::strategy::Strategy;
use crate::Mono;
use crate::fleet::WorkerId;

/// One asker's whole question. The shell numbers them, each number once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// One question to one worker; never given twice, also not by a shell that took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// Who is asked which of the task's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The worker.
    pub worker: WorkerId,
    /// The number of the request among the task's; its text is the shell's.
    pub request: u32,
}

/// How a task is to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// When it is over.
    pub strategy: Strategy,
    /// When it is over in any case.
    pub deadline: Option<Mono>,
    /// Whether each outcome is told as soon as it is known.
    pub streams: bool,
}

/// What a worker said to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<A> {
    /// It is on it; this is no end.
    Progress(A),
    /// Done.
    Ok(A),
    /// Not done, and why.
    Failed {
        /// Why, for a person.
        reason: String,
        /// For a program.
        content: A,
    },
}

/// How a worker came to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It ended unasked.
    Died,
    /// It was asked to leave: another takes its place, or none is wanted.
    Replaced,
}

/// What happened. `A` is the content of answers, which nobody here looks into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<A> {
    /// Somebody asks.
    Asked {
        /// The new task.
        task: TaskId,
        /// Whom, and what.
        questions: Vec<Question>,
        /// How.
        plan: Plan,
    },
    /// A question could not be put to its worker.
    Unasked {
        /// Which.
        ask: AskId,
        /// Why.
        reason: String,
    },
    /// A worker said something.
    Answered {
        /// Who.
        worker: WorkerId,
        /// To what, as it says.
        ask: AskId,
        /// What.
        answer: Answer<A>,
        /// Its length in bytes.
        size: usize,
    },
    /// A worker is gone.
    Gone {
        /// Who.
        worker: WorkerId,
        /// How.
        exit: Exit,
    },
    /// Nobody waits for the task any more.
    Cancelled {
        /// Which.
        task: TaskId,
    },
    /// Time passed.
    Tick,
}

/// Why something that was said changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disregard {
    /// The question is over: a second answer, or one after the deadline.
    Late,
    /// Another worker was asked that.
    Foreign,
    /// Nobody was ever asked that.
    Unknown,
    /// More of its progress than is passed on.
    TooMuch,
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<A> {
    /// Put this to the worker.
    Ask {
        /// The new question.
        ask: AskId,
        /// Of whose task.
        task: TaskId,
        /// Whom.
        worker: WorkerId,
        /// Which request.
        request: u32,
    },
    /// Pass on what a worker says meanwhile.
    Relay {
        /// To whom.
        task: TaskId,
        /// Who says it.
        worker: WorkerId,
        /// To which request.
        request: u32,
        /// What.
        content: A,
    },
    /// One outcome of a task that streams is known.
    Told {
        /// To whom.
        task: TaskId,
        /// Whose.
        worker: WorkerId,
        /// Of which request.
        request: u32,
        /// What it is.
        outcome: Outcome<A>,
    },
    /// The task is over; nothing of it follows.
    Done {
        /// Which.
        task: TaskId,
        /// What came of it.
        report: Report<A>,
    },
    /// Something that was said changed nothing; it is to be counted.
    Disregarded {
        /// Who said it.
        worker: WorkerId,
        /// To what, as it says.
        ask: AskId,
        /// Why.
        why: Disregard,
    },
}
