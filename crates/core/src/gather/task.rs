//! One task: its questions and what has come of them.

use super::event::{AskId, Plan, Question};
use super::outcome::{Line, Outcome, Report, Tally};
use super::strategy::Verdict;

/// One question of a task.
#[derive(Clone, Debug)]
pub(super) struct Asked<A> {
    pub(super) ask: AskId,
    pub(super) question: Question,
    /// How much of its progress was passed on.
    pub(super) relayed: u32,
    pub(super) outcome: Option<Outcome<A>>,
}

/// What somebody waits for.
#[derive(Clone, Debug)]
pub(super) struct Task<A> {
    pub(super) plan: Plan,
    pub(super) tally: Tally,
    /// By [`AskId`], which grow.
    pub(super) asked: Vec<Asked<A>>,
}

impl<A> Task<A> {
    pub(super) fn new(plan: Plan, asked: Vec<Asked<A>>) -> Self {
        let mut tally = Tally { open: u32::try_from(asked.len()).unwrap_or(u32::MAX), ..Tally::default() };
        for outcome in asked.iter().filter_map(|asked| asked.outcome.as_ref()) {
            tally.add(outcome);
        }
        Self { plan, tally, asked }
    }

    pub(super) fn asked(&mut self, ask: AskId) -> Option<&mut Asked<A>> {
        let index = self.asked.binary_search_by_key(&ask, |asked| asked.ask).ok()?;
        self.asked.get_mut(index)
    }

    /// The questions that nobody has answered.
    pub(super) fn open(&self) -> impl Iterator<Item = (AskId, Question)> + '_ {
        let open = self.asked.iter().filter(|asked| asked.outcome.is_none());
        open.map(|asked| (asked.ask, asked.question))
    }

    /// The whole, whatever is still open ended by `rest`.
    pub(super) fn report(self, verdict: Verdict, rest: impl Fn() -> Outcome<A>) -> Report<A> {
        let line = |asked: Asked<A>| Line {
            worker: asked.question.worker,
            request: asked.question.request,
            outcome: asked.outcome.unwrap_or_else(&rest),
        };
        Report { verdict, lines: self.asked.into_iter().map(line).collect() }
    }
}
