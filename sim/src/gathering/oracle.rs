//! What must come of each event, told by the plainest account there is: a list of questions, looked through from the front.

use std::collections::{BTreeMap, BTreeSet};

use evercrew_core::Mono;
use evercrew_core::fleet::WorkerId;
use evercrew_core::gather::{
    Action, Answer, AskId, Event, Exit, Line, Outcome, Plan, Report, Strategy, TaskId, Verdict,
};

/// The longest answer that counts, in bytes.
pub(super) const LONGEST: usize = 1000;

/// One question as the oracle has it.
#[derive(Clone, Debug)]
struct Asked {
    ask: AskId,
    worker: WorkerId,
    request: u32,
    outcome: Option<Outcome<u64>>,
}

/// One task.
#[derive(Clone, Debug)]
struct Task {
    plan: Plan,
    asked: Vec<Asked>,
}

/// The account.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    open: BTreeMap<TaskId, Task>,
    /// Every number that was ever given.
    given: BTreeSet<AskId>,
    /// Tasks that were answered or cancelled.
    over: BTreeSet<TaskId>,
    pub(super) answered: u64,
}

impl Oracle {
    /// Judges what was done about an event.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn judge(&mut self, now: Mono, event: &Event<u64>, actions: &[Action<u64>]) -> Result<(), String> {
        if let Some((id, task)) = self.open.iter().find(|(_, task)| task.plan.deadline.is_some_and(|at| at < now)) {
            return Err(format!("{id:?} with the deadline {:?} was left open until {now:?}", task.plan.deadline));
        }
        let mut expected = BTreeMap::new();
        self.pass(now, &mut expected);
        self.take(event, actions, &mut expected)?;
        self.pass(now, &mut expected);
        self.compare(event, actions, &expected)
    }

    /// What is due is late.
    fn pass(&mut self, now: Mono, expected: &mut BTreeMap<TaskId, Report<u64>>) {
        let due: Vec<TaskId> =
            self.open.iter().filter(|(_, t)| t.plan.deadline.is_some_and(|at| at <= now)).map(|(id, _)| *id).collect();
        for id in due {
            for asked in self.open.get_mut(&id).into_iter().flat_map(|task| &mut task.asked) {
                asked.outcome.get_or_insert(Outcome::Timeout);
            }
            self.end_if_over(id, expected);
        }
    }

    fn take(
        &mut self,
        event: &Event<u64>,
        actions: &[Action<u64>],
        expected: &mut BTreeMap<TaskId, Report<u64>>,
    ) -> Result<(), String> {
        match event {
            Event::Asked { task, questions, plan } => {
                let mut asked = Vec::new();
                for action in actions {
                    let Action::Ask { ask, task: of, worker, request } = action else { continue };
                    if of != task || !self.given.insert(*ask) {
                        return Err(format!("{ask:?} of {of:?} was given before"));
                    }
                    asked.push(Asked { ask: *ask, worker: *worker, request: *request, outcome: None });
                }
                let as_asked = asked.iter().map(|asked| (asked.worker, asked.request));
                if !as_asked.eq(questions.iter().map(|question| (question.worker, question.request))) {
                    return Err(format!("{task:?} was to ask {questions:?}, asked {asked:?}"));
                }
                self.open.insert(*task, Task { plan: *plan, asked });
                self.end_if_over(*task, expected);
            }
            Event::Unasked { ask, reason } => {
                let outcome = Outcome::Failed { reason: reason.clone(), content: None };
                self.end(|asked| asked.ask == *ask, &outcome, expected);
            }
            Event::Answered { worker, ask, answer, size } => {
                let outcome = match answer {
                    _ if *size > LONGEST => Outcome::Failed { reason: "too long".to_owned(), content: None },
                    Answer::Progress(_) => return Ok(()),
                    Answer::Ok(content) => Outcome::Ok(*content),
                    Answer::Failed { reason, content } => {
                        Outcome::Failed { reason: reason.clone(), content: Some(*content) }
                    }
                };
                self.end(|asked| asked.ask == *ask && asked.worker == *worker, &outcome, expected);
            }
            Event::Gone { worker, exit } => {
                let outcome = match exit {
                    Exit::Died => Outcome::Died,
                    Exit::Replaced => Outcome::Replaced,
                };
                self.end(|asked| asked.worker == *worker, &outcome, expected);
            }
            Event::Cancelled { task } => {
                self.open.remove(task);
                self.over.insert(*task);
            }
            Event::Tick => {}
        }
        Ok(())
    }

    fn end(
        &mut self,
        is_it: impl Fn(&Asked) -> bool,
        outcome: &Outcome<u64>,
        expected: &mut BTreeMap<TaskId, Report<u64>>,
    ) {
        for id in self.open.keys().copied().collect::<Vec<_>>() {
            // A task that is over by the first of several needs none of the others.
            while let Some(asked) = self
                .open
                .get_mut(&id)
                .and_then(|task| task.asked.iter_mut().find(|asked| asked.outcome.is_none() && is_it(asked)))
            {
                asked.outcome = Some(outcome.clone());
                self.end_if_over(id, expected);
            }
        }
    }

    fn end_if_over(&mut self, id: TaskId, expected: &mut BTreeMap<TaskId, Report<u64>>) {
        let Some(verdict) = self.open.get(&id).and_then(verdict) else { return };
        let Some(task) = self.open.remove(&id) else { return };
        let line = |asked: Asked| Line {
            worker: asked.worker,
            request: asked.request,
            outcome: asked.outcome.unwrap_or(Outcome::Unneeded),
        };
        expected.insert(id, Report { verdict, lines: task.asked.into_iter().map(line).collect() });
        self.over.insert(id);
    }

    fn compare(
        &mut self,
        event: &Event<u64>,
        actions: &[Action<u64>],
        expected: &BTreeMap<TaskId, Report<u64>>,
    ) -> Result<(), String> {
        let mut told = BTreeSet::new();
        for action in actions {
            match action {
                Action::Done { task, report } => {
                    let Some(wanted) = expected.get(task) else {
                        return Err(format!("{task:?} was answered, and should not be: {report:?}"));
                    };
                    if !told.insert(*task) {
                        return Err(format!("{task:?} was answered twice"));
                    }
                    if !same(wanted, report) {
                        return Err(format!("{task:?} should be {wanted:?}, was {report:?}"));
                    }
                    self.answered += 1;
                }
                Action::Relay { task, worker, content, .. } => {
                    let Event::Answered { worker: by, answer: Answer::Progress(said), .. } = event else {
                        return Err("progress was relayed that nobody made".to_owned());
                    };
                    if (by, said) != (worker, content) || self.over.contains(task) {
                        return Err(format!("progress of {by:?} was relayed to {task:?}"));
                    }
                }
                Action::Told { task, .. } if !self.open.contains_key(task) && !expected.contains_key(task) => {
                    return Err(format!("{task:?} is over and was told of an outcome"));
                }
                Action::Ask { .. } | Action::Told { .. } | Action::Disregarded { .. } => {}
            }
        }
        match expected.keys().find(|task| !told.contains(task)) {
            Some(task) => Err(format!("{task:?} is over and was not answered: {:?}", expected[task])),
            None => Ok(()),
        }
    }

    /// Nothing may be left.
    pub(super) fn end_of_run(&self) -> Result<(), String> {
        match self.open.keys().next() {
            Some(task) => Err(format!("{task:?} was never answered")),
            None => Ok(()),
        }
    }

    pub(super) fn tasks(&self) -> Vec<TaskId> {
        self.open.keys().copied().collect()
    }
}

