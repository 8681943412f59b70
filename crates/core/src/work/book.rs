//! What is owed to the server: results that it has not answered yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::event::{Blame, Claim};
use crate::Mono;

/// After so many refusals a result is given up.
const MOST_REFUSALS: u32 = 200;
/// The first pause after a refusal; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DueId(u64);

#[derive(Clone, Debug)]
pub(super) enum What<F> {
    Done,
    Failed(Blame<F>),
    Refund,
}

/// One result.
#[derive(Debug)]
pub(super) struct Due<J, F> {
    pub(super) claim: Claim,
    pub(super) what: What<F>,
    refusals: u32,
    /// The server waits for it once more under this claim.
    pub(super) again: Option<Claim>,
    /// What follows under the same name once this is answered.
    pub(super) follower: Option<(Claim, Duration, J)>,
}

#[derive(Debug)]
pub(super) struct Book<J, F> {
    dues: BTreeMap<DueId, Due<J, F>>,
    waiting: BTreeSet<DueId>,
    later: BTreeSet<(Mono, DueId)>,
    next: u64,
    followers: usize,
    pub(super) given_up: usize,
}

impl<J, F: Clone> Book<J, F> {
    pub(super) fn new() -> Self {
        Self {
            dues: BTreeMap::new(),
            waiting: BTreeSet::new(),
            later: BTreeSet::new(),
            next: 0,
            followers: 0,
            given_up: 0,
        }
    }

    pub(super) fn owe(&mut self, claim: Claim, what: What<F>) -> DueId {
        let id = DueId(self.next);
        self.next += 1;
        self.dues.insert(id, Due { claim, what, refusals: 0, again: None, follower: None });
        self.waiting.insert(id);
        id
    }

    pub(super) fn get(&self, id: DueId) -> Option<&Due<J, F>> {
        self.dues.get(&id)
    }

    /// The job came once more, and what it came to is known: it is told under this claim.
    pub(super) fn reclaim(&mut self, id: DueId, claim: Claim) {
        let is_waiting = self.waiting.contains(&id);
        match self.dues.get_mut(&id) {
            Some(due) if is_waiting => due.claim = claim,
            Some(due) => due.again = Some(claim),
            None => {}
        }
    }

    /// Another job came under the same name.
    pub(super) fn follow(&mut self, id: DueId, claim: Claim, reserve: Duration, job: J) {
        if let Some(due) = self.dues.get_mut(&id) {
            self.followers += usize::from(due.follower.is_none());
            due.follower = Some((claim, reserve, job));
        }
    }

    /// How many jobs wait for the answer to an older one of their name.
    pub(super) fn followers(&self) -> usize {
        self.followers
    }

    /// Whether it is to be sent, and not under way.
    pub(super) fn is_waiting(&self, id: DueId) -> bool {
        self.waiting.contains(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.dues.len()
    }

    /// The last one that there is, or was.
    pub(super) fn last(&self) -> Option<DueId> {
        self.next.checked_sub(1).map(DueId)
    }

    pub(super) fn first(&self) -> Option<DueId> {
        self.dues.first_key_value().map(|(id, _)| *id)
    }

    /// The next one to send, now that it is sent.
    pub(super) fn take(&mut self) -> Option<(DueId, Claim, What<F>)> {
        let id = self.waiting.pop_first()?;
        let due = self.dues.get(&id)?;
        Some((id, due.claim.clone(), due.what.clone()))
    }

    /// Whether the next one to send is a plain success.
    pub(super) fn next_is_done(&self) -> Option<bool> {
        let id = self.waiting.first()?;
        self.dues.get(id).map(|due| matches!(due.what, What::Done))
    }

    /// It has to be sent again: whether it arrived is not known.
    pub(super) fn unanswered(&mut self, id: DueId) {
        if self.dues.contains_key(&id) {
            self.waiting.insert(id);
        }
    }

    /// It is off the book.
    pub(super) fn remove(&mut self, id: DueId) -> Option<Due<J, F>> {
        self.waiting.remove(&id);
        let due = self.dues.remove(&id)?;
        self.followers -= usize::from(due.follower.is_some());
        Some(due)
    }

    /// It is sent again after a pause; gives it back when it has been refused too often.
    pub(super) fn refused(&mut self, now: Mono, id: DueId) -> Option<Due<J, F>> {
        let due = self.dues.get_mut(&id)?;
        due.refusals += 1;
        if due.refusals > MOST_REFUSALS {
            self.given_up += 1;
            return self.remove(id);
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << due.refusals.min(10)).min(LONGEST_PAUSE);
        self.later.insert((now.after(pause), id));
        None
    }

    /// What was refused is sent again when its time has come.
    pub(super) fn wake(&mut self, now: Mono) {
        while let Some((at, id)) = self.later.first().copied().filter(|(at, _)| *at <= now) {
            self.later.remove(&(at, id));
            self.unanswered(id);
        }
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.later.first().map(|(at, _)| *at)
    }
}
