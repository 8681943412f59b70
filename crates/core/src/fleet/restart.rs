//! What an empty slot does after a death nobody asked for: backoff, start limit, restart policy.
//!
//! - The first restart is immediate; from the second death on without a stable time in service the wait is
//!   `backoff.min`, doubled up to `backoff.max`, spread by a quarter so that equal slots do not start together. The
//!   spread is upwards, but downwards where it would pass `max`: a wait is never outside `min..=max`.
//! - Only a death after `backoff.stable` *ready* begins anew: a program that dies 0.2 s after being ready still waits.
//! - `start_limit` counts every start into an empty slot, the first one included, so no window ever holds more than
//!   `count`. Starts for a rollout or a recycling are not counted: they happen because somebody asked.
//! - A start of which no process came for want of something transient backs off, but does not count: there was no
//!   start, and a slot must not be given up because the machine was full for a moment.

use std::time::Duration;

use super::fault::Fault;
use super::jitter::Jitter;
use super::phase::End;
use super::step::Step;
use super::{Backoff, ExitStatus, GiveUp, Notice, Policy, Restart, ServiceId, Slot, SlotMemory, Standing};
use crate::Mono;

/// The least wait after a start of which no process came.
const AFTER_STILLBORN: Duration = Duration::from_millis(100);

/// Starts remembered per slot, whatever the configured count: memory stays bounded.
const MOST_STARTS: usize = 1000;

impl SlotMemory {
    /// A slot that never had a process.
    pub(super) fn new(now: Mono) -> Self {
        Self {
            generation: 0,
            restarts: 0,
            last_exit: None,
            standing: Standing::Open,
            since: now,
            failures: 0,
            starts: Vec::new(),
            tripped: false,
            fell: false,
            spared: false,
            untried: true,
            served: false,
            renew: None,
            replace_after: None,
            workers: Vec::new(),
        }
    }

    /// Backoff and start limit begin anew; a slot that waits or failed is open.
    pub(super) fn clear(&mut self, now: Mono) {
        self.stand(Standing::Open, now);
        self.failures = 0;
        self.starts.clear();
        self.tripped = false;
        self.fell = false;
        self.spared = false;
        self.replace_after = None;
    }

    /// The engine itself emptied the slot: it is started anew, and that start does not count.
    pub(super) fn spare(&mut self, now: Mono) {
        self.stand(Standing::Open, now);
        self.spared = true;
    }

    /// As if it had become wanted just now.
    pub(super) fn renew_life(&mut self, now: Mono) {
        self.clear(now);
        self.untried = true;
        self.served = false;
        self.renew = None;
    }

    pub(super) fn stand(&mut self, standing: Standing, now: Mono) {
        if self.standing != standing {
            self.standing = standing;
            self.since = now;
        }
    }

    /// A start into the empty slot. The limit does not count what a rollout or a recycling has emptied.
    pub(super) fn started(&mut self, on_trial: bool, policy: &Policy, now: Mono) {
        let counted = !self.spared && !on_trial;
        self.spared = false;
        self.restarts = self.restarts.saturating_add(u32::from(self.fell));
        self.fell = false;
        self.untried = false;
        self.stand(Standing::Open, now);
        let most = policy.start_limit.map_or(0, |limit| limit.count as usize).min(MOST_STARTS);
        if counted && most > 0 {
            if self.starts.len() >= most {
                self.starts.remove(0);
            }
            self.starts.push(now);
        }
    }

    /// The start at `asked` never was one: the next counts as it would have.
    pub(super) fn forget_start(&mut self, asked: Mono) {
        if self.starts.last() == Some(&asked) {
            self.starts.pop();
        } else {
            self.spared = true;
        }
    }

    /// The slot's worker, which was asked for at `asked` and ready since `ready`, ended unasked.
    pub(super) fn fall(&mut self, policy: &Policy, ready: Option<Mono>, how: End, step: &mut Step<'_>) {
        let now = step.now;
        if let Some(standing) = ended_for_good(policy, how) {
            self.stand(standing, now);
            return;
        }
        let stable = ready
            .is_some_and(|at| now.since(at) >= policy.backoff.stable || step.planted(Fault::ShortLifeResetsBackoff));
        if stable {
            self.clear(now);
        }
        self.fell = true;
        let transient = matches!(how, End::Stillborn { transient: true });
        let standing = match self.at_limit(policy, transient, step) {
            Some(retry) => Standing::Failed { retry },
            None => match self.wait_after(how, policy.backoff, step) {
                Duration::ZERO => Standing::Open,
                wait => Standing::Backoff { until: now.after(wait) },
            },
        };
        self.stand(standing, now);
    }

