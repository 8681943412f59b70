//! Supervised multi-process servers in a few lines: the whole engine as a library.
//!
//! **What it does.** [`Server::builder`] takes services that are part of this program ([`http`], [`connections`],
//! [`custom`], [`task`]) and foreign ones ([`command`]), and [`run`](Builder::run) starts them under a supervisor: many
//! processes behind one socket that are restarted when they die and replaced when they hang, one by one when asked.
//! [`main`](Builder::main) gives the program the engine's whole command line as well: `status`, `restart`, `scale`, …
//!
//! ```no_run
//! use evercrew::{Server, http};
//! # fn app() -> axum::Router { axum::Router::new() }
//!
//! fn main() -> evercrew::Result<()> {
//!     Server::builder()
//!         .listen("web", "127.0.0.1:8080")
//!         .service(http("web", || app()).workers(4))
//!         .run()
//! }
//! ```
//!
//! The program is executed again for each of its processes, with the same arguments. What stands before
//! [`run`](Builder::run) therefore runs in every process, so it should only build; what a worker needs belongs into
//! [`Service::initialize`] or into the function that makes the app. [`init`] as the first line of `main` keeps even that
//! out of the supervisor.
//!
//! **Where to start.** `builder.rs`, then `service.rs`; `hooks.rs` is what runs beside services; `embedded.rs` runs the same services without an engine, for tests.
//!
//! **What it must never know.** How workers are kept: everything it is told becomes a configuration like that of a file,
//! and the engine below is that of the command line.
//!
//! **How it is tested.** `tests/` starts the examples as real programs, and the same services embedded.

mod builder;
mod embedded;
mod error;
mod hooks;
mod observer;
mod service;
mod toml;

pub use builder::{Builder, Server};
pub use embedded::Embedded;
pub use error::{Error, Result};
/// A client of a running engine, for this program or another one.
pub use evercrew_control as control;
/// Job workers, and clients of a queue server.
pub use evercrew_jobs as jobs;
pub use evercrew_worker::{
    App, Asked, Body, BoxError, CommandPipe, Connection, Context, Figures, Format, HttpOptions, Hyper, Identity, Stop,
    StopFlag, Tower,
};
pub use observer::Event;
pub use service::{Service, command, connections, custom, http, http_with, task};

/// Makes this process the supervisor where it was started to be that, and never returns then; does nothing otherwise.
///
/// It is worth being the first line of a `main` that does more than to build: the supervisor then runs none of it, and
/// has no thread of it.
pub fn init() {
    evercrew_cli::divert_supervisor();
}
