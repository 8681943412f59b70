//! An HTTP/1.1 load client that says what happened to every single request.
//!
//! **What it does.** Sends requests at a fixed rate (open loop: latency counts from the moment a request was *meant* to
//! be sent, so a stalled server cannot hide behind a waiting client) or as fast as answers come (closed loop), over
//! kept and over new connections at once, and puts each request into exactly one class: answered, or one [`Fault`] on a
//! new or a reused connection. It is bounded in count and time, and talks to this machine only unless told otherwise.
//!
//! **Where to start.** [`Load::builder`] and [`Report`]; [`LoadThread`] where there is no runtime. `lane.rs` is the life
//! of one connection, `exchange.rs` one request on it.
//!
//! **What it must never know.** Anything of the engine: it sees a server from outside, as clients do.
//!
//! **How it is tested.** Against a scripted server that makes each fault on purpose (`tests/faults.rs`): each has to be
//! counted once, in its class.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! # async fn example() -> Result<(), evercrew_load::LoadError> {
//! let load = evercrew_load::Load::builder("127.0.0.1:8080".parse::<evercrew_load::Target>()?)
//!     .rate(500.0)
//!     .keep_alive(16)
//!     .fresh(4)
//!     .duration(Duration::from_secs(30))
//!     .expect_prefix("Hello")
//!     .start()?;
//! load.wait_answers(1000).await;
//! let report = load.stop().await;
//! assert!(report.is_clean(), "{report}");
//! # Ok(())
//! # }
//! ```

mod builder;
mod chunked;
mod error;
mod exchange;
mod expect;
mod fault;
mod histogram;
mod lane;
mod report;
mod response;
mod running;
mod schedule;
mod stream;
mod tally;
mod target;
mod thread;

pub use builder::{Builder, Load};
pub use error::LoadError;
pub use fault::{Connection, Failure, Fault};
pub use histogram::Quantiles;
pub use report::{Example, Report, Server};
pub use running::Running;
pub use target::Target;
pub use thread::LoadThread;
