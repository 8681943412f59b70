//! How one process behaves from its start to its end.

use std::time::Duration;

use evercrew_core::Signal;
use evercrew_core::fleet::{ExitStatus, Policy, Readiness};

use crate::plan::Weather;
use crate::random::Random;

/// What the code of a version is like, whatever the weather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Good,
    CannotStart,
    NeverReady,
    DiesAfterReady,
    DiesAtBoot,
}

impl Code {
    pub(crate) const BAD: [Self; 4] = [Self::CannotStart, Self::NeverReady, Self::DiesAfterReady, Self::DiesAtBoot];
}

/// A process's life, decided when it is made.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// From fork to exec.
    pub(crate) exec: Duration,
    /// No process comes of it: whether that is passing.
    pub(crate) fails: Option<bool>,
    /// From exec to ready; `None` for never.
    pub(crate) boot: Option<Duration>,
    /// Asks for more time while it boots.
    pub(crate) extends: Option<Duration>,
    /// It says READY before its exec is reported.
    pub(crate) ready_first: bool,
    /// From exec to its death by itself.
    pub(crate) dies: Option<(Duration, ExitStatus)>,
    /// From exec to saying that it ends, and from there to its end.
    pub(crate) bows: Option<(Duration, Option<Duration>)>,
    /// Between two beats.
    pub(crate) beats: Option<Duration>,
    /// From ready to its last beat.
    pub(crate) hangs: Option<Duration>,
    /// From a stop signal to its end; `None` when it ignores them.
    pub(crate) stops: Option<Duration>,
    /// From KILL to its end.
    pub(crate) killed: Duration,
}

impl Script {
    pub(crate) fn draw(policy: &Policy, code: Code, weather: &Weather, random: &mut Random) -> Self {
        let boots_for = if random.chance(weather.boots_slowly) { (2_000, 20_000) } else { (1, 800) };
        let mut boot = Some(random.millis(boots_for.0, boots_for.1));
        let mut fails = random.chance(weather.fails_to_spawn).then(|| random.chance(70));
        let mut dies = None;
        if random.chance(weather.dies_later) {
            dies = Some((random.millis(500, 60_000), status(random)));
        }
        if random.chance(weather.dies_soon) {
            dies = Some((boot.unwrap_or_default() + Duration::from_millis(200), status(random)));
        }
        if random.chance(weather.never_ready) {
            boot = None;
        }
        let failure = ExitStatus::Code(1);
        match code {
            Code::Good => {}
            Code::CannotStart => fails = Some(false),
            Code::NeverReady => boot = None,
            Code::DiesAtBoot => dies = Some((random.millis(1, 50), failure)),
            Code::DiesAfterReady => {
                dies = Some((boot.unwrap_or_default() + random.millis(1, 1 + settle_millis(policy) / 2), failure));
            }
        }
        if code == Code::NeverReady && policy.ready == Readiness::Exec {
            dies = Some((Duration::from_millis(5), failure));
        }
        Self {
            exec: random.millis(0, 5),
            fails,
            boot,
            extends: random.chance(5).then(|| random.millis(100, 10_000)),
            ready_first: random.chance(10),
            dies,
            bows: random.chance(weather.ends_by_itself).then(|| {
                let ends = random.chance(80).then(|| random.millis(1, 5_000));
                (random.millis(100, 30_000), ends)
            }),
            beats: policy.heartbeat.map(|heartbeat| heartbeat.timeout / 3),
            hangs: random.chance(weather.hangs).then(|| random.millis(0, 30_000)),
            stops: (!random.chance(weather.ignores_stop)).then(|| {
                let long = random.chance(weather.drains_long);
                if long { random.millis(1_000, 40_000) } else { random.millis(1, 400) }
            }),
            killed: if random.chance(weather.sits_in_kernel) {
                random.millis(2_000, 30_000)
            } else {
                random.millis(0, 2)
            },
        }
    }
}

impl Script {
    /// A command that runs before the first worker.
    pub(crate) fn prologue(weather: &Weather, random: &mut Random) -> Self {
        let failed = random.chance(weather.prologue_fails);
        let status = if failed { status(random) } else { ExitStatus::Code(0) };
        let hangs = random.chance(weather.prologue_hangs);
        let lasts = random.millis(1, 1_500);
        Self {
            exec: random.millis(0, 5),
            fails: random.chance(weather.fails_to_spawn).then(|| random.chance(70)),
            boot: None,
            extends: None,
            ready_first: false,
            dies: (!hangs).then_some((lasts, status)),
            bows: None,
            beats: None,
            hangs: None,
            stops: (!random.chance(weather.ignores_stop)).then(|| random.millis(1, 400)),
            killed: random.millis(0, 2),
        }
    }
}

fn settle_millis(policy: &Policy) -> u64 {
    u64::try_from(policy.rollout.settle.as_millis()).unwrap_or(0)
}

fn status(random: &mut Random) -> ExitStatus {
    *random.pick(&[
        ExitStatus::Code(0),
        ExitStatus::Code(1),
        ExitStatus::Code(3),
        ExitStatus::Signal(Some(Signal::Segv)),
        ExitStatus::Signal(Some(Signal::Kill)),
    ])
}
