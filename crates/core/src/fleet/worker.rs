//! One worker: what can be read off it, and how its deadlines move.

use std::time::Duration;

use super::jitter::share;
use super::{
    Epoch, Ladder, Phase, Policy, Role, StopReason, StopStep, Trial, Why, WorkerId, WorkerMemory, WorkerState, phase,
};
use crate::{Mono, Signal};

/// After a break of the shell every worker has at least this long to be heard: what it said meanwhile is still queued.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// The most that one `Extend` can ask for: a worker must not be able to make itself immortal.
pub(super) const LONGEST_EXTENSION: Duration = Duration::from_secs(3600);
/// The longest wait between the look at a silent worker and the end of its time.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// The longest wait between the heartbeat's signal and KILL: a stuck worker seldom has anything to finish.
const LONGEST_LAST_WORDS: Duration = Duration::from_secs(30);

/// What is known of a worker when it is asked for.
pub(super) struct Birth {
    pub(super) worker: WorkerId,
    pub(super) generation: u32,
    pub(super) epoch: Epoch,
    pub(super) stamp: u64,
    pub(super) role: Role,
    pub(super) trial: Option<Trial>,
    pub(super) lot: u32,
}

/// How long before the end of a silence it is looked at: long enough to speak for whoever was stopped together with the
/// shell, and later than any beat of a worker that beats twice a timeout.
fn last_look(timeout: Duration) -> Duration {
    (timeout / 4).min(LAST_LOOK)
}

