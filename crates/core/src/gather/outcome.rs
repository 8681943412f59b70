//! What came of questions.

use super::strategy::Verdict;
use crate::fleet::WorkerId;

/// The end of one question. There is exactly one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<A> {
    /// The worker did it.
    Ok(A),
    /// It did not, or could not be asked.
    Failed {
        /// Why.
        reason: String,
        /// What it sent along, if anything.
        content: Option<A>,
    },
    /// It said nothing in time.
    Timeout,
    /// It ended before it answered.
    Died,
    /// It was asked to leave before it answered.
    Replaced,
    /// The task was over without it.
    Unneeded,
}

impl<A> Outcome<A> {
    /// As programs read it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::Failed { .. } => "failed",
            Self::Timeout => "timeout",
            Self::Died => "died",
            Self::Replaced => "replaced",
            Self::Unneeded => "unneeded",
        }
    }
}

/// One question with its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<A> {
    /// Who was asked.
    pub worker: WorkerId,
    /// Which request.
    pub request: u32,
    /// What came of it.
    pub outcome: Outcome<A>,
}

/// What came of a task: a line for each question, in the order in which they were asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report<A> {
    /// What the lines amount to.
    pub verdict: Verdict,
    /// One for each question.
    pub lines: Vec<Line<A>>,
}

/// How many questions of a task ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Not ended yet.
    pub open: u32,
    /// Done.
    pub ok: u32,
    /// Not done.
    pub failed: u32,
    /// Nothing was said in time.
    pub timeout: u32,
    /// The worker ended.
    pub died: u32,
    /// The worker was asked to leave.
    pub replaced: u32,
}

impl Tally {
    /// One more of the open ones ended.
    pub(super) fn add<A>(&mut self, outcome: &Outcome<A>) {
        self.open = self.open.saturating_sub(1);
        let count = match outcome {
            Outcome::Ok(_) => &mut self.ok,
            Outcome::Failed { .. } => &mut self.failed,
            Outcome::Timeout => &mut self.timeout,
            Outcome::Died => &mut self.died,
            Outcome::Replaced => &mut self.replaced,
            Outcome::Unneeded => return,
        };
        *count += 1;
    }

    /// How many were asked.
    pub const fn asked(&self) -> u32 {
        self.open + self.ok + self.failed + self.timeout + self.died + self.replaced
    }

    /// How many ended without a success, those that were late apart.
    pub const fn lost(&self) -> u32 {
        self.failed + self.died + self.replaced
    }
}
