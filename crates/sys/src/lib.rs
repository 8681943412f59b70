//! System calls: the only unsafe code of the engine.
//!
//! **What it does.** Starts processes with exactly the descriptors that were declared ([`spawn`]), waits for them and
//! signals them without ever trusting a pid number ([`process`], [`signal`], [`cgroup`]), moves descriptors between
//! processes ([`channel`], [`stream`], [`memfd`]), opens listening sockets ([`listener`]), speaks `sd_notify` ([`notify`]), and
//! wraps the small remainder: clocks, locks, pipes, epoll, terminal output that never blocks, titles, limits, users.
//!
//! **Where to start.** [`spawn::spawn`] and its child half in `spawn/child.rs`, then [`process`].
//!
//! **What it must never know.** No policy: no restart, no ladder, no service, no configuration, no wire format, no
//! async runtime. It decides nothing that another system could decide differently.
//!
//! **How it is tested.** With real processes, pipes and sockets: `tests/*.rs`, and unit tests for what is parsed.

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("evercrew runs on Linux (5.14 or later) on x86-64 and aarch64 only");

pub mod accept;
mod ancillary;
pub mod cgroup;
pub mod channel;
pub mod claim;
pub mod clock;
pub mod descriptor;
pub mod epoll;
mod excerpt;
pub mod exec;
pub mod failpoint;
pub mod inotify;
pub mod limits;
pub mod line;
pub mod listener;
pub mod lock;
pub mod memfd;
pub mod notify;
pub mod peer;
pub mod pid_file;
pub mod pipe;
pub mod priority;
pub mod process;
pub mod record;
pub mod signal;
pub mod spawn;
pub mod stream;
pub mod terminal;
pub mod title;
pub mod user;
