//! What a seed is about: its services, how bad the weather is, and for how long.

use std::time::Duration;

use evercrew_core::Signal;
use evercrew_core::fleet::{
    Backoff, GiveUp, Heartbeat, OnFailure, Policy, Readiness, Recycle, Restart, Rollout, ServiceId, StartLimit,
    StopLadder, StopStep,
};

use crate::random::Random;

/// How often programs and the machine misbehave, in percent of processes unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) fails_to_spawn: u64,
    pub(crate) never_ready: u64,
    pub(crate) boots_slowly: u64,
    pub(crate) dies_soon: u64,
    pub(crate) dies_later: u64,
    pub(crate) hangs: u64,
    /// Of what runs before the first worker.
    pub(crate) prologue_fails: u64,
    pub(crate) prologue_hangs: u64,
    pub(crate) ignores_stop: u64,
    pub(crate) drains_long: u64,
    pub(crate) sits_in_kernel: u64,
    pub(crate) ends_by_itself: u64,
    pub(crate) loses_beats: u64,
    /// Permille of batches after which the shell is killed.
    pub(crate) crashes: u64,
}

impl Weather {
    /// Nothing goes wrong.
    pub(crate) const GOOD: Self = Self {
        fails_to_spawn: 0,
        never_ready: 0,
        boots_slowly: 0,
        dies_soon: 0,
        dies_later: 0,
        hangs: 0,
        prologue_fails: 0,
        prologue_hangs: 0,
        ignores_stop: 0,
        drains_long: 0,
        sits_in_kernel: 0,
        ends_by_itself: 0,
        loses_beats: 0,
        crashes: 0,
    };

    fn draw(random: &mut Random) -> Self {
        let mut some = |most: u64| if random.chance(60) { random.below(most + 1) } else { 0 };
        Self {
            fails_to_spawn: some(15),
            never_ready: some(15),
            boots_slowly: some(20),
            dies_soon: some(40),
            dies_later: some(40),
            hangs: some(15),
            prologue_fails: some(40),
            prologue_hangs: some(20),
            ignores_stop: some(30),
            drains_long: some(60),
            sits_in_kernel: some(5),
            ends_by_itself: some(15),
            loses_beats: some(20),
            crashes: some(30),
        }
    }
}

/// One seed's plan.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) services: Vec<(ServiceId, Policy)>,
    pub(crate) weather: Weather,
    /// How long the weather is bad.
    pub(crate) chaos: Duration,
    /// The mean time between two commands of an operator.
    pub(crate) command_every: Duration,
    /// The engine is stopped while the weather is still bad.
    pub(crate) stops_early: bool,
}

impl Plan {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let count = random.between(1, 4) as u32;
        let services = (1..=count).map(|id| (ServiceId(id), policy(id, random))).collect();
        Self {
            services,
            weather: Weather::draw(random),
            chaos: random.millis(30_000, 240_000),
            command_every: random.millis(500, 15_000),
            stops_early: random.chance(15),
        }
    }
}

/// A policy for the service; it comes after services of lower numbers alone, so there is no circle.
pub(crate) fn policy(id: u32, random: &mut Random) -> Policy {
    let min = random.millis(50, 500);
    let after = (1..id).filter(|_| random.chance(25)).map(ServiceId).collect();
    Policy {
        workers: random.between(0, 6) as u32,
        ready: if random.chance(35) { Readiness::Exec } else { Readiness::Reported },
        ready_timeout: random.millis(2_000, 15_000),
        heartbeat: random.chance(60).then(|| Heartbeat {
            timeout: random.millis(4_000, 20_000),
            signal: if random.chance(70) { Signal::Kill } else { Signal::Abrt },
        }),
        restart: *random.pick(&[Restart::Always, Restart::Always, Restart::Always, Restart::OnFailure, Restart::Never]),
        unrecoverable_exit_codes: if random.chance(25) { vec![3] } else { Vec::new() },
        backoff: Backoff { min, max: min * random.between(1, 100) as u32, stable: random.millis(1_000, 12_000) },
        start_limit: random.chance(75).then(|| StartLimit {
            count: random.between(2, 8) as u32,
            within: random.millis(3_000, 20_000),
            then: if random.chance(80) { GiveUp::Retry } else { GiveUp::Final },
        }),
        stop: ladder(random),
        start_delay: if random.chance(25) { random.millis(50, 2_000) } else { Duration::ZERO },
        rollout: rollout(random),
        recycle: Recycle {
            age: random.chance(30).then(|| random.millis(15_000, 90_000)),
            jitter: random.below(100) as f64 / 100.0,
        },
        before_start: if random.chance(30) { random.between(1, 3) as u32 } else { 0 },
        after,
        others: Vec::new(),
    }
}

fn rollout(random: &mut Random) -> Rollout {
    let (surge, unavailable) = *random.pick(&[(1, 0), (1, 0), (2, 0), (3, 0), (0, 1), (0, 2), (1, 1), (2, 1)]);
    let settle = if random.chance(10) { Duration::ZERO } else { random.millis(100, 4_000) };
    Rollout {
        surge,
        unavailable,
        settle,
        prove: if random.chance(50) { settle } else { settle + random.millis(100, 6_000) },
        on_failure: if random.chance(30) { OnFailure::Pause } else { OnFailure::Stay },
        drain: random.chance(40).then(|| random.millis(500, 30_000)),
        draining: *random.pick(&[0, 0, 1, 1, 2]),
    }
}

fn ladder(random: &mut Random) -> StopLadder {
    let signals = [Signal::Term, Signal::Int, Signal::Quit];
    let steps = (0..random.between(1, 3)).map(|index| StopStep {
        signal: signals[index as usize],
        repeat: random.chance(30).then(|| random.millis(200, 2_000)),
        increment: random.millis(0, 500),
        lasting: Some(random.millis(500, 8_000)),
    });
    StopLadder { steps: steps.collect() }
}
