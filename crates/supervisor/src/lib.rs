//! The outermost process: parent of every other one, owner of every descriptor that must outlive the others.
//!
//! **What it does.** Makes, signals and reaps processes when the manager says so; keeps listeners, pidfds, output
//! pipes, links and the last deposit; starts a manager again whenever there is none. See DESIGN "Supervisor ↔ manager".
//!
//! **Where to start.** [`run`], then `engine.rs` (the loop) and `care.rs` (its few decisions, pure).
//!
//! **What it must never know.** Configuration, services, readiness, backoff of workers, names of users. It never
//! waits for a manager, a worker or a disk. Its one policy of its own: a stop that no manager acknowledges in 5 s.
//!
//! **How it is tested.** `care.rs` by unit tests with written times; the process by end-to-end tests that kill every
//! part of the engine.

mod above;
mod arrivals;
mod callers;
mod care;
mod cgroups;
mod children;
mod custody;
mod ending;
mod engine;
mod hangup;
mod identity;
mod inventory;
mod launch;
mod level;
mod manager;
mod outgoing;
mod premises;
mod stops;
mod subtree;
mod upgrade;
mod upgrading;
mod voice;
mod workers;

pub use engine::{Boot, run};
pub use identity::{VARIABLE as MANAGER_IDENTITY, variable as manager_identity};
