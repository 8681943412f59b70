//! Every process of ours but the manager, with all that is kept for it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use evercrew_core::{Mono, Signal};
use evercrew_sys::spawn::ExecOutcome;
use evercrew_sys::{process, stream};
use evercrew_wire::command_pipe;
use evercrew_wire::supervisor::{Kept, Label, Scope, Worker};

/// One process.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) label: Label,
    pub(crate) pid: u32,
    pub(crate) started: Mono,
    /// Until the program runs.
    pub(crate) exec: Option<ExecOutcome>,
    pub(crate) kept: Vec<(Kept, OwnedFd)>,
    pub(crate) notify_path: Option<PathBuf>,
    /// The last signal sent on a manager's behalf.
    pub(crate) signalled: Option<Signal>,
    pub(crate) stop_signal: Signal,
    pub(crate) stop_grace: Duration,
    /// It was reaped; its entry lives until the manager acknowledges its exit.
    pub(crate) ended: bool,
}

impl Child {
    /// As the inventory tells it.
    pub(crate) fn describe(&self, worker: u64) -> Worker {
        Worker {
            worker,
            label: self.label.clone(),
            pid: self.pid,
            started: self.started.as_nanos(),
            executed: self.exec.is_none(),
            ended: self.ended,
            signalled: self.signalled.map(|signal| signal.name().to_owned()),
            kept: self.kept.iter().map(|(kept, _)| *kept).collect(),
        }
    }

    /// The descriptors that go beside [`Child::describe`].
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.kept.iter().map(|(_, fd)| fd.as_fd()).collect()
    }

    /// Sends a signal, or the word that stands in its place where that can be told, and CONT after it so that a stopped
    /// process can act on it.
    pub(crate) fn signal(&self, signal: Signal, scope: Scope, word: Option<&str>) {
        if !word.is_some_and(|word| self.says(word)) {
            self.send(signal, scope);
        }
        if !matches!(signal, Signal::Stop | Signal::Tstp | Signal::Ttin | Signal::Ttou | Signal::Cont | Signal::Kill) {
            self.send(Signal::Cont, scope);
        }
    }

    /// Whether its command pipe took the word.
    fn says(&self, word: &str) -> bool {
        let pipe = self.kept.iter().find(|(kept, _)| *kept == Kept::Command);
        pipe.is_some_and(|(_, pipe)| stream::send_line(pipe, &command_pipe::line(word)).is_ok())
    }

    /// Sends a signal. A process of ours that is not reaped pins its number, so its group's number is safe as well.
    pub(crate) fn send(&self, signal: Signal, scope: Scope) {
        if self.ended {
            return;
        }
        let Some((_, pidfd)) = self.kept.iter().find(|(kept, _)| *kept == Kept::Pidfd) else { return };
        // ESRCH means that it has just ended: its exit record says so.
        let _ = match scope {
            Scope::Process => process::signal(pidfd.as_fd(), signal),
            Scope::Group => process::signal(pidfd.as_fd(), signal).and(process::signal_group(self.pid, signal)),
        };
    }
}

/// All of them, by worker.
#[derive(Debug, Default)]
pub(crate) struct Children {
    by_worker: BTreeMap<u64, Child>,
    by_pid: BTreeMap<u32, u64>,
}

impl Children {
    pub(crate) fn insert(&mut self, worker: u64, child: Child) {
        self.by_pid.insert(child.pid, worker);
        self.by_worker.insert(worker, child);
    }

    pub(crate) fn of(&self, worker: u64) -> Option<&Child> {
        self.by_worker.get(&worker)
    }

    pub(crate) fn of_mut(&mut self, worker: u64) -> Option<&mut Child> {
        self.by_worker.get_mut(&worker)
    }

    /// The worker whose process this is.
    pub(crate) fn worker_of(&self, pid: u32) -> Option<u64> {
        self.by_pid.get(&pid).copied()
    }

    /// Marks it reaped: its number may be another process's from here on.
    pub(crate) fn ended(&mut self, worker: u64) {
        if let Some(child) = self.by_worker.get_mut(&worker) {
            child.ended = true;
            child.exec = None;
            let pid = child.pid;
            self.forget_number(pid, worker);
        }
    }

    /// The number of one that was reaped may be that of another of ours by now.
    fn forget_number(&mut self, pid: u32, worker: u64) {
        if self.by_pid.get(&pid) == Some(&worker) {
            self.by_pid.remove(&pid);
        }
    }

    pub(crate) fn remove(&mut self, worker: u64) -> Option<Child> {
        let child = self.by_worker.remove(&worker)?;
        self.forget_number(child.pid, worker);
        if let Some(path) = &child.notify_path {
            // A leftover is replaced by the next worker of that name.
            let _ = std::fs::remove_file(path);
        }
        Some(child)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Child)> {
        self.by_worker.iter().map(|(worker, child)| (*worker, child))
    }

    pub(crate) fn living(&self) -> impl Iterator<Item = (u64, &Child)> {
        self.iter().filter(|(_, child)| !child.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(pid: u32) -> Child {
        Child {
            label: Label { name: "web.1".into(), service: "web".into(), slot: 1, generation: 1, epoch: 1 },
            pid,
            started: Mono::from_nanos(0),
            exec: None,
            kept: Vec::new(),
            notify_path: None,
            signalled: None,
            stop_signal: Signal::Term,
            stop_grace: Duration::ZERO,
            ended: false,
        }
    }

    #[test]
    fn a_number_that_came_back_is_the_new_ones() {
        let mut children = Children::default();
        children.insert(1, child(7));
        children.ended(1);
        assert_eq!(children.worker_of(7), None);
        // The exit is acknowledged after what follows from it was done.
        children.insert(2, child(7));
        children.remove(1);
        assert_eq!(children.worker_of(7), Some(2));
        children.ended(2);
        assert_eq!(children.worker_of(7), None);
    }
}