    /// Where no process came of a start, nothing outside slows the next one down: it waits whatever the policy says.
    fn wait_after(&mut self, how: End, backoff: Backoff, step: &mut Step<'_>) -> Duration {
        let wait = self.wait(backoff, step);
        match how {
            End::Stillborn { .. } if !step.planted(Fault::NoBackoff) => wait.max(AFTER_STILLBORN),
            End::Stillborn { .. } | End::Exited(_) | End::Doomed => wait,
        }
    }

    /// A replacement for age failed; the old worker stays, and the next try waits.
    pub(super) fn replacement_failed(&mut self, backoff: Backoff, step: &mut Step<'_>) {
        self.failures = self.failures.max(1);
        let wait = self.wait(backoff, step);
        self.replace_after = Some(step.now.after(wait));
    }

    /// When a slot that reached its start limit is tried again; `None` when it did not reach it.
    fn at_limit(&mut self, policy: &Policy, transient: bool, step: &mut Step<'_>) -> Option<Option<Mono>> {
        let now = step.now;
        let limit = policy.start_limit?;
        self.starts.retain(|at| now.since(*at) < limit.within);
        let reached = self.starts.len() >= (limit.count as usize).min(MOST_STARTS) && !transient;
        if !(self.tripped || reached) || step.planted(Fault::StartLimitIgnored) {
            return None;
        }
        self.tripped = true;
        let max = policy.backoff.max.max(policy.backoff.min);
        // Never more often than once every `max`.
        let wait = max.saturating_add(step.tools.jitter.up_to(max, 10));
        match limit.then {
            GiveUp::Retry => Some(Some(now.after(wait))),
            GiveUp::Final => Some(None),
        }
    }

    /// The wait that follows one more failure.
    fn wait(&mut self, backoff: Backoff, step: &mut Step<'_>) -> Duration {
        let wait = waiting_time(backoff, self.failures, &mut step.tools.jitter);
        self.failures = self.failures.saturating_add(1);
        if step.planted(Fault::NoBackoff) { Duration::ZERO } else { wait }
    }
}

impl Standing {
    /// Tells what an empty slot does next, where it is not started at once.
    pub(super) fn tell(self, service: ServiceId, slot: Slot, step: &mut Step<'_>) {
        match self {
            Self::Open | Self::Finished => {}
            Self::Backoff { until } => step.notice(Notice::SlotBackoff { service, slot, wait: until.since(step.now) }),
            Self::Failed { retry } => {
                let retry = retry.map(|at| at.since(step.now));
                step.notice(Notice::SlotFailed { service, slot, retry });
            }
        }
    }
}

/// How an end is answered that is not followed by a start.
fn ended_for_good(policy: &Policy, how: End) -> Option<Standing> {
    let failed = Some(Standing::Failed { retry: None });
    match (how, policy.restart) {
        (End::Exited(ExitStatus::Code(code)), _) if policy.unrecoverable_exit_codes.contains(&code) => failed,
        (End::Exited(ExitStatus::Code(0)), Restart::OnFailure | Restart::Never) => Some(Standing::Finished),
        // What did not end well, or not by itself, has not finished.
        (End::Exited(_) | End::Stillborn { transient: false } | End::Doomed, Restart::Never) => failed,
        (End::Stillborn { transient: true }, Restart::Never) => None,
        (End::Exited(_) | End::Stillborn { .. } | End::Doomed, Restart::Always | Restart::OnFailure) => None,
    }
}

/// Whether the program did what it was there for: it ended well and is not to be started again.
pub(super) fn ended_well(policy: &Policy, how: End) -> bool {
    match policy.restart {
        Restart::Always => false,
        Restart::OnFailure | Restart::Never => how == End::Exited(ExitStatus::Code(0)),
    }
}

/// Nothing before the first failure, then `min` doubled up to `max`, spread by a quarter within these bounds.
fn waiting_time(backoff: Backoff, failures: u32, jitter: &mut Jitter) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let max = backoff.max.max(backoff.min);
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    let wait = backoff.min.saturating_mul(factor).min(max);
    let spread = jitter.up_to(wait, 25);
    let longer = wait.saturating_add(spread);
    if longer <= max { longer } else { wait.saturating_sub(spread).max(backoff.min) }
}
