//! A client's side of the control socket: what becomes of its requests when connections break and managers change.
//!
//! A client **asks**; its requests share one connection, which [`Session`] has made when something is asked, and made
//! anew when it breaks. What a break means is said by each request's [`Terms`]: one that only looks is asked again, one
//! that follows goes on behind what it was last told, and one that changes something ends with [`End::Unknown`], unless
//! it never left. Every request ends exactly once, at its bound at the latest.

mod event;
mod fault;
mod machine;
mod terms;
#[cfg(test)]
mod tests;

pub use event::{Action, AskId, End, Event, Unreached};
pub use machine::Session;
pub use terms::{Terms, Upon};
