//! Other views of the kernel to start an engine in: each a command that the engine's own is appended to.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use evercrew_sys::cgroup::{self, Controller};

/// Words that become what follows them, for [`crate::Engine::through`].
pub type View = Vec<&'static str>;

fn works(view: &[&'static str]) -> Option<View> {
    let status = Command::new(view[0]).args(&view[1..]).arg("true").stdin(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success()).then(|| view.to_vec())
}

/// As PID 1 of a process namespace; `None` where that may not be made.
pub fn as_init() -> Option<View> {
    works(&["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--"])
}

/// Without any cgroup; `None` where they cannot be hidden.
pub fn without_cgroups() -> Option<View> {
    works(&["unshare", "--mount", "sh", "-c", "umount -l -a -t cgroup,cgroup2 && exec \"$0\" \"$@\""])
}

/// With a cgroup2 that can be written to, mounted where there is none; `None` where that cannot be had.
pub fn with_cgroup2() -> Option<View> {
    if cgroup::own().is_ok_and(is_writable) {
        return Some(Vec::new());
    }
    let mount = "mount -t cgroup2 none /mnt && mkdir /mnt/probe && rmdir /mnt/probe && exec \"$0\" \"$@\"";
    works(&["unshare", "--mount", "sh", "-c", mount])
}

/// Whether a limit by this controller can be held here: in a hierarchy of its own, or in a cgroup2 that is ours alone.
pub fn can_hold(controller: Controller) -> bool {
    let bases = cgroup::bases("probe");
    let legacy = bases.into_iter().find(|(holder, _)| *holder == Some(controller));
    match legacy.and_then(|(_, base)| base.parent().map(PathBuf::from)) {
        Some(own) => is_writable(own),
        None => false,
    }
}

fn is_writable(cgroup: PathBuf) -> bool {
    let probe = cgroup.join(format!("evercrew-test-{}-{:?}", std::process::id(), std::thread::current().id()));
    std::fs::create_dir(&probe).and_then(|()| std::fs::remove_dir(&probe)).is_ok()
}

/// The directories among the cgroups that the engine of this instance has left.
pub fn cgroups_of(instance: &str) -> Vec<PathBuf> {
    cgroup::bases(instance).into_iter().map(|(_, base)| base).filter(|base| base.exists()).collect()
}