impl WorkerMemory {
    pub(super) fn asked_for(birth: &Birth, now: Mono) -> Self {
        Self {
            worker: birth.worker,
            generation: birth.generation,
            epoch: birth.epoch,
            stamp: birth.stamp,
            role: birth.role,
            phase: Phase::Spawning,
            since: now,
            started: None,
            ready: None,
            trial: birth.trial,
            aged: false,
            lot: birth.lot,
            ending: None,
            apart: None,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }

    /// Whether it was told, or is being killed, or lost its slot and was told nothing yet.
    pub(super) fn holds_slot(&self) -> bool {
        match self.role {
            Role::Incumbent | Role::Successor => true,
            Role::Leaver => false,
        }
    }

    /// Whether it is to be replaced for its age. One that ends by itself is not: its exit decides what follows.
    pub(super) fn is_outlived(&self) -> bool {
        self.aged && self.role == Role::Incumbent && self.is_ready()
    }

    /// Whether a stop of its service has to tell it: it ends by itself at most.
    pub(super) fn is_untold(&self) -> bool {
        match self.phase {
            Phase::Spawning | Phase::Booting { .. } | Phase::Ready { .. } => true,
            Phase::Draining(ladder) => !ladder.told,
            Phase::Stopping(_) | Phase::Killed => false,
        }
    }

    pub(super) fn state(&self) -> WorkerState {
        match self.phase {
            Phase::Spawning | Phase::Booting { .. } => WorkerState::Starting,
            Phase::Ready { .. } => WorkerState::Ready,
            Phase::Draining(_) => WorkerState::Draining,
            Phase::Stopping(_) | Phase::Killed => WorkerState::Stopping,
        }
    }

    /// The earliest moment after `now` at which something has to be decided about it.
    pub(super) fn deadline(&self, now: Mono) -> Option<(Mono, Why)> {
        let id = self.worker;
        match self.phase {
            Phase::Spawning | Phase::Killed => None,
            Phase::Booting { ready_by } => Some((ready_by, Why::Ready(id))),
            Phase::Ready { heard, beat_by, settle_by, recycle_at } => {
                // A silent worker is looked at once before its time is up: a look that comes late tells that nobody ran.
                let look = |at: Mono| heard.after(at.since(heard).saturating_sub(last_look(at.since(heard))));
                let beat = beat_by.map(|at| (if look(at) > now { look(at) } else { at }, Why::Heartbeat(id)));
                let settle = settle_by.map(|at| (at, Why::Settle(id)));
                let recycle = recycle_at.map(|at| (at, Why::Recycle(id)));
                Mono::earliest(beat, Mono::earliest(settle, recycle))
            }
            Phase::Draining(ladder) | Phase::Stopping(ladder) => ladder.deadline(id),
        }
    }

    /// It is ready from `now` on; on trial it has to stay so for `trial`.
    pub(super) fn serve(&mut self, policy: &Policy, trial: Duration, now: Mono) {
        self.started.get_or_insert(now);
        self.ready = Some(now);
        self.since = now;
        self.phase = Phase::Ready {
            heard: now,
            beat_by: policy.terms(self.epoch).heartbeat.map(|heartbeat| now.after(heartbeat.timeout)),
            settle_by: self.trial.map(|_| now.after(trial)),
            recycle_at: self.recycle_at(policy),
        };
    }

    /// When it is old enough: its age is shortened by its own share of the jitter.
    fn recycle_at(&self, policy: &Policy) -> Option<Mono> {
        let age = policy.recycle.age?;
        let shorter = share(age, policy.recycle.jitter, self.lot);
        Some(self.started?.after(age.saturating_sub(shorter)))
    }

    /// A sign of life; an extension is never shortened by it.
    pub(super) fn beat(&mut self, policy: &Policy, now: Mono) {
        let Some(heartbeat) = policy.terms(self.epoch).heartbeat else { return };
        let Phase::Ready { heard, beat_by: Some(beat_by), .. } = &mut self.phase else { return };
        *heard = now;
        *beat_by = (*beat_by).max(now.after(heartbeat.timeout));
    }

    /// Its present deadline is at least `until`.
    pub(super) fn extend(&mut self, until: Mono) {
        match &mut self.phase {
            Phase::Booting { ready_by } => *ready_by = (*ready_by).max(until),
            Phase::Ready { beat_by, .. } => *beat_by = beat_by.map(|at| at.max(until)),
            Phase::Draining(ladder) | Phase::Stopping(ladder) => ladder.extend(until),
            Phase::Spawning | Phase::Killed => {}
        }
    }

    /// The policy changed: times that it sets anew hold for this worker too. Beats are owed only by a worker that was
    /// told so at its start, and the new timeout runs from now, since the old one told it how often to beat.
    pub(super) fn retime(&mut self, policy: &Policy, now: Mono) {
        let recycle = self.recycle_at(policy);
        let heartbeat = policy.terms(self.epoch).heartbeat;
        match &mut self.phase {
            Phase::Booting { ready_by } => {
                if let Some(started) = self.started {
                    *ready_by = started.after(policy.ready_timeout);
                }
            }
            Phase::Ready { beat_by, recycle_at, .. } => {
                *beat_by = match (heartbeat, *beat_by) {
                    (Some(heartbeat), Some(_)) => Some(now.after(heartbeat.timeout)),
                    (None, _) | (_, None) => None,
                };
                *recycle_at = recycle;
                self.aged = false;
            }
            Phase::Spawning | Phase::Draining(_) | Phase::Stopping(_) | Phase::Killed => {}
        }
    }

    /// The shell was away: nothing may end for it. Beats get a whole timeout from now, since those of the time away
    /// may still be queued; boots and stops are owed the time that they may have been stopped as well.
    pub(super) fn grant(&mut self, policy: &Policy, now: Mono, away: Duration) {
        let heartbeat = policy.terms(self.epoch).heartbeat;
        match &mut self.phase {
            Phase::Booting { ready_by } => {
                *ready_by = ready_by.after(away).max(now.after(GRACE.min(policy.ready_timeout)));
            }
            Phase::Ready { beat_by, settle_by, .. } => {
                if let (Some(at), Some(heartbeat)) = (beat_by.as_mut(), heartbeat) {
                    *at = (*at).max(now.after(heartbeat.timeout));
                }
                *settle_by = settle_by.map(|at| at.after(away));
            }
            Phase::Draining(ladder) | Phase::Stopping(ladder) => ladder.shift(away),
            Phase::Spawning | Phase::Killed => {}
        }
    }

    /// The shell was late: a worker that owes beats has as long to speak as between the look and the end of its time.
    pub(super) fn look_again(&mut self, policy: &Policy, now: Mono) {
        let heartbeat = policy.terms(self.epoch).heartbeat;
        if let (Phase::Ready { beat_by: Some(at), .. }, Some(heartbeat)) = (&mut self.phase, heartbeat) {
            *at = (*at).max(now.after(last_look(heartbeat.timeout)));
        }
    }

    /// It is silent: the ladder that is left when the heartbeat's signal is not KILL.
    pub(super) fn last_words(steps: &[StopStep], now: Mono) -> Ladder {
        let lasting = steps.last().and_then(|step| step.lasting).unwrap_or(LONGEST_LAST_WORDS);
        Ladder::last(now.after(lasting.min(LONGEST_LAST_WORDS)))
    }

    /// The signal that it was sent last, for one that is being stopped.
    pub(super) fn last_signal(&self, policy: &Policy) -> Option<Signal> {
        match self.phase {
            Phase::Draining(ladder) | Phase::Stopping(ladder) => match ladder.step {
                Some(index) if ladder.told => policy.stop.steps.get(index as usize).map(|step| step.signal),
                Some(_) => None,
                None => policy.terms(self.epoch).heartbeat.map(|heartbeat| heartbeat.signal),
            },
            Phase::Killed => Some(Signal::Kill),
            Phase::Spawning | Phase::Booting { .. } | Phase::Ready { .. } => None,
        }
    }

    /// Why it ended, once it has.
    pub(super) fn reason(&self, how: phase::End) -> super::ExitReason {
        use super::ExitReason;
        self.ending.unwrap_or(match how {
            phase::End::Stillborn { .. } => ExitReason::SpawnFailed,
            phase::End::Exited(super::ExitStatus::OutOfMemory) => ExitReason::OutOfMemory,
            phase::End::Exited(_) | phase::End::Doomed => ExitReason::Unasked,
        })
    }
}

impl Trial {
    /// Why the worker leaves whose slot is taken by one that stood this trial.
    pub(super) fn reason(self) -> StopReason {
        match self {
            Self::Rollout => StopReason::Rollout,
            Self::Recycle => StopReason::Recycle,
        }
    }
}
