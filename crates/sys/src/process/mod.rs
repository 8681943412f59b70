//! Processes: waiting, signalling by pidfd, and what /proc tells.
//!
//! A pid is a number that comes back; a pidfd is an identity. Signals go by pidfd. Where only a number is possible
//! (groups before Linux 6.9, `wait4`) the process must be an unreaped child of ours, which pins its number.

mod inspect;
mod kinship;
mod signals;
mod wait;

pub use inspect::{
    boot_id, children_of_self, cpu_time, environment_entry, exists, memory, processes_with_environment, start_time,
};
pub use kinship::{ParentGone, become_subreaper, die_with_parent};
pub use signals::{open, signal, signal_group, signal_group_by_pidfd};
pub use wait::{Status, Usage, exited, peek_exited, reap, wait_exit};
