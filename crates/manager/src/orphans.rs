//! What is left of the engine when its supervisor is gone: ended at once, by everything that says whose it is.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use evercrew_core::{Mono, Signal};
use evercrew_sys::{cgroup, clock, process};

/// For all of it; then the next `up` has to.
const PATIENCE: Duration = Duration::from_millis(900);
/// Part of it for what was killed already to be gone, so that it is not taken for something else.
const SETTLING: Duration = Duration::from_millis(100);
/// Processes that are named in one line.
const MOST_NAMED: usize = 50;

/// The logger, which ends by itself: it reads what is left in the pipes.
pub(crate) struct Spared<'a> {
    pub(crate) worker: u64,
    pub(crate) pid: u32,
    pub(crate) pidfd: Option<BorrowedFd<'a>>,
}

/// Ends what is in the engine's cgroups, then what carries the engine's mark in its environment; every worker's group
/// was killed before. Tells of those that had left their group, one line at most.
pub(crate) fn end(cgroups: &[PathBuf], spared: Option<&Spared<'_>>) -> Option<String> {
    let until = clock::mono().after(PATIENCE);
    let logger = spared.map(|spared| spared.worker.to_string());
    let names: Vec<&str> = std::iter::once("engine").chain(logger.as_deref()).collect();
    for base in cgroups {
        cgroup::end(base, &names, until.since(clock::mono()));
    }
    let named = end_marked(spared.map(|spared| spared.pid), until);
    if let Some(pidfd) = spared.and_then(|spared| spared.pidfd) {
        let _ = process::wait_exit(pidfd, until.since(clock::mono()));
    }
    for base in cgroups {
        cgroup::remove(base);
    }
    remark(&named)
}

/// Kills until no process is found that carries the mark; those that were not ended before, by name and pid.
fn end_marked(spared: Option<u32>, until: Mono) -> Vec<String> {
    let Ok(instance) = std::env::var("EVERCREW_INSTANCE") else { return Vec::new() };
    let entry = format!("EVERCREW_INSTANCE={instance}");
    let find = || -> Vec<(u32, OwnedFd)> {
        let found = process::processes_with_environment(&entry).into_iter();
        found.filter(|(pid, _)| Some(*pid) != spared).collect()
    };
    let wait = |found: &[(u32, OwnedFd)], until: Mono| {
        for (_, pidfd) in found {
            let _ = process::wait_exit(pidfd.as_fd(), until.since(clock::mono()));
        }
    };
    let dying = find();
    wait(&dying, clock::mono().after(SETTLING).min(until));
    let mut named = Vec::new();
    // One that forks while it is being looked at leaves a child for the next look.
    loop {
        let found = find();
        if found.is_empty() || clock::mono() >= until {
            return named;
        }
        for (pid, pidfd) in &found {
            named.push(process::describe(*pid));
            // Gone meanwhile is what was wanted.
            let _ = process::signal(pidfd.as_fd(), Signal::Kill);
        }
        wait(&found, until);
    }
}

fn remark(named: &[String]) -> Option<String> {
    if named.is_empty() {
        return None;
    }
    let shown = named.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = match named.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("ended what had left its worker's group: {shown}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_those_that_had_left_up_to_a_bound() {
        assert_eq!(remark(&[]), None);
        let one = remark(&["sleep (7)".to_owned()]).expect("a line");
        assert_eq!(one, "ended what had left its worker's group: sleep (7)");
        let many = remark(&vec!["a (1)".to_owned(); 53]).expect("a line");
        assert!(many.ends_with("a (1) and 3 more") && many.matches("a (1)").count() == 50, "{many}");
    }
}
