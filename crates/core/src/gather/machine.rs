//! One event in, actions out.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Action, Answer, AskId, Disregard, Event, Exit, Plan, Question, TaskId};
use super::fault::Fault;
use super::outcome::{Outcome, Report};
use super::strategy::Verdict;
use super::task::{Asked, Task};
use crate::Mono;
use crate::fault::Faults;
use crate::fleet::WorkerId;

/// How much is kept at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tasks at a time.
    pub tasks: usize,
    /// Questions at a time, of all tasks.
    pub asks: usize,
    /// The longest answer, in bytes.
    pub answer: usize,
    /// How much progress of one question is passed on.
    pub progress: u32,
}

/// Everything that is asked at the time.
#[derive(Debug)]
pub struct Gather<A> {
    pub(super) limits: Limits,
    pub(super) now: Mono,
    pub(super) next: u64,
    pub(super) tasks: BTreeMap<TaskId, Task<A>>,
    /// The open questions, and whose they are.
    pub(super) open: BTreeMap<AskId, (TaskId, WorkerId)>,
    /// The open questions of each worker.
    pub(super) of: BTreeMap<WorkerId, BTreeSet<AskId>>,
    pub(super) deadlines: BTreeSet<(Mono, TaskId)>,
    pub(super) faults: Faults<Fault>,
}

impl<A: Clone> Gather<A> {
    /// One in which nothing is asked. `first` is the number of the first question: above every one that was ever given.
    pub fn new(first: u64, limits: Limits) -> Self {
        Self {
            limits,
            now: Mono::default(),
            next: first,
            tasks: BTreeMap::new(),
            open: BTreeMap::new(),
            of: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            faults: Faults::default(),
        }
    }

    /// Takes in what happened at `now` and adds to `out` what has to be done, in order.
    ///
    /// What is due by then is ended first, so an answer that comes with its deadline is late. A moment before the last one
    /// counts as the last one.
    pub fn handle(&mut self, now: Mono, event: Event<A>, out: &mut Vec<Action<A>>) {
        self.now = self.now.max(now);
        self.end_late(out);
        match event {
            Event::Asked { task, questions, plan } => self.ask(task, &questions, plan, out),
            Event::Unasked { ask, reason } => self.settle(ask, Outcome::Failed { reason, content: None }, out),
            Event::Answered { worker, ask, answer, size } => self.answered((worker, ask), answer, size, out),
            Event::Gone { worker, exit } => self.gone(worker, exit, out),
            Event::Cancelled { task } => self.cancel(task),
            Event::Tick => {}
        }
    }

    /// When the earliest task has to be over, and which it is. After [`handle`](Self::handle) that is later than the
    /// moment handled.
    pub fn deadline(&self) -> Option<(Mono, TaskId)> {
        if self.faults.has(Fault::LatestDeadline) {
            return self.deadlines.last().copied();
        }
        self.deadlines.first().copied()
    }

    /// How many tasks are open.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// How many questions of a worker are open.
    pub fn asks_of(&self, worker: WorkerId) -> usize {
        self.of.get(&worker).map_or(0, BTreeSet::len)
    }

    /// The open questions of a worker.
    pub fn open_of(&self, worker: WorkerId) -> Vec<AskId> {
        self.of.get(&worker).into_iter().flatten().copied().collect()
    }

    /// How many questions are open.
    pub fn asks(&self) -> usize {
        self.open.len()
    }

    fn ask(&mut self, id: TaskId, questions: &[Question], plan: Plan, out: &mut Vec<Action<A>>) {
        let full = self.tasks.len() >= self.limits.tasks
            || self.open.len().saturating_add(questions.len()) > self.limits.asks
            || self.tasks.contains_key(&id);
        if full {
            return out
                .push(Action::Done { task: id, report: Report { verdict: Verdict::Refused, lines: Vec::new() } });
        }
        let mut asked = Vec::with_capacity(questions.len());
        for question in questions {
            let ask = AskId(self.next);
            self.next += 1;
            self.track(ask, id, question.worker);
            asked.push(Asked { ask, question: *question, relayed: 0, outcome: None });
            out.push(Action::Ask { ask, task: id, worker: question.worker, request: question.request });
        }
        self.tasks.insert(id, Task::new(plan, asked));
        if let Some(at) = plan.deadline {
            self.deadlines.insert((at, id));
        }
        self.conclude(id, out);
        self.end_late(out);
    }

    pub(super) fn track(&mut self, ask: AskId, task: TaskId, worker: WorkerId) {
        self.open.insert(ask, (task, worker));
        self.of.entry(worker).or_default().insert(ask);
    }

