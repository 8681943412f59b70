//! Warm children and the jobs that are streamed to them: who gets which job when, whose answer counts, and when a child is
//! not trusted any more.
//!
//! A **job** waits until a child is free, and is bound to none before. A child has one job **in hand**, or as many as it
//! said that it takes. An answer settles a job that its own child has in hand, and nothing else; a child that answers
//! anything else is out of step and is ended. A job that no child has begun goes back to the head of its line when its child
//! dies, and costs no attempt.
//!
//! [`Pool`] is the machine. Its children are the slots of a [`Fleet`](crate::fleet::Fleet) of one service: starts, backoff,
//! rollouts, age and stops are decided there (`crewing` carries that over). `hearing` is what a child says, `settling` what
//! becomes of jobs and of children that are ended, `lines` who of the waiting is next, `bench` which child takes it.

mod bench;
mod child;
mod crewing;
mod event;
mod fault;
mod hearing;
mod job;
mod lines;
mod machine;
mod outcome;
mod policy;
mod settling;
mod timers;
mod view;

#[cfg(test)]
mod tests;

pub use event::{Action, Doom, Echo, Event, Introduction, Reply, Said};
#[cfg(feature = "planted-faults")]
pub use fault::Fault;
pub use job::{Job, JobId, Kind};
pub use machine::Pool;
pub use outcome::{Failure, Outcome, Refusal};
pub use policy::Policy;
pub use view::{ChildState, ChildView, Counts, HeldView};
