//! Asking many and gathering what they say: who was asked what, who has answered, and when the asker gets the whole.
//!
//! A **task** is one asker's; it asks **questions**, one of a worker each, several of one worker where there are several
//! requests. Each question ends in exactly one [`Outcome`], and each task in exactly one [`Report`], at its deadline at the
//! latest. An answer counts once, and only from the worker that was asked; a worker that ends, ends its questions at once.
//!
//! [`Gather`] is the machine; [`Strategy`] says when a task is over and what its outcomes amount to.

mod event;
mod fault;
mod machine;
mod memory;
mod outcome;
mod strategy;
mod task;
#[cfg(test)]
mod tests;

pub use event::{Action, Answer, AskId, Disregard, Event, Exit, Plan, Question, TaskId};
#[cfg(feature = "planted-faults")]
pub use fault::Fault;
pub use machine::{Gather, Limits};
pub use memory::{AskMemory, Memory, TaskMemory};
pub use outcome::{Line, Outcome, Report, Tally};
pub use strategy::{Strategy, Verdict};
