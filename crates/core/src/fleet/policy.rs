//! What a service asks for: the numbers its decisions are made with.

use std::time::Duration;

use super::{Epoch, ServiceId};
use crate::Signal;

/// Everything the fleet must know of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How many slots the configuration asks for. `Scale` overrides it until a `Define` with another number.
    pub workers: u32,
    /// How a worker becomes ready.
    pub ready: Readiness,
    /// How long a worker may take from exec to ready; then it is killed as failed to start.
    pub ready_timeout: Duration,
    /// Supervised from ready on; `None` means that the worker owes no beats.
    pub heartbeat: Option<Heartbeat>,
    /// Which exits are followed by a new start.
    pub restart: Restart,
    /// Exit codes after which the slot is not started again.
    pub unrecoverable_exit_codes: Vec<u8>,
    /// Waiting time between restarts.
    pub backoff: Backoff,
    /// Starts in a window before the slot counts as failed; `None` switches it off.
    pub start_limit: Option<StartLimit>,
    /// How a worker is stopped.
    pub stop: StopLadder,
    /// Least time between two first starts of this service.
    pub start_delay: Duration,
    /// How workers are replaced.
    pub rollout: Rollout,
    /// When a worker is replaced for its age.
    pub recycle: Recycle,
    /// How many commands run to success before the first worker of a generation.
    pub before_start: u32,
    /// Services that must be ready before the first worker of this one starts; it stops before they do.
    pub after: Vec<ServiceId>,
    /// What workers of other versions of the command were told at their start, or will be should a rollout return to
    /// one. A version that is not named goes by `ready` and `heartbeat`.
    pub others: Vec<(Epoch, Terms)>,
}

/// What a worker is told at its start and keeps to: it belongs to a version of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How it becomes ready.
    pub ready: Readiness,
    /// The beats that it owes.
    pub heartbeat: Option<Heartbeat>,
    /// How many commands run before the first of its workers.
    pub before_start: u32,
}

impl Policy {
    /// What a worker of this version goes by.
    pub fn terms(&self, epoch: Epoch) -> Terms {
        let other = self.others.iter().find(|(known, _)| *known == epoch);
        other.map_or(
            Terms { ready: self.ready, heartbeat: self.heartbeat, before_start: self.before_start },
            |(_, terms)| *terms,
        )
    }

    /// A service of `workers` plain commands with the documented defaults.
    pub fn basic(workers: u32) -> Self {
        let term = StopStep {
            signal: Signal::Term,
            repeat: None,
            increment: Duration::ZERO,
            lasting: Some(Duration::from_secs(30)),
        };
        Self {
            workers,
            ready: Readiness::Exec,
            ready_timeout: Duration::from_secs(60),
            heartbeat: None,
            restart: Restart::Always,
            unrecoverable_exit_codes: Vec::new(),
            backoff: Backoff {
                min: Duration::from_millis(100),
                max: Duration::from_secs(30),
                stable: Duration::from_secs(10),
            },
            start_limit: Some(StartLimit { count: 5, within: Duration::from_secs(10), then: GiveUp::Retry }),
            stop: StopLadder { steps: vec![term] },
            start_delay: Duration::ZERO,
            rollout: Rollout::default(),
            recycle: Recycle::default(),
            before_start: 0,
            after: Vec::new(),
            others: Vec::new(),
        }
    }
}

/// How a worker becomes ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// At exec: nothing is known of readiness, so a rollout waits `rollout.settle` before it counts the worker.
    Exec,
    /// When the shell sends `Event::Ready`: notify, a newline on a descriptor, a probe.
    Reported,
}

/// A worker that is silent for `timeout` is killed with `signal`, and KILL follows by the stop ladder's last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Longest silence allowed.
    pub timeout: Duration,
    /// The first signal to a silent worker.
    pub signal: Signal,
}

/// Which exits are followed by a new start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Every one.
    Always,
    /// All but exit code 0.
    OnFailure,
    /// None; one that ended badly leaves its slot failed.
    Never,
}

/// The waiting time between restarts: none for the first after a stable time, then `min`, doubled up to `max`, with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first waiting time.
    pub min: Duration,
    /// The longest waiting time.
    pub max: Duration,
    /// Time in service (ready) after which a worker's next death counts as the first.
    pub stable: Duration,
}

/// `count` starts into an empty slot within `within`, the first one included, and one more death make it failed.
/// Starts for a rollout or a recycling do not count, nor does a try of which no process came for a passing reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartLimit {
    /// Starts allowed.
    pub count: u32,
    /// The window.
    pub within: Duration,
    /// What a failed slot does next.
    pub then: GiveUp,
}

/// What a failed slot does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// One try every `backoff.max`.
    Retry,
    /// Nothing until a person starts it, restarts it or changes its configuration.
    Final,
}

/// The signals of a stop, in order. After the last step KILL is sent to the whole group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopLadder {
    /// Never empty for a graceful stop; an immediate stop skips all of them.
    pub steps: Vec<StopStep>,
}

/// One rung: `signal` at once, again after `repeat`, then after `repeat + increment` and so on, until `lasting` is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopStep {
    /// What is sent.
    pub signal: Signal,
    /// Time to the first repetition; `None` sends it once.
    pub repeat: Option<Duration>,
    /// Added to the waiting time after each repetition.
    pub increment: Duration,
    /// How long this rung lasts; `None` for ever (no later rung is reached).
    pub lasting: Option<Duration>,
}

/// How the workers of a service are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// How many processes above wanted may exist.
    pub surge: u32,
    /// How many of the wanted slots may have no ready worker. Not zero together with `surge == 0`.
    pub unavailable: u32,
    /// How long a new worker must stay ready before the next is replaced. With `Readiness::Exec` nothing else is
    /// known of its readiness.
    pub settle: Duration,
    /// How long the first new worker of a rollout must stay ready before any other is started; `settle` where that is
    /// longer.
    pub prove: Duration,
    /// What a rollout does when a new worker fails.
    pub on_failure: OnFailure,
    /// How long a worker that was replaced may go on with what it has begun, in place of the time of the stop ladder's
    /// first step.
    pub drain: Option<Duration>,
    /// How many generations of replaced workers may drain beside the wanted ones. Where one more begins, the oldest is
    /// ended. With 0 every process counts, so that a rollout waits for those that drain.
    pub draining: u32,
}

impl Default for Rollout {
    fn default() -> Self {
        let settle = Duration::from_secs(2);
        Self { surge: 1, unavailable: 0, settle, prove: settle, on_failure: OnFailure::Stay, drain: None, draining: 0 }
    }
}

/// What a rollout does when a new worker fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It ends: the service stays with the version that serves.
    Stay,
    /// It waits, paused, for somebody who resumes or undoes it.
    Pause,
}

/// When a worker is replaced though nothing is wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recycle {
    /// Age at which it is replaced, replacement first.
    pub age: Option<Duration>,
    /// Each worker's age is shortened by up to this share of it, 0 to 1, so that workers do not leave together.
    pub jitter: f64,
}
