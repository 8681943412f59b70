//! What `workers = "auto"` means where a cgroup allows less than the machine has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use evercrew_config::Source;

const ASKED: &str = "EVERCREW_TEST_CPUS";

/// A cgroup of this test, removed at its end.
struct Group(PathBuf);

impl Group {
    /// A group in which one processor's time may be used; nothing where that cannot be made.
    fn of_one_processor() -> Option<Self> {
        let name = format!("evercrew-test-{}", std::process::id());
        let v1 = Path::new("/sys/fs/cgroup/cpu");
        let (root, quota, text) = if v1.join("cpu.cfs_quota_us").exists() {
            (v1, "cpu.cfs_quota_us", "100000")
        } else {
            (Path::new("/sys/fs/cgroup"), "cpu.max", "100000 100000")
        };
        let group = Self(root.join(name));
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join(quota), text).ok()?;
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_quota_of_one_processor_is_one_worker() {
    if std::env::var_os(ASKED).is_some() {
        let source = Source::new(
            "/x.toml".into(),
            "[service.web]\ncommand = [\"a\"]\nworkers = \"auto\"\n".into(),
            Vec::new(),
            std::iter::empty(),
            None,
        );
        let settings = source.parse().expect("good");
        assert_eq!(settings.services[0].policy.workers, 1, "of {} processors", source.cpus);
        return;
    }
    let Some(group) = Group::of_one_processor() else {
        println!("SKIP no group with a quota can be made in /sys/fs/cgroup");
        return;
    };
    let test = std::env::current_exe().expect("this program");
    let status = Command::new("sh")
        .args(["-c", "echo $$ > \"$1/cgroup.procs\" && exec \"$0\" --exact a_quota_of_one_processor_is_one_worker"])
        .arg(test)
        .arg(&group.0)
        .env(ASKED, "1")
        .status()
        .expect("a shell");
    assert!(status.success(), "the test in the group: {status}");
}
