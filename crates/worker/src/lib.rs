//! Inside a worker process: inherited sockets, accepting, HTTP, heartbeat and drain.
//!
//! **What it does.** [`hello`] is what `builtin = "hello"` runs: it finds its listeners by the LISTEN_FDS convention,
//! accepts in one blocking thread per listener, serves HTTP/1.1 on a single-threaded runtime, says `READY=1` and
//! `WATCHDOG=1` over NOTIFY_SOCKET, and on TERM finishes what it began.
//!
//! **Where to start.** `process.rs` is the life of a worker from its environment to its exit; `accept.rs` and
//! `drain.rs` hold the two decisions that are easy to get wrong, `http/` what a connection may send and for how long
//! (`http/gate` is what stands before hyper), `hello.rs` the answers.
//!
//! [`Commands`] is a worker's end of its command pipe: verbs of its own, events, metrics.
//!
//! **What it must never know.** The supervisor, the manager, the configuration: a worker serves on whatever becomes of
//! them. It makes no listener and never changes one: O_NONBLOCK on a shared one would change it for every sibling.
//!
//! **How it is tested.** Units beside the code, and `tests/` with the real worker as a child process on real sockets.

mod accept;
mod app;
mod body;
mod commands;
mod connections;
mod context;
mod conventions;
mod custom;
mod drain;
mod error;
mod hello;
mod http;
mod level;
mod life;
mod live;
mod notices;
mod process;
mod pulse;
mod report;
mod serving;
mod stop;

pub use app::{App, BoxError, Hyper, Tower};
pub use body::Body;
pub use commands::{Asked, CommandPipe, Commands};
pub use connections::{Connection, serve_connections};
pub use context::{Context, Identity};
pub use custom::{run, run_task};
pub use evercrew_core::Level;
pub use evercrew_wire::command_pipe::{Measure, Metric};
pub use hello::hello;
pub use http::{Field, Figures, Format, FormatError, HttpOptions, Refusal, Statistics};
pub use level::log_level;
pub use life::{AtEnd, Guest, Initialize, Life, Reload};
pub use process::{serve_app, serve_http};
pub use stop::{Stop, StopFlag};
