//! The machine: processes that live by their scripts, and a queue of what will happen.
//!
//! It stands for the supervisor too: exits are kept until the shell has taken them, and readiness, beats and the like
//! wait in the inbox while the shell is away.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use evercrew_core::fleet::{Epoch, Event, ExitStatus, Generation, ServiceId, Slot, WorkerId};
use evercrew_core::{Mono, Signal};

use crate::program::Script;

/// One process, from the moment the shell asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) service: ServiceId,
    pub(crate) slot: Slot,
    pub(crate) generation: Generation,
    pub(crate) epoch: Epoch,
    pub(crate) script: Script,
    pub(crate) runs: bool,
    pub(crate) ready: bool,
    pub(crate) hung: bool,
    pub(crate) ending: bool,
    /// The signals that reached it.
    pub(crate) signals: u32,
}

/// What will happen at some moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Happening {
    Execs(WorkerId),
    GetsReady(WorkerId),
    Beats(WorkerId),
    Hangs(WorkerId),
    Extends(WorkerId, Duration),
    SaysStopping(WorkerId),
    Ends(WorkerId, ExitStatus),
    /// An operator does something.
    Command,
    /// This event reaches the shell, from an operator.
    Asks(Box<Event>),
    /// The weather turns good.
    Clears,
    /// The engine is asked to stop.
    Shutdown {
        now: bool,
    },
}

/// Every process, and what will happen.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) processes: BTreeMap<WorkerId, Process>,
    /// What reached the shell's descriptors and was not read yet.
    pub(crate) inbox: VecDeque<Event>,
    /// Exits and failed spawns that the shell has not confirmed.
    pub(crate) unconfirmed: Vec<Event>,
    queue: BTreeMap<(Mono, u64), Happening>,
    count: u64,
    /// Loses the next beats, one in so many percent, decided by the caller's draw.
    pub(crate) loses_beats: u64,
    lottery: u64,
}

impl World {
    pub(crate) fn new(loses_beats: u64) -> Self {
        Self { loses_beats, ..Self::default() }
    }

    pub(crate) fn plan(&mut self, at: Mono, happening: Happening) {
        self.count += 1;
        self.queue.insert((at, self.count), happening);
    }

    pub(crate) fn next(&self) -> Option<Mono> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    pub(crate) fn take(&mut self, now: Mono) -> Option<Happening> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// The whole machine stood still: everything comes later.
    pub(crate) fn postpone(&mut self, by: Duration) {
        let queue = std::mem::take(&mut self.queue);
        self.queue = queue.into_iter().map(|((at, count), happening)| ((at.after(by), count), happening)).collect();
    }

    /// The shell makes a process.
    pub(crate) fn spawn(&mut self, now: Mono, worker: WorkerId, process: Process) {
        let at = now.after(process.script.exec);
        self.plan(at, Happening::Execs(worker));
        self.processes.insert(worker, process);
    }

    /// The shell signals a process. One that is gone meanwhile is no harm: it is named by its pidfd.
    pub(crate) fn signal(&mut self, now: Mono, worker: WorkerId, signal: Signal) {
        let Some(process) = self.processes.get_mut(&worker) else { return };
        process.signals += 1;
        let by_signal = ExitStatus::Signal(Some(signal));
        if signal == Signal::Kill {
            let at = now.after(process.script.killed);
            process.hung = true;
            self.plan(at, Happening::Ends(worker, by_signal));
            return;
        }
        let Some(wait) = process.script.stops else { return };
        if process.ending {
            return;
        }
        process.ending = true;
        let status = if process.runs { ExitStatus::Code(0) } else { by_signal };
        self.plan(now.after(wait), Happening::Ends(worker, status));
    }

    /// A process does what its script says. What is no process's happening is given back.
    pub(crate) fn perform(&mut self, now: Mono, happening: Happening) -> Option<Happening> {
        match happening {
            Happening::Execs(worker) => self.exec(now, worker),
            Happening::GetsReady(worker) => self.get_ready(now, worker),
            Happening::Beats(worker) => self.beat(now, worker),
            Happening::Hangs(worker) => {
                if let Some(process) = self.processes.get_mut(&worker) {
                    process.hung = true;
                }
            }
            Happening::Extends(worker, by) => {
                if self.processes.contains_key(&worker) {
                    self.inbox.push_back(Event::Extend { worker, by });
                }
            }
            Happening::SaysStopping(worker) => self.say_stopping(now, worker),
            Happening::Ends(worker, status) => {
                if self.processes.remove(&worker).is_some() {
                    self.report(Event::Exited { worker, status });
                }
            }
            Happening::Command | Happening::Asks(_) | Happening::Clears | Happening::Shutdown { .. } => {
                return Some(happening);
            }
        }
        None
    }

    fn report(&mut self, event: Event) {
        self.unconfirmed.push(event.clone());
        self.inbox.push_back(event);
    }

    fn exec(&mut self, now: Mono, worker: WorkerId) {
        let Some(process) = self.processes.get_mut(&worker) else { return };
        let script = process.script.clone();
        if let Some(transient) = script.fails {
            self.processes.remove(&worker);
            self.report(Event::SpawnFailed { worker, transient });
            return;
        }
        process.runs = true;
        let first = script.ready_first && script.boot.is_some_and(|boot| boot < Duration::from_millis(50));
        if first {
            process.ready = true;
            self.inbox.push_back(Event::Ready { worker });
            self.begin_beats(now, worker, &script);
        }
        self.inbox.push_back(Event::Spawned { worker });
        let at = |after: Duration| now.after(after);
        if let Some(boot) = script.boot.filter(|_| !first) {
            self.plan(at(boot), Happening::GetsReady(worker));
        }
        if let Some(by) = script.extends {
            self.plan(at(by / 3), Happening::Extends(worker, by));
        }
        if let Some((after, status)) = script.dies {
            self.plan(at(after), Happening::Ends(worker, status));
        }
        if let Some((after, _)) = script.bows {
            self.plan(at(after), Happening::SaysStopping(worker));
        }
    }

    fn get_ready(&mut self, now: Mono, worker: WorkerId) {
        let Some(process) = self.processes.get_mut(&worker) else { return };
        process.ready = true;
        let script = process.script.clone();
        self.inbox.push_back(Event::Ready { worker });
        self.begin_beats(now, worker, &script);
    }

    fn begin_beats(&mut self, now: Mono, worker: WorkerId, script: &Script) {
        if let Some(interval) = script.beats {
            self.plan(now.after(interval), Happening::Beats(worker));
            if let Some(after) = script.hangs {
                self.plan(now.after(after), Happening::Hangs(worker));
            }
        }
    }

    fn beat(&mut self, now: Mono, worker: WorkerId) {
        let Some(process) = self.processes.get(&worker) else { return };
        let Some(interval) = process.script.beats.filter(|_| !process.hung) else { return };
        self.lottery = self.lottery.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(now.as_nanos() | 1);
        if (self.lottery >> 33) % 100 >= self.loses_beats {
            self.inbox.push_back(Event::Beat { worker });
        }
        self.plan(now.after(interval), Happening::Beats(worker));
    }

    fn say_stopping(&mut self, now: Mono, worker: WorkerId) {
        let Some(process) = self.processes.get_mut(&worker) else { return };
        if process.ending {
            return;
        }
        self.inbox.push_back(Event::Stopping { worker });
        if let Some((_, Some(ends))) = process.script.bows {
            process.ending = true;
            self.plan(now.after(ends), Happening::Ends(worker, ExitStatus::Code(0)));
        }
    }
}
