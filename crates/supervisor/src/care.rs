//! When to start a manager, when to give one up, when to stop everything without one. Pure: time comes in.

use std::collections::VecDeque;
use std::time::Duration;

use evercrew_core::Mono;

/// A manager that owes an acknowledgement this long is killed.
pub(crate) const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// A stop request that no manager acknowledged for this long is carried out without one.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
const ALIVE_LONG_ENOUGH: Duration = Duration::from_secs(5);
const POISON_WINDOW: Duration = Duration::from_secs(10);
const POISON_DEATHS: usize = 3;
/// Being called this much after a deadline means that the supervisor itself did not run.
const AWAY: Duration = Duration::from_secs(1);

/// How a manager ended, as far as blame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Killed by somebody else (SIGKILL, SIGTERM from outside): its deposit has no part in it.
    Outside,
    /// It crashed, exited or hung: its deposit may be the cause.
    Itself,
}

/// What has to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Start a manager; `poisoned` withholds the state deposit.
    StartManager { poisoned: bool },
    /// Kill the manager: it owes an acknowledgement.
    KillManager,
    /// Stop every worker without a manager.
    StopAlone,
}

/// The supervisor's own timers.
#[derive(Debug, Default)]
pub(crate) struct Care {
    /// Least wait before every restart of the manager (`manager_restart_wait`).
    least_wait: Duration,
    started: Option<Mono>,
    start_at: Option<Mono>,
    backoff: Option<Duration>,
    deaths: VecDeque<Mono>,
    owes_since: Option<Mono>,
    stop_since: Option<Mono>,
    alone: bool,
}

impl Care {
    /// With the first manager due at once.
    pub(crate) fn new(now: Mono) -> Self {
        Self { start_at: Some(now), ..Self::default() }
    }

    /// Least wait before a manager is started in the place of one that died.
    pub(crate) fn wait_between_managers(&mut self, wait: Duration) {
        self.least_wait = wait;
    }

    /// A manager was started.
    pub(crate) fn manager_started(&mut self, now: Mono) {
        self.started = Some(now);
        self.start_at = None;
        self.owes_since = None;
    }

    /// The manager is gone: at once the first time, then 50 ms doubling to 1 s; 5 s alive reset it.
    pub(crate) fn manager_died(&mut self, now: Mono, blame: Blame) {
        let lived = self.started.take().map_or(Duration::ZERO, |started| now.since(started));
        self.owes_since = None;
        if blame == Blame::Itself {
            self.deaths.push_back(now);
        }
        if lived >= ALIVE_LONG_ENOUGH {
            self.backoff = None;
        }
        let wait = self.backoff.unwrap_or(Duration::ZERO);
        self.backoff = Some(if wait.is_zero() { BACKOFF_MIN } else { (wait * 2).min(BACKOFF_MAX) });
        self.start_at = Some(now.after(wait.max(self.least_wait)));
    }

    /// The oldest unacknowledged record was queued at this time (`None`: nothing is owed).
    pub(crate) fn owes(&mut self, since: Option<Mono>) {
        self.owes_since = since;
    }

    /// Somebody asked for a stop.
    pub(crate) fn stop_requested(&mut self, now: Mono) {
        self.stop_since.get_or_insert(now);
    }

    /// A manager acknowledged every stop request.
    pub(crate) fn stop_acknowledged(&mut self) {
        self.stop_since = None;
    }

    /// Whether the supervisor stops everything on its own.
    pub(crate) fn alone(&self) -> bool {
        self.alone
    }

