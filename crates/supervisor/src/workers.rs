//! Workers as they come and go.

use std::os::fd::{AsFd, OwnedFd};

use evercrew_sys::epoll::Interest;
use evercrew_sys::spawn::{Outcome, SpawnError};
use evercrew_sys::{clock, process};
use evercrew_wire::supervisor::{Spawn, Status, ToManager};

use crate::engine::{Engine, FIRST_WORKER};
use crate::launch::launch;
use crate::outgoing::Beside;

impl Engine {
    pub(crate) fn spawn(&mut self, request: &Spawn, attached: Option<OwnedFd>) {
        let worker = request.worker;
        self.highest_worker = self.highest_worker.max(worker);
        if self.care.alone() || self.children.of(worker).is_some() {
            return;
        }
        let manager = self.manager.as_ref().map(|manager| manager.pid);
        let mut place = self.cgroups.make(worker, request.bounds, manager.as_slice());
        if let Some(remark) = place.remark.take() {
            self.say(&format!("WARN  {remark}"));
        }
        let launched = launch(request, attached, place, &self.custody, clock::mono());
        match launched {
            Ok(child) => {
                let watched = child
                    .exec
                    .as_ref()
                    .map(|exec| self.epoll.add(exec.as_fd(), FIRST_WORKER + worker, Interest::READABLE));
                self.children.insert(worker, child);
                if let Some(Err(_)) = watched {
                    // Without a watch the outcome is read at its exit or with the next record about it.
                    self.exec_outcome(worker);
                }
            }
            Err(error) => {
                self.cgroups.ended(worker);
                self.spawn_failed(worker, &error);
            }
        }
    }

    fn spawn_failed(&mut self, worker: u64, error: &SpawnError) {
        let record = ToManager::SpawnFailed {
            worker,
            step: error.step.name().to_owned(),
            errno: error.errno,
            transient: error.is_transient(),
        };
        self.tell(record, Beside::Nothing);
    }

    pub(crate) fn exec_outcome(&mut self, worker: u64) {
        let Some(child) = self.children.of_mut(worker) else { return };
        let Some(exec) = &child.exec else { return };
        match exec.poll() {
            Outcome::Pending => {}
            Outcome::Executed => {
                let _ = self.epoll.remove(exec.as_fd());
                child.exec = None;
                let record = ToManager::Spawned(child.describe(worker));
                self.tell(record, Beside::Worker(worker));
            }
            Outcome::Failed(error) => {
                let _ = self.epoll.remove(exec.as_fd());
                // The child leaves by itself; it is reaped as one that nobody knows. Its entry stays until the manager has
                // heard of it, so that the inventory does not show it as one that never was.
                self.children.ended(worker);
                self.cgroups.ended(worker);
                self.spawn_failed(worker, &error);
            }
        }
    }

    pub(crate) fn worker_ended(&mut self, worker: u64, status: process::Status, usage: process::Usage, oom_kills: u64) {
        if self.children.of(worker).is_none() {
            return; // Its exec failed, which was told.
        }
        self.children.ended(worker);
        let record = ToManager::Exited {
            worker,
            status: match status {
                process::Status::Code(code) => Status::Code(code),
                process::Status::Signal { number, .. } => Status::Signal(number),
            },
            user_us: usage.user.as_micros().try_into().unwrap_or(u64::MAX),
            system_us: usage.system.as_micros().try_into().unwrap_or(u64::MAX),
            max_rss_kib: usage.max_rss_kib,
            at: clock::mono().as_nanos(),
            oom_kills,
        };
        self.tell(record, Beside::Nothing);
    }
}
