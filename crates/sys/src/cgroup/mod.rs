//! Control groups: the boundary of a worker's processes, and what they may use together.
//!
//! A cgroup2 directory is what ends processes. Limits are where their controller is: in the cgroup2 tree, or on a machine
//! that still has it in a hierarchy of its own (version 1), there.

mod bound;
mod directory;
mod place;
mod subtree;

pub use bound::{Bound, Controller, Version, oom_kills, set};
pub use directory::{end, kill, members, open, populated, remove};
pub use place::{Holder, bases, is_top, own};
pub use subtree::{disable, enable, enter, is_delegated, offers};