    /// When the next duty is due.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        if self.alone {
            return None;
        }
        [
            self.start_at,
            self.owes_since.map(|at| at.after(ACK_TIMEOUT)),
            self.stop_since.map(|at| at.after(STOP_TIMEOUT)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The duty that is due, if one is. A supervisor that was itself stopped or suspended moves its waits on first
    /// and gives the manager, which did not run either, a second to catch up.
    pub(crate) fn due(&mut self, now: Mono) -> Option<Duty> {
        let deadline = self.deadline()?;
        if now < deadline {
            return None;
        }
        let away = now.since(deadline);
        if away > AWAY {
            for since in [&mut self.owes_since, &mut self.stop_since].into_iter().flatten() {
                *since = since.after(away + AWAY);
            }
        }
        if self.stop_since.is_some_and(|at| now >= at.after(STOP_TIMEOUT)) {
            self.alone = true;
            return Some(Duty::StopAlone);
        }
        if self.owes_since.is_some_and(|at| now >= at.after(ACK_TIMEOUT)) {
            self.owes_since = None;
            return Some(Duty::KillManager);
        }
        if self.start_at.is_some_and(|at| now >= at) {
            while self.deaths.front().is_some_and(|death| now.since(*death) > POISON_WINDOW) {
                self.deaths.pop_front();
            }
            let poisoned = self.deaths.len() >= POISON_DEATHS;
            if poisoned {
                self.deaths.clear();
            }
            return Some(Duty::StartManager { poisoned });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::from_nanos((1_000_000 + ms) * 1_000_000)
    }

    #[test]
    fn a_manager_restarts_at_once_then_backs_off_to_a_second_and_resets_after_five() {
        let mut care = Care::new(at(0));
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let due = care.deadline().expect("a start is due").since(at(now)).as_millis() as u64;
            waits.push(due);
            now += due;
            assert_eq!(care.due(at(now)), Some(Duty::StartManager { poisoned: false }));
            care.manager_started(at(now));
            care.manager_died(at(now), Blame::Outside);
        }
        assert_eq!(waits, [0, 0, 50, 100, 200, 400, 800, 1000]);
        now += 1000;
        care.manager_started(at(now));
        care.manager_died(at(now + 5000), Blame::Outside);
        assert_eq!(care.deadline(), Some(at(now + 5000)));
    }

    #[test]
    fn a_manager_waits_as_long_as_it_is_told() {
        let mut care = Care::new(at(0));
        care.manager_started(at(0));
        care.wait_between_managers(Duration::from_millis(1500));
        care.manager_died(at(10), Blame::Outside);
        assert_eq!(care.deadline(), Some(at(1510)));
    }

    #[test]
    fn three_deaths_of_its_own_in_ten_seconds_withhold_the_state_once() {
        let mut care = Care::new(at(0));
        for (ms, poisoned) in [(0, false), (1000, false), (2000, false), (3000, true), (4000, false)] {
            assert_eq!(care.due(at(ms)), Some(Duty::StartManager { poisoned }), "at {ms}");
            care.manager_started(at(ms));
            care.manager_died(at(ms), Blame::Itself);
        }
    }

    #[test]
    fn deaths_from_outside_never_withhold_the_state() {
        let mut care = Care::new(at(0));
        for ms in (0..10_000).step_by(1100) {
            assert_eq!(care.due(at(ms)), Some(Duty::StartManager { poisoned: false }));
            care.manager_started(at(ms));
            care.manager_died(at(ms), Blame::Outside);
        }
    }

    #[test]
    fn an_owed_acknowledgement_kills_after_five_seconds_but_an_idle_manager_is_never_touched() {
        let mut care = Care::new(at(0));
        care.manager_started(at(0));
        assert_eq!(care.deadline(), None);
        care.owes(Some(at(100)));
        assert_eq!(care.due(at(5099)), None);
        assert_eq!(care.due(at(5100)), Some(Duty::KillManager));
        assert_eq!(care.deadline(), None);
    }

    #[test]
    fn time_the_supervisor_did_not_run_counts_against_nobody() {
        let mut care = Care::new(at(0));
        care.manager_started(at(0));
        care.owes(Some(at(0)));
        assert_eq!(care.due(at(65_000)), None, "a minute of SIGSTOP of the whole engine");
        assert_eq!(care.due(at(65_999)), None);
        assert_eq!(care.due(at(66_000)), Some(Duty::KillManager), "the wait goes on where it was");
    }

    #[test]
    fn a_stop_that_nobody_acknowledges_is_carried_out_alone() {
        let mut care = Care::new(at(0));
        care.manager_started(at(0));
        care.stop_requested(at(10));
        care.stop_requested(at(3000));
        care.manager_died(at(4000), Blame::Itself);
        assert_eq!(care.due(at(4000)), Some(Duty::StartManager { poisoned: false }));
        care.manager_started(at(4000));
        assert_eq!(care.due(at(5010)), Some(Duty::StopAlone));
        assert!(care.alone());
        assert_eq!(care.deadline(), None);
    }

    #[test]
    fn an_acknowledged_stop_is_the_managers() {
        let mut care = Care::new(at(0));
        care.manager_started(at(0));
        care.stop_requested(at(10));
        care.stop_acknowledged();
        assert_eq!(care.deadline(), None);
    }
}
