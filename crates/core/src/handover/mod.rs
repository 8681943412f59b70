//! One manager in the place of another that runs: who has the duty at each step, and what becomes of each when the other
//! fails.
//!
//! The supervisor holds this machine. A **successor** is started beside the manager and shows that it understands what
//! it would be given; only then is the manager frozen, what it leaves handed on, and with one commit the duty changes
//! hands. Before the commit whatever goes wrong ends the successor and lets the manager go on; from it on the
//! successor is the manager. For a while after it the one before can still be had again, should the new one end by
//! itself.
//!
//! [`Handover`] is the machine; a crash of a manager outside of it is no matter of this module.

mod event;
mod fault;
mod machine;
#[cfg(test)]
mod tests;

pub use event::{Action, Event, Failure};
#[cfg(feature = "planted-faults")]
pub use fault::Fault;
pub use machine::{Handover, PROVING, WINDOW};
