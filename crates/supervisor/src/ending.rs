//! Stopping without a manager, and the end of the engine.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_core::handover::Event as Step;
use evercrew_sys::{clock, process};
use evercrew_wire::supervisor::Scope;

use crate::engine::Engine;

/// How long the last kill may take before the supervisor leaves without it (a process in an uninterruptible wait).
const LAST_KILL: Duration = Duration::from_secs(2);

/// What was killed with its worker gets so long to be gone, so that it is not taken for something that was left.
const SETTLING: Duration = Duration::from_millis(50);
/// Without an event, until the next look.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Processes that are named in one line.
const MOST_NAMED: usize = 50;

/// Descendants that had left their worker's group, or were nobody's from the start.
#[derive(Debug, Default)]
struct Strays {
    named: BTreeMap<u32, String>,
    more: bool,
}

impl Strays {
    /// Children of ours that are not reaped: their numbers are their own.
    fn kill(&mut self, pids: &[u32]) {
        for pid in pids {
            let Ok(pidfd) = process::open(*pid) else { continue };
            if !self.named.contains_key(pid) && !process::exited(pidfd.as_fd()).unwrap_or(true) {
                if self.named.len() < MOST_NAMED {
                    self.named.insert(*pid, process::describe(*pid));
                } else {
                    self.more = true;
                }
            }
            let _ = process::signal(pidfd.as_fd(), Signal::Kill);
        }
    }

    fn remark(&self) -> Option<String> {
        let named: Vec<&str> = self.named.values().map(String::as_str).collect();
        let more = if self.more { " and more" } else { "" };
        (!named.is_empty()).then(|| format!("ended what had left its worker's group: {}{more}", named.join(", ")))
    }
}

impl Engine {
    pub(crate) fn stop_alone(&mut self) {
        self.say("ERROR no manager acknowledged the stop for 5 s; stopping every worker without one");
        self.hand(Step::StopAsked);
        if let Some(manager) = &self.manager {
            manager.kill();
        }
        self.alone_since = Some(clock::mono());
        if self.quit {
            return self.kill_all();
        }
        for (_, child) in self.children.living() {
            child.signal(child.stop_signal, Scope::Process, None);
        }
    }

    pub(crate) fn stop_alone_further(&mut self) {
        let Some(since) = self.alone_since else { return };
        let now = clock::mono();
        let late = self.children.living().filter(|(_, child)| now >= since.after(child.stop_grace));
        let late: Vec<u64> = late.map(|(worker, _)| worker).collect();
        for worker in late {
            if let Some(child) = self.children.of_mut(worker) {
                child.signal(Signal::Kill, Scope::Group, None);
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
            child.signal(Signal::Kill, Scope::Group, None);
            self.cgroups.kill(worker);
        }
    }

    /// Nothing outlives the engine: workers, their groups, and what left its group but is our descendant all the same
    /// (we are the subreaper, so it is our child by then).
    pub(crate) fn end(&mut self) {
        self.hand(Step::StopAsked);
        self.kill_all();
        if let Some(manager) = &self.manager {
            // Its end of file would wake every wait below.
            let _ = self.epoll.remove(manager.channel.as_fd());
        }
        let (settled, until) = (clock::mono().after(SETTLING), clock::mono().after(LAST_KILL));
        let mut ready = Vec::new();
        let mut ended = Strays::default();
        loop {
            self.reap_all_quietly();
            let manager = self.manager.as_ref().map(|manager| manager.pid);
            let strays: Vec<u32> = process::children_of_self()
                .into_iter()
                .filter(|pid| Some(*pid) != manager && self.children.worker_of(*pid).is_none())
                .collect();
            let now = clock::mono();
            if now >= settled {
                ended.kill(&strays);
            }
            self.cgroups.remove_empty();
            let left = self.cgroups.is_leaving();
            if (!left && strays.is_empty() && self.children.living().next().is_none()) || now >= until {
                break;
            }
            let next = if now < settled { settled } else { until.min(now.after(LOOK_AGAIN)) };
            if self.epoll.wait(&mut ready, Some(next.since(now))).is_err() {
                break;
            }
            while let Ok(Some(_)) = self.signals.read() {}
        }
        if let Some(remark) = ended.remark() {
            self.say(&format!("INFO  {remark}"));
        }
        if let Some(manager) = self.manager.take() {
            manager.end();
        }
        self.cgroups.end();
        self.custody.unbind_all();
        self.premises.give_up();
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
