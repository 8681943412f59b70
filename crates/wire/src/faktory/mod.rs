//! The Faktory work protocol: lines to commands, jobs to what is kept of them, answers to bytes and back.
//!
//! A server goes `line::next` → [`Command::read`] → [`Job::read`] or `request::read`, and answers with the functions of
//! [`reply`]; a client says with [`ask`] and reads with [`Reply::read`] and [`Delivery::read`]. Nothing here copies a job's arguments through a number: they leave
//! byte for byte as they came. Each text and each count has a bound, and what is over it is refused in the protocol's own
//! form.

pub mod ask;
mod command;
mod delivery;
mod job;
pub(crate) mod json;
pub mod line;
pub mod password;
mod preamble;
mod refusal;
pub mod reply;
pub mod request;
pub mod stamp;

pub use command::{Command, MOST_QUEUES, Names, Own, QueueVerb};
pub use delivery::{Delivery, Undecodable, many};
pub use job::{
    DEFAULT_QUEUE, Job, LARGEST_JOB, LONGEST_NAME, LONGEST_RESERVE_FOR, MOST_BACKTRACE, RESERVE_FOR, RETRIES,
    SHORTEST_JID, check_queue, jid_of, jobs,
};
pub use json::{DEPTH, Malformed};
pub use preamble::foreign;
pub use refusal::Refusal;
pub use reply::Reply;
