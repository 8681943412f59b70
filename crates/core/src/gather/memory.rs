//! Plain data from which another gathering goes on: what is handed over while questions are open.

use super::event::{AskId, Plan, Question, TaskId};
use super::fault::Fault;
use super::machine::{Gather, Limits};
use super::outcome::Outcome;
use super::task::{Asked, Task};

/// Everything that is asked at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory<A> {
    /// The number of the next question.
    pub next: u64,
    /// Every open task.
    pub tasks: Vec<TaskMemory<A>>,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskMemory<A> {
    /// Which.
    pub task: TaskId,
    /// How it is carried out.
    pub plan: Plan,
    /// Its questions, in the order in which they were asked.
    pub asks: Vec<AskMemory<A>>,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskMemory<A> {
    /// Which.
    pub ask: AskId,
    /// Whom, and what.
    pub question: Question,
    /// How much of its progress was passed on.
    pub relayed: u32,
    /// What came of it, if anything.
    pub outcome: Option<Outcome<A>>,
}

impl<A: Clone> Gather<A> {
    /// What the next one needs to go on.
    pub fn memory(&self) -> Memory<A> {
        let ask = |asked: &Asked<A>| AskMemory {
            ask: asked.ask,
            question: asked.question,
            relayed: asked.relayed,
            outcome: asked.outcome.clone(),
        };
        let task = |(id, task): (&TaskId, &Task<A>)| TaskMemory {
            task: *id,
            plan: task.plan,
            asks: task.asked.iter().map(ask).collect(),
        };
        Memory { next: self.next, tasks: self.tasks.iter().map(task).collect() }
    }

    /// Goes on from where another was. `first` is as in [`Gather::new`]. Deadlines that passed meanwhile are due at once;
    /// a worker that ended meanwhile has to be told.
    pub fn restore(memory: Memory<A>, first: u64, limits: Limits) -> Self {
        let mut gather = Self::new(first.max(memory.next), limits);
        for TaskMemory { task: id, plan, asks } in memory.tasks {
            let mut asked: Vec<Asked<A>> = Vec::with_capacity(asks.len());
            for AskMemory { ask, question, relayed, outcome } in asks {
                gather.next = gather.next.max(ask.0 + 1);
                if outcome.is_none() {
                    gather.track(ask, id, question.worker);
                }
                asked.push(Asked { ask, question, relayed, outcome });
            }
            asked.sort_by_key(|asked| asked.ask);
            if let Some(at) = plan.deadline {
                gather.deadlines.insert((at, id));
            }
            gather.tasks.insert(id, Task::new(plan, asked));
        }
        gather
    }

    /// Planted right after a restore.
    #[cfg_attr(not(feature = "planted-faults"), allow(dead_code))]
    pub(super) fn forget_some(&mut self, fault: Fault) {
        if fault == Fault::RestoreForgetsDeadlines {
            self.deadlines.clear();
        }
        if fault == Fault::RestoreForgetsNext {
            self.next = self.open.keys().next().map_or(1, |ask| ask.0);
        }
        if fault == Fault::RestoreForgetsWorkers {
            self.of.clear();
        }
    }
}
