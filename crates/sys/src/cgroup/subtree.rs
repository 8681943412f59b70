//! Controllers for the cgroups below one of cgroup2.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Whether the cgroup may give `controller` to those below it.
pub fn offers(cgroup: &Path, controller: &str) -> bool {
    listed(&cgroup.join("cgroup.controllers"), controller)
}

/// Gives `controller` to the cgroups below. With processes of its own no cgroup but the top of the tree can.
///
/// # Errors
/// The kernel's: `ResourceBusy` where it has processes of its own.
pub fn enable(cgroup: &Path, controller: &str) -> io::Result<()> {
    let file = cgroup.join("cgroup.subtree_control");
    if listed(&file, controller) {
        return Ok(());
    }
    fs::File::options().write(true).open(file)?.write_all(format!("+{controller}").as_bytes())
}

/// Takes `controller` back from the cgroups below.
///
/// # Errors
/// The kernel's: `ResourceBusy` where one below gives it further.
pub fn disable(cgroup: &Path, controller: &str) -> io::Result<()> {
    let file = cgroup.join("cgroup.subtree_control");
    fs::File::options().write(true).open(file)?.write_all(format!("-{controller}").as_bytes())
}

/// Moves the process with that number into the cgroup.
///
/// # Errors
/// The kernel's.
pub fn enter(cgroup: &Path, pid: u32) -> io::Result<()> {
    fs::File::options().write(true).open(cgroup.join("cgroup.procs"))?.write_all(pid.to_string().as_bytes())
}

fn listed(file: &Path, controller: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.split_ascii_whitespace().any(|one| one == controller))
}

/// Whether what is below is ours to arrange. A unit of systemd is systemd's, unless it was delegated; systemd marks
/// those. Any other cgroup that we may write to was given to us, as to a container.
pub fn is_delegated(cgroup: &Path) -> bool {
    let is_unit = cgroup
        .components()
        .filter_map(|part| part.as_os_str().to_str())
        .any(|part| [".service", ".scope", ".slice"].iter().any(|kind| part.ends_with(kind)));
    // A delegated unit may have cgroups of its own below, one of which is ours.
    !is_unit || cgroup.ancestors().any(is_marked)
}

fn is_marked(cgroup: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0; 8];
        let length = rustix::fs::getxattr(cgroup, *name, &mut value);
        length.is_ok_and(|length| value.get(..length) == Some(b"1"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_of_systemd_is_left_alone_unless_it_is_marked() {
        assert!(is_delegated(Path::new("/sys/fs/cgroup")));
        assert!(is_delegated(Path::new("/sys/fs/cgroup/docker/abc")));
        assert!(!is_delegated(Path::new("/sys/fs/cgroup/system.slice/web.service")));
        assert!(!is_delegated(Path::new("/sys/fs/cgroup/user.slice/user-0.slice/session-1.scope")));
    }

    #[test]
    fn a_controller_is_asked_for_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str| directory.path().join(name);
        fs::write(file("cgroup.controllers"), "cpu memory\n").expect("write");
        fs::write(file("cgroup.subtree_control"), "memory\n").expect("write");
        assert!(offers(directory.path(), "memory") && !offers(directory.path(), "mem"));
        enable(directory.path(), "memory").expect("it is there");
        assert_eq!(fs::read_to_string(file("cgroup.subtree_control")).ok().as_deref(), Some("memory\n"));
        enable(directory.path(), "cpu").expect("written");
        assert_eq!(fs::read_to_string(file("cgroup.subtree_control")).ok().as_deref(), Some("+cpury\n"));
    }
}
