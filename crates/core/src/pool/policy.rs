//! What a pool goes by.

use std::collections::BTreeMap;
use std::time::Duration;

use super::job::Kind;
use crate::Signal;
use crate::fleet::{Policy as Crew, Readiness, Recycle, Restart, StopLadder, StopStep};

/// The numbers that a pool decides with.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How children are started, replaced and stopped. The time of the first step of `stop` is how long a child that is to
    /// leave may go on with what it has in hand. Children always report readiness and are always started again.
    pub crew: Crew,
    /// How many jobs may wait.
    pub waiting: usize,
    /// How long a child may have a job in hand.
    pub timeout: Duration,
    /// How much of the children's time a kind gets while others wait too, 1 where none is named.
    pub weights: BTreeMap<Kind, u32>,
    /// After so long a child that has said nothing is taken for one that only answers; `None` insists on a first line.
    pub plain_after: Option<Duration>,
    /// The most jobs that a child may have in hand, whatever it says.
    pub in_hand: u32,
    /// A child that writes anything that is no answer is ended.
    pub strict: bool,
    /// How long a child that was asked to cancel a job may take.
    pub cancel_grace: Duration,
    /// How long a child whose input was closed may take to end.
    pub leave: Duration,
    /// For how long a job is throttled when its child does not say.
    pub throttle: Duration,
    /// How long a child that answers without an id gets nothing new after an answer: a line too many shows by then.
    pub doubt: Duration,
    /// After how many jobs a child is replaced.
    pub jobs: Option<u32>,
    /// After how long without a job a child is replaced that has had one.
    pub idle: Option<Duration>,
    /// How often a job may be handed out again that died unbegun with its child.
    pub returns: u32,
    /// How many children a job may end before it is not tried again.
    pub poison: u32,
}

impl Policy {
    /// A pool of `children` with the documented defaults.
    pub fn basic(children: u32) -> Self {
        let grace = StopStep {
            signal: Signal::Term,
            repeat: None,
            increment: Duration::ZERO,
            lasting: Some(Duration::from_secs(30)),
        };
        Self {
            crew: Crew {
                ready: Readiness::Reported,
                restart: Restart::Always,
                stop: StopLadder { steps: vec![grace] },
                recycle: Recycle { age: None, jitter: 0.5 },
                ..Crew::basic(children)
            },
            waiting: 1024,
            timeout: Duration::from_secs(600),
            weights: BTreeMap::new(),
            plain_after: Some(Duration::from_secs(1)),
            in_hand: 1024,
            strict: false,
            cancel_grace: Duration::from_secs(5),
            leave: Duration::from_secs(5),
            throttle: Duration::from_secs(60),
            doubt: Duration::from_millis(2),
            jobs: None,
            idle: None,
            returns: 3,
            poison: 3,
        }
    }

    /// What holds whatever the shell sets.
    pub(super) fn checked(mut self) -> Self {
        self.crew.ready = Readiness::Reported;
        self.crew.restart = Restart::Always;
        self.crew.before_start = 0;
        self.in_hand = self.in_hand.max(1);
        self.poison = self.poison.max(1);
        self
    }
}
