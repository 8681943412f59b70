//! What the processes of a cgroup may use together, in the words of both versions.

use std::io;
use std::path::Path;

/// The part of the kernel that holds a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Memory.
    Memory,
    /// Processes and threads.
    Pids,
    /// Processor time.
    Cpu,
}

/// Which interface a hierarchy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller.
    One,
    /// One tree for all.
    Two,
}

/// One bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Bytes of memory, what is swapped out not counted. Over it the kernel kills a process.
    Memory(u64),
    /// Processes and threads. Over it a fork fails.
    Pids(u32),
    /// Processor time, in thousandths of a processor. Over it the processes wait.
    Cpu(u32),
}

/// Over what the kernel shares out processor time, in microseconds: its own default.
const PERIOD: u64 = 100_000;
/// The least share that the kernel takes, in microseconds.
const LEAST_QUOTA: u64 = 1_000;

impl Controller {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Pids, Self::Cpu];

    /// The kernel's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
        }
    }
}

impl Bound {
    /// Who holds it.
    pub const fn controller(self) -> Controller {
        match self {
            Self::Memory(_) => Controller::Memory,
            Self::Pids(_) => Controller::Pids,
            Self::Cpu(_) => Controller::Cpu,
        }
    }

    /// Files and what is written to them, in order.
    fn writes(self, version: Version) -> Vec<(&'static str, String)> {
        match (self, version) {
            (Self::Memory(bytes), Version::Two) => vec![("memory.max", bytes.to_string())],
            (Self::Memory(bytes), Version::One) => vec![("memory.limit_in_bytes", bytes.to_string())],
            (Self::Pids(most), Version::One | Version::Two) => vec![("pids.max", most.to_string())],
            (Self::Cpu(share), Version::Two) => vec![("cpu.max", format!("{} {PERIOD}", quota(share)))],
            (Self::Cpu(share), Version::One) => {
                vec![("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota(share).to_string())]
            }
        }
    }
}

fn quota(thousandths: u32) -> u64 {
    (u64::from(thousandths) * PERIOD / 1000).max(LEAST_QUOTA)
}

/// Sets a bound of the cgroup in `directory`.
///
/// # Errors
/// The kernel's: `NotFound` where the controller is not there.
pub fn set(directory: &Path, version: Version, bound: Bound) -> io::Result<()> {
    for (file, text) in bound.writes(version) {
        // Never created: on anything but a cgroup this fails.
        let mut file = std::fs::File::options().write(true).open(directory.join(file))?;
        io::Write::write_all(&mut file, text.as_bytes())?;
    }
    Ok(())
}

/// How many processes of the cgroup in `directory` the kernel has killed for want of memory.
///
/// # Errors
/// The kernel's: `NotFound` where the memory controller is not there.
pub fn oom_kills(directory: &Path, version: Version) -> io::Result<u64> {
    let file = match version {
        Version::One => "memory.oom_control",
        Version::Two => "memory.events",
    };
    let text = std::fs::read_to_string(directory.join(file))?;
    Ok(counted(&text))
}

fn counted(text: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_gets_its_own_words() {
        assert_eq!(Bound::Memory(5).writes(Version::Two), [("memory.max", "5".to_owned())]);
        assert_eq!(Bound::Memory(5).writes(Version::One), [("memory.limit_in_bytes", "5".to_owned())]);
        assert_eq!(Bound::Pids(7).writes(Version::Two), [("pids.max", "7".to_owned())]);
        assert_eq!(Bound::Cpu(1500).writes(Version::Two), [("cpu.max", "150000 100000".to_owned())]);
        let legacy = [("cpu.cfs_period_us", "100000".to_owned()), ("cpu.cfs_quota_us", "1000".to_owned())];
        assert_eq!(Bound::Cpu(1).writes(Version::One), legacy);
        assert_eq!(quota(u32::MAX), 429_496_729_500);
    }

    #[test]
    fn kills_are_counted_in_both_forms() {
        assert_eq!(counted("low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n"), 2);
        assert_eq!(counted("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n"), 4);
        assert_eq!(counted("oom_kill many\n"), 0);
        assert_eq!(counted(""), 0);
    }

    #[test]
    fn no_file_is_made_where_no_cgroup_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let refused = set(directory.path(), Version::Two, Bound::Pids(1)).expect_err("no such file");
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
        assert!(!directory.path().join("pids.max").exists());
    }
}
