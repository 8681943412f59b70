//! What children are like, and what they make of a job.

use std::time::Duration;

use evercrew_core::pool::{Introduction, Policy, Reply};

use crate::random::Random;

/// A child's character.
#[derive(Clone, Copy, Debug)]
pub(super) struct Temper {
    /// From exec to its first line, or to being able to work.
    pub(super) boot: Duration,
    /// It dies instead of getting there.
    pub(super) broken: bool,
    pub(super) speaks: Option<Introduction>,
    /// Its answers carry ids.
    pub(super) names: bool,
    /// It does not end when its input is closed.
    pub(super) stays: bool,
}

/// What a child does with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Answer(Reply),
    /// As that, and once more.
    Twice(Reply),
    /// For another job.
    Stranger,
    Noise(Reply),
    Garbage,
    Nothing,
    Die,
}

impl Temper {
    pub(super) fn draw(random: &mut Random, good: bool) -> Self {
        let speaks = random.chance(60).then(|| Introduction {
            protocol: if !good && random.chance(3) { 2 } else { 1 },
            concurrency: u32::try_from(if random.chance(50) { 1 } else { random.between(0, 6) }).unwrap_or(1),
            starts: random.chance(50),
            cancels: random.chance(50),
        });
        let speaks = speaks.map(|said| Introduction { concurrency: said.concurrency.max(u32::from(good)), ..said });
        Self {
            boot: random.millis(0, if good { 500 } else { 3000 }),
            broken: !good && random.chance(15),
            speaks,
            names: speaks.is_some() || random.chance(60),
            stays: !good && random.chance(10),
        }
    }
}

impl Deed {
    pub(super) fn draw(random: &mut Random, good: bool) -> Self {
        if good {
            return Self::Answer(Reply::Ok);
        }
        let reply = match random.below(12) {
            0 => Reply::Error,
            1 => Reply::Throttled(random.chance(50).then(|| random.millis(1, 5000))),
            2 => Reply::Discard,
            3 => Reply::Unknown,
            _ => Reply::Ok,
        };
        match random.below(40) {
            0 => Self::Twice(reply),
            1 => Self::Stranger,
            2 => Self::Garbage,
            3 => Self::Nothing,
            4 | 5 => Self::Die,
            6 => Self::Noise(reply),
            _ => Self::Answer(reply),
        }
    }
}

/// What a pool goes by in a run.
pub(super) fn policy(random: &mut Random) -> Policy {
    let children = u32::try_from(random.between(0, 5)).unwrap_or(1).max(1);
    let mut policy = Policy::basic(children);
    policy.waiting = usize::try_from(random.between(0, 40)).unwrap_or(0);
    policy.timeout = random.millis(500, 3000);
    policy.strict = random.chance(20);
    policy.cancel_grace = random.millis(0, 500);
    policy.leave = random.millis(50, 500);
    policy.jobs = random.chance(40).then(|| u32::try_from(random.between(1, 30)).unwrap_or(1));
    policy.idle = random.chance(40).then(|| random.millis(500, 5000));
    policy.plain_after = (!random.chance(10)).then(|| random.millis(0, 1000));
    policy.weights = [(kind(0), 1), (kind(1), u32::try_from(random.between(1, 10)).unwrap_or(1))].into();
    policy.crew.ready_timeout = Duration::from_secs(5);
    policy.crew.backoff.max = Duration::from_secs(2);
    policy.crew.rollout.settle = Duration::from_millis(200);
    policy.crew.rollout.prove = Duration::from_millis(200);
    policy.crew.stop.steps[0].lasting = Some(random.millis(500, 5000));
    policy
}

/// Kind by number.
pub(super) fn kind(number: u32) -> evercrew_core::pool::Kind {
    evercrew_core::pool::Kind(number)
}
