//! A client of a running engine: how things stand, what happens, questions to workers, and every change.
//!
//! **What it does.** [`Client`] speaks the control socket's protocol. Each verb is a method that gives an [`Ask`]: set what
//! it takes, and `.await` it, or [`stream`](Ask::stream) it where it tells how far it is. Requests of one client share a
//! connection and wait for one another no longer than the engine does.
//!
//! ```no_run
//! # async fn example() -> evercrew_control::Result<()> {
//! use std::time::Duration;
//!
//! use evercrew_control::{Client, Workers};
//!
//! let client = Client::new("/run/shop");
//! let status = client.status().await?;
//! for service in &status.services {
//!     println!("{}: {} ({} of {})", service.name, service.state, service.ready, service.wanted);
//! }
//! client.scale([("web", Workers::More(2))]).timeout(Duration::from_secs(30)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # When the connection breaks
//!
//! The engine's manager may be replaced at any time: it crashed, or it was upgraded. Its supervisor keeps the socket, so a
//! client connects again and waits in the queue. What that means depends on the request:
//!
//! - one that only looks is asked again, and its caller notices nothing;
//! - [`events`](Client::events) go on with the number behind the last one, or say [`gap`](Told::Gap);
//! - one that changes something, [`call`](Client::call) too, ends with [`ErrorKind::Unknown`] if it had left, since it was
//!   done or not. One that had not left is sent over the next connection.
//!
//! Every request ends: at its own [`timeout`](Ask::timeout), else one that is answered at once after
//! [`patience`](Client::patience), else when there is no connection for so long.
//!
//! # What it needs
//!
//! A tokio runtime with io and time; the first request spawns a task there. Dropping an [`Ask`] that is not answered, or
//! a stream, tells the engine that nobody waits any more; what was begun goes on.
//!
//! **Where to start.** `client.rs`, then `driver.rs`, which performs what [`evercrew_core::session`] decides.
//!
//! **What it must never know.** When to connect again and what a broken connection means: that is the session's. How a
//! command line looks.
//!
//! **How it is tested.** The session by random lives in `core`; this crate against a socket that answers, breaks and stays
//! silent by a script (`tests/`), and a real engine whose manager is killed (`control.rs` of the end-to-end tests).

mod answers;
mod ask;
mod call;
mod client;
mod connection;
mod driver;
mod error;
mod events;
mod levels;
mod metrics;
mod place;
mod request;
mod rollouts;
pub mod verb;
mod verbs;
mod waiter;

pub use answers::Answers;
pub use ask::Ask;
pub use call::{Answered, Called, Meanwhile, Outcome};
pub use client::{Client, Workers};
pub use error::{Error, ErrorKind, Result};
pub use events::{Event, Events, Follow, Kept, Told};
pub use evercrew_wire::control::{Reply, ReplyStatus, Surroundings};
pub use evercrew_wire::status;
pub use evercrew_wire::status::Status;
pub use levels::Levels;
pub use metrics::{Family, Metrics, Sample};
pub use request::{Request, Upon};
pub use rollouts::{Rollout, Rollouts};
pub use verb::{Done, Progress, Signalled, Version};
