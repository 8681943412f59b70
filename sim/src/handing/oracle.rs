//! What must hold, whoever fails: judged by actions alone.

use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::handover::{Action, Event, Failure, PROVING, WINDOW};

/// The longest time that a manager has to leave.
const LEAVING: Duration = Duration::from_secs(5);

/// How far a successor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Successor {
    /// It shows what it can.
    Tried,
    /// It was given what the manager left.
    Given,
    /// It has all of it.
    Applied,
}

/// The processes as they must be.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    pub(super) successor: Option<Successor>,
    /// Since when a successor is tried.
    tried: Option<Mono>,
    /// Since when the manager is to leave.
    told_to_leave: Option<Mono>,
    /// Since when it is frozen, and for how long at most.
    pub(super) frozen: Option<(Mono, Duration)>,
    pub(super) manager_lives: bool,
    /// When the last commit was, and that nothing settled it.
    window: Option<Mono>,
    /// Somebody waits for what becomes of a successor.
    asked: bool,
    pub(super) commits: u64,
    pub(super) returns: u64,
}

impl Oracle {
    pub(super) fn new() -> Self {
        Self { manager_lives: true, ..Self::default() }
    }

    /// What an event means, before the machine is told.
    pub(super) fn sees(&mut self, now: Mono, event: Event) {
        match event {
            Event::Left { patience } if self.told_to_leave.is_some() => self.frozen = Some((now, patience)),
            Event::Applied if self.successor == Some(Successor::Given) => self.successor = Some(Successor::Applied),
            Event::SuccessorEnded => self.successor = None,
            Event::ManagerEnded { .. } => self.manager_lives = false,
            _ => {}
        }
    }

    /// Judges what followed from it.
    pub(super) fn judge(&mut self, now: Mono, event: Event, actions: &[Action]) -> Result<(), String> {
        let was_under_way = self.asked;
        for action in actions {
            self.act(now, *action)?;
        }
        match event {
            Event::Asked { .. } if was_under_way && actions != [Action::GoOn(Failure::Busy)] => {
                return Err(format!("a second successor was not refused: {actions:?}"));
            }
            Event::StopAsked if was_under_way && self.asked => return Err("a stop waits for a handover".to_owned()),
            Event::ManagerEnded { by_itself } => self.judge_end(now, by_itself, actions)?,
            _ => {}
        }
        self.judge_times(now)
    }

    fn act(&mut self, now: Mono, action: Action) -> Result<(), String> {
        match action {
            Action::Start if self.successor.is_some() => return Err("two successors at once".to_owned()),
            Action::Start => {
                (self.successor, self.tried, self.asked) = (Some(Successor::Tried), Some(now), true);
            }
            Action::Freeze => (self.told_to_leave, self.tried) = (Some(now), None),
            Action::HandOn if self.frozen.is_none() => return Err("handed on what nobody left".to_owned()),
            Action::HandOn if self.successor.is_none() => return Err("handed on to nobody".to_owned()),
            Action::HandOn => (self.successor, self.told_to_leave) = (Some(Successor::Given), None),
            Action::Commit => {
                if self.successor != Some(Successor::Applied) {
                    return Err(format!("the duty changes hands to one that is {:?}", self.successor));
                }
                if self.frozen.is_none() {
                    return Err("two owners of the duty".to_owned());
                }
                (self.successor, self.frozen, self.asked) = (None, None, false);
                self.window = Some(now);
                self.commits += 1;
            }
            Action::End => (self.successor, self.tried) = (None, None),
            Action::GoOn(Failure::Busy) => {}
            Action::GoOn(_) => {
                (self.frozen, self.told_to_leave, self.tried, self.asked) = (None, None, None, false);
            }
            Action::Return if self.window.take().is_none() => return Err("nobody is left to return to".to_owned()),
            Action::Return => self.returns += 1,
            Action::Settle => self.window = None,
        }
        Ok(())
    }

    fn judge_end(&mut self, now: Mono, by_itself: bool, actions: &[Action]) -> Result<(), String> {
        if self.successor.is_some() {
            return Err("the manager has ended and its successor lives".to_owned());
        }
        (self.frozen, self.told_to_leave, self.tried, self.asked) = (None, None, None, false);
        let returns = actions.contains(&Action::Return);
        if returns && !by_itself {
            return Err("one that was killed is held guilty".to_owned());
        }
        if by_itself && !returns && self.window.is_some_and(|since| now.since(since) < WINDOW) {
            return Err("the one before is not taken back".to_owned());
        }
        Ok(())
    }

    fn judge_times(&self, now: Mono) -> Result<(), String> {
        let over = |since: Option<Mono>, most: Duration| since.is_some_and(|since| now.since(since) > most);
        if over(self.tried, PROVING) {
            return Err("a successor is tried for ever".to_owned());
        }
        if over(self.told_to_leave, LEAVING) {
            return Err("a manager may leave for ever".to_owned());
        }
        if self.frozen.is_some_and(|(since, most)| now.since(since) > most) {
            return Err("a manager is frozen for longer than its successor may take".to_owned());
        }
        if over(self.window, WINDOW) {
            return Err("the one before is kept for ever".to_owned());
        }
        if !self.asked && self.successor.is_some() {
            return Err("a successor that nobody waits for lives".to_owned());
        }
        if !self.asked && self.manager_lives && (self.frozen.is_some() || self.told_to_leave.is_some()) {
            return Err("a manager stays frozen".to_owned());
        }
        Ok(())
    }

    /// After a machine that failed silently: the manager is frozen and nothing is under way.
    pub(super) fn agrees(&self, is_under_way: bool) -> Result<(), String> {
        if self.asked == is_under_way {
            return Ok(());
        }
        Err(format!("somebody waits: {}, something is under way: {is_under_way}", self.asked))
    }
}
