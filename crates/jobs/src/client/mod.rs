//! A client that pushes jobs and asks a server.
//!
//! `client` is what programs hold, `line` one connection that opens when it is needed and opens again when it is lost,
//! `job` what is pushed. `blocking` is the same without a runtime, `pretend` for tests of programs without a server.

mod batch;
pub mod blocking;
#[expect(clippy::module_inception, reason = "it is what programs hold")]
mod client;
mod error;
mod info;
mod job;
mod line;
mod mutation;
mod pretend;
mod tracking;

pub use batch::{Batch, BatchStatus};
pub use client::Client;
pub use error::ClientError;
pub use info::{Info, InfoServer, InfoSets};
pub use job::Job;
pub use mutation::{Filter, Place};
pub use tracking::Progress;