    fn answered(&mut self, (worker, ask): (WorkerId, AskId), answer: Answer<A>, size: usize, out: &mut Vec<Action<A>>) {
        let Some((task, asked)) = self.open.get(&ask).copied() else {
            let why = if ask.0 < self.next { Disregard::Late } else { Disregard::Unknown };
            self.count_again(ask, &answer);
            return out.push(Action::Disregarded { worker, ask, why });
        };
        if asked != worker && !self.faults.has(Fault::ForeignCounted) {
            return out.push(Action::Disregarded { worker, ask, why: Disregard::Foreign });
        }
        if size > self.limits.answer && !self.faults.has(Fault::OversizedTaken) {
            let most = self.limits.answer;
            let reason = format!("its answer has {size} bytes, more than the {most} that are taken");
            return self.settle(ask, Outcome::Failed { reason, content: None }, out);
        }
        match answer {
            Answer::Progress(content) if self.faults.has(Fault::ProgressEnds) => {
                self.settle(ask, Outcome::Ok(content), out);
            }
            Answer::Progress(content) => {
                let limit = self.limits.progress;
                let Some(asked) = self.tasks.get_mut(&task).and_then(|task| task.asked(ask)) else { return };
                if asked.relayed >= limit {
                    return out.push(Action::Disregarded { worker, ask, why: Disregard::TooMuch });
                }
                asked.relayed += 1;
                out.push(Action::Relay { task, worker, request: asked.question.request, content });
            }
            Answer::Ok(content) => self.settle(ask, Outcome::Ok(content), out),
            Answer::Failed { reason, content } if self.faults.has(Fault::FailureIsOk) => {
                drop(reason);
                self.settle(ask, Outcome::Ok(content), out);
            }
            Answer::Failed { reason, content } => {
                self.settle(ask, Outcome::Failed { reason, content: Some(content) }, out);
            }
        }
    }

    /// Planted: a second answer counts as another worker's.
    fn count_again(&mut self, ask: AskId, answer: &Answer<A>) {
        if !self.faults.has(Fault::DoubleCounted) || !matches!(answer, Answer::Ok(_)) {
            return;
        }
        for task in self.tasks.values_mut() {
            if task.asked(ask).is_some() {
                task.tally.ok += 1;
                task.tally.open = task.tally.open.saturating_sub(1);
            }
        }
    }

    fn gone(&mut self, worker: WorkerId, exit: Exit, out: &mut Vec<Action<A>>) {
        if self.faults.has(Fault::DeathIgnored) {
            return;
        }
        for ask in self.of.get(&worker).cloned().unwrap_or_default() {
            let outcome = match exit {
                Exit::Replaced if self.faults.has(Fault::ReplacedIsDead) => Outcome::Died,
                Exit::Died => Outcome::Died,
                Exit::Replaced => Outcome::Replaced,
            };
            self.settle(ask, outcome, out);
            if self.faults.has(Fault::OneAskADeath) {
                return;
            }
        }
    }

    /// Ends one question, and its task where that was the last thing it needed.
    fn settle(&mut self, ask: AskId, outcome: Outcome<A>, out: &mut Vec<Action<A>>) {
        let Some((id, worker)) = self.forget(ask) else { return };
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let streams = task.plan.streams;
        let Some(asked) = task.asked(ask) else { return };
        let request = asked.question.request;
        if streams {
            out.push(Action::Told { task: id, worker, request, outcome: outcome.clone() });
        }
        asked.outcome = Some(outcome.clone());
        task.tally.add(&outcome);
        self.conclude(id, out);
    }

    fn forget(&mut self, ask: AskId) -> Option<(TaskId, WorkerId)> {
        let (task, worker) = self.open.remove(&ask)?;
        if let Some(asks) = self.of.get_mut(&worker) {
            asks.remove(&ask);
            if asks.is_empty() {
                self.of.remove(&worker);
            }
        }
        Some((task, worker))
    }

    fn conclude(&mut self, id: TaskId, out: &mut Vec<Action<A>>) {
        let Some(task) = self.tasks.get(&id) else { return };
        let mut verdict = task.plan.strategy.verdict(&task.tally);
        if self.faults.has(Fault::NobodyIsSuccess) && verdict == Some(Verdict::Nobody) {
            verdict = Some(Verdict::Ok);
        }
        if let Some(verdict) = verdict {
            self.finish(id, verdict, || Outcome::Unneeded, out);
        }
    }

    fn finish(&mut self, id: TaskId, verdict: Verdict, rest: impl Fn() -> Outcome<A>, out: &mut Vec<Action<A>>) {
        let Some(task) = self.remove(id) else { return };
        if task.plan.streams {
            for (_, Question { worker, request }) in task.open() {
                out.push(Action::Told { task: id, worker, request, outcome: rest() });
            }
        }
        out.push(Action::Done { task: id, report: task.report(verdict, rest) });
    }

    /// Takes a task out with everything that is kept for it.
    fn remove(&mut self, id: TaskId) -> Option<Task<A>> {
        let task = self.tasks.remove(&id)?;
        if let Some(at) = task.plan.deadline {
            self.deadlines.remove(&(at, id));
        }
        let open: Vec<AskId> = task.open().map(|(ask, _)| ask).collect();
        for ask in open {
            self.forget(ask);
        }
        Some(task)
    }

    fn cancel(&mut self, id: TaskId) {
        if !self.faults.has(Fault::CancelForgotten) {
            self.remove(id);
        }
    }

    /// Ends every task whose time is up.
    fn end_late(&mut self, out: &mut Vec<Action<A>>) {
        while let Some((at, id)) = self.deadlines.first().copied() {
            if at > self.now {
                return;
            }
            let Some(task) = self.tasks.get(&id) else {
                self.deadlines.remove(&(at, id));
                continue;
            };
            let mut tally = task.tally;
            (tally.timeout, tally.open) = (tally.timeout + tally.open, 0);
            if self.faults.has(Fault::TimedOutForgotten) {
                tally.timeout = 0;
            }
            let verdict = task.plan.strategy.verdict(&tally).unwrap_or(Verdict::Late);
            self.finish(id, verdict, || Outcome::Timeout, out);
        }
    }
}
