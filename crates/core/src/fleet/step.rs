//! What the parts of a fleet share while one event is handled.

use std::collections::BTreeMap;

use super::fault::Fault;
use super::jitter::Jitter;
use super::schedule::Schedule;
use super::{Action, Notice, Scope, ServiceId, Slot, WorkerId};
use crate::fault::Faults;
use crate::{Mono, Signal, Word};

/// What is not any one service's.
#[derive(Debug)]
pub(super) struct Tools {
    /// The moment being handled.
    pub(super) now: Mono,
    pub(super) schedule: Schedule,
    pub(super) jitter: Jitter,
    pub(super) next_worker: u64,
    /// Where each living worker is.
    pub(super) places: BTreeMap<WorkerId, (ServiceId, Slot)>,
    pub(super) faults: Faults<Fault>,
}

/// One event being handled: the moment, the tools, and where actions go.
pub(super) struct Step<'a> {
    pub(super) now: Mono,
    pub(super) out: &'a mut Vec<Action>,
    pub(super) tools: &'a mut Tools,
}

impl Step<'_> {
    pub(super) fn notice(&mut self, notice: Notice) {
        self.out.push(Action::Notice(notice));
    }

    /// KILL reaches the whole group; every other signal the worker's own process, which passes it on as it sees fit.
    pub(super) fn signal(&mut self, worker: WorkerId, signal: Signal) {
        let scope = if signal == Signal::Kill { Scope::Group } else { Scope::Process };
        self.out.push(Action::Signal { worker, signal, scope, word: None });
    }

    /// The first signal of a stop: a worker that takes words is asked by one.
    pub(super) fn ask(&mut self, worker: WorkerId, signal: Signal, detached: bool) {
        let word = Word::for_stop(signal, detached).filter(|_| !self.planted(Fault::WordForgotten));
        self.out.push(Action::Signal { worker, signal, scope: Scope::Process, word });
    }

    pub(super) fn new_worker(&mut self) -> WorkerId {
        let worker = WorkerId(self.tools.next_worker);
        self.tools.next_worker = self.tools.next_worker.saturating_add(1);
        worker
    }

    pub(super) fn planted(&self, fault: Fault) -> bool {
        self.tools.faults.has(fault)
    }
}
