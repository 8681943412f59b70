//! Stopping without a manager, and the end of the engine.

use std::os::fd::AsFd;
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_sys::{clock, process};
use evercrew_wire::supervisor::Scope;

use crate::engine::Engine;

/// How long the last kill may take before the supervisor leaves without it (a process in an uninterruptible wait).
const LAST_KILL: Duration = Duration::from_secs(2);

impl Engine {
    pub(crate) fn stop_alone(&mut self) {
        self.say("ERROR no manager acknowledged the stop for 5 s; stopping every worker without one");
        if let Some(manager) = &self.manager {
            manager.kill();
        }
        self.alone_since = Some(clock::mono());
        if self.quit {
            return self.kill_all();
        }
        for (_, child) in self.children.living() {
            child.signal(child.stop_signal, Scope::Process);
        }
    }

    pub(crate) fn stop_alone_further(&mut self) {
        let Some(since) = self.alone_since else { return };
        let now = clock::mono();
        let late = self.children.living().filter(|(_, child)| now >= since.after(child.stop_grace));
        let late: Vec<u64> = late.map(|(worker, _)| worker).collect();
        for worker in late {
            if let Some(child) = self.children.of_mut(worker) {
                child.signal(Signal::Kill, Scope::Group);
                child.signalled = Some(Signal::Kill);
                self.cgroups.kill(worker);
            }
        }
        if self.children.living().next().is_none() {
            self.exit = Some(0);
        }
    }

    pub(crate) fn kill_all(&self) {
        for (worker, child) in self.children.living() {
            child.signal(Signal::Kill, Scope::Group);
            self.cgroups.kill(worker);
        }
    }

    /// Nothing outlives the engine: workers, their groups, and what left its group but is our descendant all the same
    /// (we are the subreaper, so it is our child by then).
    pub(crate) fn end(&mut self) {
        self.kill_all();
        if let Some(manager) = &self.manager {
            // Its end of file would wake every wait below.
            let _ = self.epoll.remove(manager.channel.as_fd());
        }
        let until = clock::mono().after(LAST_KILL);
        let mut ready = Vec::new();
        loop {
            self.reap_all_quietly();
            let manager = self.manager.as_ref().map(|manager| manager.pid);
            let strays: Vec<u32> = process::children_of_self()
                .into_iter()
                .filter(|pid| Some(*pid) != manager && self.children.worker_of(*pid).is_none())
                .collect();
            for pid in &strays {
                // A child of ours that is not reaped: its number is its own.
                let _ = process::open(*pid).and_then(|pidfd| process::signal(pidfd.as_fd(), Signal::Kill));
            }
            self.cgroups.remove_empty();
            let now = clock::mono();
            let left = self.cgroups.is_leaving();
            if (!left && strays.is_empty() && self.children.living().next().is_none()) || now >= until {
                break;
            }
            if self.epoll.wait(&mut ready, Some(until.since(now).min(Duration::from_millis(50)))).is_err() {
                break;
            }
            while let Ok(Some(_)) = self.signals.read() {}
        }
        if let Some(manager) = self.manager.take() {
            manager.end();
        }
        self.cgroups.end();
        self.custody.unbind_all();
        let _ = std::fs::remove_dir(self.directory.join("notify"));
    }

    fn reap_all_quietly(&mut self) {
        while let Ok(Some(pid)) = process::peek_exited() {
            if let Some(worker) = self.children.worker_of(pid) {
                let _ = process::signal_group(pid, Signal::Kill);
                self.cgroups.ended(worker);
                self.children.ended(worker);
            }
            if self.manager.as_ref().is_some_and(|manager| manager.pid == pid) {
                self.manager = None;
            }
            let _ = process::reap(pid);
        }
    }
}
