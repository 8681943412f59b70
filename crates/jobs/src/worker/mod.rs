//! A worker: handlers of jobs, and the connections that feed them.
//!
//! `builder` is where programs begin, `handlers` what runs a job, `context` what a handler knows. `driver` is the one loop:
//! it tells `core::work` what happened and carries out what that decided; `link` is one connection, `talk` its
//! questions and answers as bytes.

mod builder;
mod context;
mod driver;
mod errors;
mod failure;
mod handler;
mod handlers;
mod link;
mod middleware;
mod panics;
mod runs;
mod signals;
mod talk;
mod token;
#[expect(clippy::module_inception, reason = "it is what programs hold")]
mod worker;

pub use builder::Builder;
pub use context::Context;
pub use errors::{Report, WorkerError};
pub use failure::Failure;
pub use handler::{Perform, Running};
pub use handlers::Handlers;
pub use middleware::{Counts, Middleware, Next, Timeout};
pub use token::{Reason, Token};
pub use worker::{Remote, Worker};
