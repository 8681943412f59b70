//! Processes of an engine whose supervisor and manager were killed together: the next `up` ends them first.
//!
//! Each `up` draws a random EVERCREW_INSTANCE that every process of it inherits, and writes it to a file. A process
//! that carries the last one, seen through a pidfd opened before its environment was read, is ours for certain: no
//! pid is trusted, nothing of a later boot or of another engine matches.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_sys::{cgroup, process};

use crate::failure::Failure;
use crate::output::say;
use crate::tenancy;

/// How the title of every supervisor begins.
pub(crate) const SUPERVISOR: &str = "evercrew: supervisor";
const FILE: &str = "instance";
/// How long a killed process may take to be gone; one in an uninterruptible wait is told of.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ends what the last engine of this directory left behind.
///
/// # Errors
/// When something cannot be ended: starting beside it could run two of a kind.
pub(crate) fn end(directory: &Path) -> Result<(), Failure> {
    let instance = match fs::read_to_string(directory.join(FILE)) {
        Ok(instance) => instance,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(directory, &error)),
    };
    let instance = instance.trim();
    let entry = format!("EVERCREW_INSTANCE={instance}");
    refuse_living(directory, &entry)?;
    end_cgroups(instance);
    let until = Instant::now() + PATIENCE;
    // One that forks while it is being looked at leaves a child for the next look.
    loop {
        let found = process::processes_with_environment(&entry);
        if found.is_empty() {
            return Ok(());
        }
        for (pid, pidfd) in &found {
            say(format_args!("evercrew: ending process {pid}, left behind by an engine that was killed"));
            // Gone meanwhile is what was wanted; anything else shows in the wait.
            let _ = process::signal(pidfd.as_fd(), Signal::Kill);
        }
        for (pid, pidfd) in &found {
            let left = until.saturating_duration_since(Instant::now());
            if !process::wait_exit(pidfd.as_fd(), left).unwrap_or(true) {
                let text = format!("process {pid} of the last engine in {} does not end", directory.display());
                return Err(Failure::unavailable(text).hint("it waits in the kernel; see its state in /proc"));
            }
        }
    }
}

/// An engine whose supervisor lives has left nothing behind, whatever became of its lock.
fn refuse_living(directory: &Path, entry: &str) -> Result<(), Failure> {
    let found = process::processes_with_environment(entry);
    let supervisor = found.iter().find(|(pid, pidfd)| {
        let is_titled =
            || fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|title| title.starts_with(SUPERVISOR.as_bytes()));
        // A title may not fit where the program keeps its own arguments; the role stays in the environment.
        let role = process::environment_entry(*pid, "EVERCREW_ROLE");
        let is_one = role.is_some_and(|role| role.starts_with(&format!("supervisor:{pid}:"))) || is_titled();
        is_one && !process::wait_exit(pidfd.as_fd(), Duration::ZERO).unwrap_or(true)
    });
    supervisor.map_or(Ok(()), |(pid, _)| Err(tenancy::taken(directory, &format!("process {pid}"))))
}

/// Where the last engine had cgroups, everything in them is its: also what wrote over its environment.
fn end_cgroups(instance: &str) {
    for (_, base) in cgroup::bases(instance) {
        if cgroup::open(&base).and_then(cgroup::populated).unwrap_or(false) {
            let base = base.display();
            say(format_args!("evercrew: ending what was left behind in {base} by an engine that was killed"));
        }
        cgroup::end(&base, &[], PATIENCE);
    }
}

/// Writes down which instance this is, whole or not at all.
///
/// # Errors
/// When the directory cannot be written.
pub(crate) fn remember(directory: &Path, instance: &str) -> Result<(), Failure> {
    let temporary = directory.join("instance.new");
    // By it a process passes for one of ours: nobody else needs to know it.
    File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            // One that was left behind keeps its mode otherwise.
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(instance.as_bytes())
        })
        .and_then(|()| fs::rename(&temporary, directory.join(FILE)))
        .map_err(|error| Failure::unavailable(format!("cannot write to {}: {error}", directory.display())))
}

fn unreadable(directory: &Path, error: &io::Error) -> Failure {
    Failure::unavailable(format!("cannot read {}: {error}", directory.join(FILE).display()))
}