/// Words are the machine's own.
fn same(wanted: &Report<u64>, report: &Report<u64>) -> bool {
    let alike = |wanted: &Line<u64>, line: &Line<u64>| {
        let outcomes = match (&wanted.outcome, &line.outcome) {
            (Outcome::Failed { content: a, .. }, Outcome::Failed { content: b, .. }) => a == b,
            (a, b) => a == b,
        };
        outcomes && (wanted.worker, wanted.request) == (line.worker, line.request)
    };
    wanted.verdict == report.verdict
        && wanted.lines.len() == report.lines.len()
        && wanted.lines.iter().zip(&report.lines).all(|(wanted, line)| alike(wanted, line))
}

/// Counted anew each time.
fn verdict(task: &Task) -> Option<Verdict> {
    let count =
        |is: fn(&Outcome<u64>) -> bool| task.asked.iter().filter_map(|a| a.outcome.as_ref()).filter(|o| is(o)).count();
    let (asked, open) = (task.asked.len(), task.asked.iter().filter(|asked| asked.outcome.is_none()).count());
    let ok = count(|outcome| matches!(outcome, Outcome::Ok(_)));
    let late = count(|outcome| *outcome == Outcome::Timeout);
    let bad = asked - open - ok - late;
    let wanted = match task.plan.strategy {
        Strategy::All | Strategy::Map => asked,
        Strategy::First => 1,
        Strategy::Quorum(number) => usize::try_from(number.max(1)).unwrap_or(usize::MAX),
    };
    let hears_all = matches!(task.plan.strategy, Strategy::All | Strategy::Map);
    if asked == 0 {
        return Some(Verdict::Nobody);
    }
    if hears_all && open > 0 {
        return None;
    }
    if ok >= wanted {
        return Some(Verdict::Ok);
    }
    if ok + open >= wanted {
        return None;
    }
    if task.plan.strategy == Strategy::Map && ok > 0 {
        return Some(Verdict::Partial);
    }
    Some(if bad == 0 && late > 0 { Verdict::Late } else { Verdict::Failed })
}
