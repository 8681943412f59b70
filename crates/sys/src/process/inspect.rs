//! What /proc tells of a process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::str::FromStr;
use std::time::Duration;

/// More than an environment can have (a third of the largest stack limit the kernel takes into account).
const ENVIRONMENT_LIMIT: u64 = 8 << 20;

/// The place of a value in `/proc/PID/stat`, counted from the state, which follows the name.
#[derive(Clone, Copy)]
enum Field {
    Parent = 1,
    StartTime = 19,
    ArgumentsStart = 45,
    ArgumentsEnd = 46,
}

/// `/proc/PID/stat`, read once.
struct Stat(String);

impl Stat {
    fn read(process: impl std::fmt::Display) -> Option<Self> {
        fs::read_to_string(format!("/proc/{process}/stat")).ok().map(Self)
    }

    fn field<T: FromStr>(&self, field: Field) -> Option<T> {
        // The name may hold anything, spaces and brackets too; it ends with the last bracket.
        let (_, values) = self.0.rsplit_once(')')?;
        values.split_ascii_whitespace().nth(field as usize)?.parse().ok()
    }
}

/// When the process started, in clock ticks since boot: with [`boot_id`] and the pid it names a process for ever.
pub fn start_time(pid: u32) -> Option<u64> {
    Stat::read(pid)?.field(Field::StartTime)
}

/// A process for people: `sleep (123)`.
pub fn describe(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    match name.trim_end() {
        "" => format!("? ({pid})"),
        // A process may call itself anything.
        name => format!("{} ({pid})", name.escape_debug()),
    }
}

/// Processor time used so far, in user mode and in the kernel, by the process's own clock: one call, where a look into
/// /proc is four and counts in hundredths of a second.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    /// The scheduler's clock of a whole process: its pid, inverted, above the kind.
    const SCHEDULER: libc::clockid_t = 2;
    let clock = (!super::number(pid).ok()?).checked_mul(8)? | SCHEDULER;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec into memory that is ours for the time of the call.
    let outcome = unsafe { libc::clock_gettime(clock, &raw mut time) };
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    (outcome == 0).then(|| Duration::new(seconds, nanos))
}

/// Open files by kind: `socket`, `pipe`, `file`, `memfd`, `device`, or an anonymous file's own name (`eventpoll`).
pub fn descriptors(pid: u32) -> Option<BTreeMap<String, usize>> {
    let mut kinds = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
        // One that was closed meanwhile is none.
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let target = target.to_string_lossy();
        let kind = match target.split_once(':') {
            Some(("anon_inode", name)) => name.trim_matches(['[', ']']),
            Some(("/memfd", _)) => "memfd",
            Some((kind @ ("socket" | "pipe"), _)) => kind,
            _ if target.starts_with("/dev/") => "device",
            _ => "file",
        };
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    Some(kinds)
}

/// Whether a process has this number now (a zombie has).
pub fn exists(pid: u32) -> bool {
    let Some(pid) = super::number(pid).ok().and_then(rustix::process::Pid::from_raw) else { return false };
    !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

/// The kernel's identifier of this boot.
///
/// # Errors
/// When /proc is not there.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The children of this process, zombies included, in no order.
pub fn children_of_self() -> Vec<u32> {
    children_by_thread("self").unwrap_or_else(|_| {
        let own = std::process::id();
        let is_child = |pid: &u32| Stat::read(pid).and_then(|stat| stat.field(Field::Parent)) == Some(own);
        processes().filter(is_child).collect()
    })
}

/// The processes below this one, it first. One that was left by its parent is not below it any more.
pub fn tree(pid: u32) -> Vec<u32> {
    let mut tree = vec![pid];
    let mut looked_at = 0;
    while let Some(parent) = tree.get(looked_at).copied().filter(|_| tree.len() < LARGEST_TREE) {
        looked_at += 1;
        for child in children_by_thread(parent).unwrap_or_default() {
            // Numbers come back while we look.
            if !tree.contains(&child) {
                tree.push(child);
            }
        }
    }
    tree
}

/// More processes than one worker has, and few enough to search through.
const LARGEST_TREE: usize = 4096;

/// The kernel's own list, which it keeps for each thread (not in every configuration).
fn children_by_thread(process: impl std::fmt::Display) -> io::Result<Vec<u32>> {
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(task?.path().join("children"))?;
        children.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(children)
}

/// The value of the variable `name` in the environment that the process was started with, if we may read it.
pub fn environment_entry(pid: u32, name: &str) -> Option<String> {
    let environment = environment(pid).ok()?;
    let value = |entry: &[u8]| {
        let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    environment.split(|byte| *byte == 0).find_map(value)
}

fn environment(pid: u32) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/environ"))?.take(ENVIRONMENT_LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Every living process, this one excepted, that was started with the environment entry `entry` (`NAME=value`), each
/// with a pidfd that is certain to be of that process.
///
/// Not found are those whose environment we may not read, and those that have written over it (some programs make
/// room for a long title that way).
pub fn processes_with_environment(entry: &str) -> Vec<(u32, OwnedFd)> {
    let own = std::process::id();
    processes().filter(|pid| *pid != own).filter_map(|pid| Some((pid, with_entry(pid, entry.as_bytes())?))).collect()
}

/// The pidfd is opened first, and its process still has the number after the environment was read: so what was read
/// is that process's.
fn with_entry(pid: u32, entry: &[u8]) -> Option<OwnedFd> {
    let pidfd = super::open(pid).ok()?;
    let found = environment(pid).ok()?.split(|byte| *byte == 0).any(|candidate| candidate == entry);
    (found && !super::exited(pidfd.as_fd()).ok()?).then_some(pidfd)
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Where this process's arguments are in memory: (first byte, one past the last).
pub(crate) fn argument_area() -> Option<(usize, usize)> {
    let stat = Stat::read("self")?;
    Some((stat.field(Field::ArgumentsStart)?, stat.field(Field::ArgumentsEnd)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = Stat("7 (a) S 1) (b) S 42 7 7 0 -1 0 0 0 0 0 3 4 0 0 20 0 1 0 99 0".to_owned());
        assert_eq!(stat.field::<u32>(Field::Parent), Some(42));
        assert_eq!(stat.field::<u64>(Field::StartTime), Some(99));
        assert_eq!(stat.field::<u64>(Field::ArgumentsEnd), None);
        assert_eq!(Stat(String::new()).field::<u64>(Field::Parent), None);
    }

    #[test]
    fn this_process_is_seen() {
        let own = std::process::id();
        assert!(exists(own));
        assert!(!exists(0));
        assert!(start_time(own).is_some());
        assert!(describe(own).ends_with(&format!(" ({own})")));
        assert!(cpu_time(own).is_some());
        assert_eq!(boot_id().map(|id| id.len()).ok(), Some(36));
        assert_eq!(start_time(u32::MAX), None);
    }
}
