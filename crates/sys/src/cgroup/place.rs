//! Where cgroups are.

use std::io;
use std::path::{Path, PathBuf};

use super::bound::Controller;

/// The directory of our own cgroup2, below the mount that this process sees.
///
/// # Errors
/// The kernel's; `NotFound` when no cgroup2 is mounted or ours is outside of what is mounted.
pub fn own() -> io::Result<PathBuf> {
    let cgroups = std::fs::read_to_string("/proc/self/cgroup")?;
    find(&cgroups, &mounts()?, None)
}

/// Our own directory in the hierarchy that `controller` has for itself (version 1).
fn own_of(controller: Controller) -> io::Result<PathBuf> {
    let cgroups = std::fs::read_to_string("/proc/self/cgroup")?;
    find(&cgroups, &mounts()?, Some(controller.name()))
}

/// What holds a bound: cgroup2, or the controller with a hierarchy of its own.
pub type Holder = (Option<Controller>, PathBuf);

/// Every directory that the engine of this instance has among the cgroups, whether it was made or not: that of cgroup2
/// first, then those of controllers with a hierarchy of their own.
pub fn bases(instance: &str) -> Vec<Holder> {
    let legacy = Controller::ALL.into_iter().map(|controller| (Some(controller), own_of(controller)));
    std::iter::once((None, own()))
        .chain(legacy)
        .filter_map(|(controller, own)| Some((controller, own.ok()?.join(format!("evercrew-{instance}")))))
        .collect()
}

/// Whether it is the top of the whole tree, which is the machine's and nobody's own.
pub fn is_top(cgroup: &Path) -> bool {
    // The kernel gives every other one a type.
    !cgroup.join("cgroup.type").exists()
}

fn mounts() -> io::Result<String> {
    std::fs::read_to_string("/proc/self/mountinfo")
}

fn find(cgroups: &str, mounts: &str, controller: Option<&str>) -> io::Result<PathBuf> {
    below_mount(cgroups, mounts, controller).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// `controller` is that of a version 1 hierarchy; without one cgroup2 is meant.
fn below_mount(cgroups: &str, mounts: &str, controller: Option<&str>) -> Option<PathBuf> {
    let listed = |list: &str, name: &str| list.split(',').any(|one| one == name);
    let own = cgroups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let meant = controller.map_or(line.starts_with("0::"), |name| listed(controllers, name));
        meant.then_some(path)
    })?;
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut kinds = kind.split(' ');
        let (kind, options) = (kinds.next()?, kinds.nth(1)?);
        let meant = match controller {
            None => kind == "cgroup2",
            Some(name) => kind == "cgroup" && listed(options, name),
        };
        if !meant {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let below = Path::new(own).strip_prefix(root).ok()?;
        Some(Path::new(point).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_is_found_below_the_mount() {
        let hybrid = "31 25 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      32 25 0:28 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
                      40 25 0:36 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        let container = "40 25 0:36 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let found = |cgroups, mounts, controller| {
            below_mount(cgroups, mounts, controller).map(|path| path.display().to_string())
        };
        let own = "4:memory:/x\n2:cpu,cpuacct:/y\n0::/a/b\n";
        assert_eq!(found(own, hybrid, None).as_deref(), Some("/sys/fs/cgroup/unified/a/b"));
        assert_eq!(found(own, hybrid, Some("memory")).as_deref(), Some("/sys/fs/cgroup/memory/x"));
        assert_eq!(found(own, hybrid, Some("cpu")).as_deref(), Some("/sys/fs/cgroup/cpu/y"));
        assert_eq!(found(own, hybrid, Some("pids")), None);
        assert_eq!(found("0::/docker/abc/sub\n", container, None).as_deref(), Some("/sys/fs/cgroup/sub"));
        assert_eq!(found("0::/docker/abc/sub\n", container, Some("memory")), None);
        assert_eq!(found("0::/elsewhere\n", container, None), None);
        assert_eq!(found("4:memory:/x\n", hybrid, None), None);
        assert_eq!(found("0::/\n", "31 25 0:27 / /sys rw - sysfs sysfs rw\n", None), None);
        assert_eq!(found("0::/", "broken - \n", None), None);
    }
}
