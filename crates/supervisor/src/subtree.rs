//! The engine's own part of the cgroup2 tree, and the controllers it gives to the workers' cgroups.
//!
//! A cgroup with processes of its own cannot give a controller to those below it, the top of the tree excepted. So
//! where a controller is wanted and our cgroup is ours alone, supervisor and manager move one down, into `engine`
//! beside the workers. Where others are in it, or it is systemd's and not delegated, it is left as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use evercrew_sys::cgroup::{self, Controller};

#[derive(Debug)]
pub(crate) struct Subtree {
    own: PathBuf,
    base: PathBuf,
    /// Supervisor and manager have moved into it.
    engine: Option<PathBuf>,
    /// What our own cgroup gives because of us.
    given: Vec<Controller>,
}

impl Subtree {
    /// `base` is a directory in `own`, our cgroup.
    pub(crate) fn new(own: PathBuf, base: PathBuf) -> Self {
        Self { own, base, engine: None, given: Vec::new() }
    }

    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// Gives a controller to the workers' cgroups. `ours` are the processes beside us that may be in our cgroup.
    ///
    /// # Errors
    /// The kernel's, or why it was not tried.
    pub(crate) fn give(&mut self, controller: Controller, ours: &[u32]) -> io::Result<()> {
        let name = controller.name();
        if !cgroup::offers(&self.own, name) {
            return Err(io::Error::other("our cgroup does not have this controller"));
        }
        if !cgroup::offers(&self.base, name) {
            self.move_down(ours)?;
            cgroup::enable(&self.own, name)?;
            self.given.push(controller);
        }
        cgroup::enable(&self.base, name)
    }

    fn move_down(&mut self, ours: &[u32]) -> io::Result<()> {
        if self.engine.is_some() {
            return Ok(());
        }
        if cgroup::is_top(&self.own) {
            return Err(io::Error::other("our cgroup is the machine's, and does not give this controller"));
        }
        if !cgroup::is_delegated(&self.own) {
            return Err(io::Error::other("our cgroup is systemd's; `Delegate=yes` in the unit gives it to us"));
        }
        let us = std::process::id();
        let members = cgroup::members(cgroup::open(&self.own)?)?;
        if members.iter().any(|pid| *pid != us && !ours.contains(pid)) {
            return Err(io::Error::other("other processes are in our cgroup"));
        }
        let engine = self.base.join("engine");
        fs::create_dir(&engine)?;
        for pid in &members {
            if let Err(error) = cgroup::enter(&engine, *pid) {
                self.move_up(&engine, &members);
                return Err(error);
            }
        }
        self.engine = Some(engine);
        Ok(())
    }

    fn move_up(&self, engine: &Path, members: &[u32]) {
        for pid in members {
            let _ = cgroup::enter(&self.own, *pid);
        }
        let _ = fs::remove_dir(engine);
    }

    /// Leaves our cgroup as it was found; the workers' are gone.
    pub(crate) fn leave(self) {
        for controller in &self.given {
            let _ = cgroup::disable(&self.base, controller.name());
            let _ = cgroup::disable(&self.own, controller.name());
        }
        if let Some(engine) = &self.engine {
            self.move_up(engine, &[std::process::id()]);
        }
    }
}
