//! Processes: waiting, signalling by pidfd, and what /proc tells.
//!
//! A pid is a number that comes back; a pidfd is an identity. Signals go by pidfd. Where only a number is possible
//! (groups before Linux 6.9, `wait4`) the process must be an unreaped child of ours, which pins its number.

mod inspect;
mod kinship;
mod memory;
mod signals;
mod wait;

pub(crate) use inspect::argument_area;
pub use inspect::{
    boot_id, children_of_self, cpu_time, describe, descriptors, environment_entry, exists, processes_with_environment,
    start_time, tree,
};
pub use kinship::{ParentGone, become_subreaper, die_with_parent, has_one_thread};
pub use memory::{anonymous, anonymous_share, memory};
pub use signals::{open, signal, signal_group, signal_group_by_pidfd};
pub use wait::{Status, Usage, exited, peek_exited, reap, wait_exit};

use std::io;

/// The kernel's type of a pid; 0, which would mean "all of us" to it, is refused.
fn number(pid: u32) -> io::Result<libc::pid_t> {
    libc::pid_t::try_from(pid)
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "0 is no process"))
}
