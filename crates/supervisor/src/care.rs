//! When to start a manager, when to give one up, when to stop everything without one. Pure: time comes in.

use std::time::Duration;

use evercrew_core::Mono;

/// A manager that owes an acknowledgement this long is killed.
pub(crate) const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// A stop request that no manager acknowledged for this long is carried out without one.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// A caller that no manager takes in for this long makes it owe a sign of life.
pub(crate) const CALLER_PATIENCE: Duration = Duration::from_millis(500);
/// Between the removal of a file of the engine's own and its making: whoever removes one often removes more.
const REMOVING: Duration = Duration::from_millis(50);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
const ALIVE_LONG_ENOUGH: Duration = Duration::from_secs(5);
/// One that ends by itself within this time may have ended for what it started from.
const TOO_SOON: Duration = Duration::from_secs(2);
const POISON_DEATHS: u32 = 3;
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
    /// See whether somebody still waits at the control socket.
    LookForCallers,
    /// See which of the engine's own files are missing.
    LookAtPremises,
}

/// The supervisor's own timers.
#[derive(Debug, Default)]
pub(crate) struct Care {
    /// Least wait before every restart of the manager (`manager_restart_wait`).
    least_wait: Duration,
    started: Option<Mono>,
    start_at: Option<Mono>,
    backoff: Option<Duration>,
    /// Managers in a row whose state may be the cause of their deaths.
    deaths: u32,
    /// The manager owes an acknowledgement and is killed then.
    patience: Option<Mono>,
    /// It is being killed: it owes nothing more.
    killed: bool,
    /// A stop request is carried out without a manager then.
    stop_by: Option<Mono>,
    /// A stop was requested at some time.
    stopping: bool,
    alone: bool,
    /// Whether callers still wait is looked at then.
    look_at: Option<Mono>,
    /// Whether the engine's own files are there is looked at then.
    restore_at: Option<Mono>,
    /// Managers that ended by themselves before any left a deposit.
    stillborn: u32,
    /// How long a manager may go without the sign of life that the service manager above wants to hear.
    watchdog: Option<Duration>,
    /// It is overdue then.
    lives_until: Option<Mono>,
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

    /// The service manager above ends all of us without a sign of life in this time: a manager that gives none is
    /// replaced before that, by one that does.
    pub(crate) fn watch(&mut self, watchdog: Duration) {
        self.watchdog = Some(watchdog / 4 * 3).filter(|time| !time.is_zero());
    }

    /// The manager gave that sign of life.
    pub(crate) fn lives(&mut self, now: Mono) {
        self.lives_until = self.watchdog.map(|time| now.after(time));
    }

    /// The manager is being killed for what it owes.
    pub(crate) fn has_killed(&self) -> bool {
        self.killed
    }

    /// A manager was started.
    pub(crate) fn manager_started(&mut self, now: Mono) {
        self.lives(now);
        self.started = Some(now);
        self.start_at = None;
        self.patience = None;
        self.killed = false;
    }

    /// The manager is gone: at once the first time, then 50 ms doubling to 1 s; 5 s alive reset it.
    pub(crate) fn manager_died(&mut self, now: Mono, blame: Blame) {
        let lived = self.started.take().map_or(Duration::ZERO, |started| now.since(started));
        self.patience = None;
        self.lives_until = None;
        let hung = std::mem::take(&mut self.killed);
        let suspect = hung || (blame == Blame::Itself && lived < TOO_SOON);
        // One that lived long enough has outlived its state; one that was killed from outside says nothing about it.
        if suspect {
            self.deaths += 1;
        } else if lived >= TOO_SOON {
            self.deaths = 0;
        }
        if lived >= ALIVE_LONG_ENOUGH {
            self.backoff = None;
        }
        let wait = self.backoff.unwrap_or(Duration::ZERO);
        self.backoff = Some(if wait.is_zero() { BACKOFF_MIN } else { (wait * 2).min(BACKOFF_MAX) });
        let least = if self.stopping { Duration::ZERO } else { self.least_wait };
        self.start_at = Some(now.after(wait.max(least)));
    }

    /// Whether the manager owes an acknowledgement. It has five seconds from when it began to, or last gave a sign.
    pub(crate) fn owes(&mut self, now: Mono, owes: bool) {
        self.patience = match self.patience {
            _ if !owes || self.killed => None,
            Some(until) => Some(until),
            None => Some(now.after(ACK_TIMEOUT)),
        };
    }

    /// The manager sent something: it works, however much it has to do before the acknowledgement.
    pub(crate) fn heard(&mut self, now: Mono) {
        if let Some(until) = &mut self.patience {
            *until = now.after(ACK_TIMEOUT);
        }
    }

    /// Somebody waits at the control socket: a manager that works takes him in long before the look that follows.
    pub(crate) fn caller_waits(&mut self, now: Mono) {
        self.look_at.get_or_insert(now.after(CALLER_PATIENCE));
    }

    /// One of the engine's own files may be gone.
    pub(crate) fn premises_changed(&mut self, now: Mono) {
        self.restore_at.get_or_insert(now.after(REMOVING));
    }

    /// A manager ended while nothing has ever run. Whether to give up: what keeps the first ones from starting keeps
    /// the next ones too, and whoever starts the engine is there to be told.
    pub(crate) fn was_stillborn(&mut self, blame: Blame) -> bool {
        self.stillborn += u32::from(blame == Blame::Itself);
        self.stillborn >= POISON_DEATHS
    }

    /// Somebody asked for a stop: the first time, a manager that is waited for is started at once, as only it knows how
    /// to stop whom.
    pub(crate) fn stop_requested(&mut self, now: Mono) {
        if !std::mem::replace(&mut self.stopping, true) {
            self.start_at = self.start_at.map(|at| at.min(now));
        }
        self.stop_by.get_or_insert(now.after(STOP_TIMEOUT));
    }

    /// A manager acknowledged every stop request.
    pub(crate) fn stop_acknowledged(&mut self) {
        self.stop_by = None;
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
        let own = [self.start_at, self.stop_by, self.look_at, self.restore_at];
        own.into_iter().chain([self.patience, self.lives_until]).flatten().min()
    }

    /// The duty that is due, if one is. A supervisor that was itself stopped or suspended moves its waits on first
    /// and gives the manager, which did not run either, a second to catch up.
    pub(crate) fn due(&mut self, now: Mono) -> Option<Duty> {
        let deadline = self.deadline()?;
        if now < deadline {
            return None;
        }
        if now.since(deadline) > AWAY {
            for until in [&mut self.patience, &mut self.lives_until, &mut self.stop_by].into_iter().flatten() {
                *until = (*until).max(now.after(AWAY));
            }
        }
        if self.stop_by.is_some_and(|at| now >= at) {
            self.alone = true;
            return Some(Duty::StopAlone);
        }
        if [self.patience, self.lives_until].into_iter().flatten().any(|at| now >= at) {
            (self.patience, self.lives_until) = (None, None);
            self.killed = true;
            return Some(Duty::KillManager);
        }
        if self.start_at.is_some_and(|at| now >= at) {
            let poisoned = self.deaths >= POISON_DEATHS;
            if poisoned {
                self.deaths = 0;
            }
            return Some(Duty::StartManager { poisoned });
        }
        if self.look_at.is_some_and(|at| now >= at) {
            self.look_at = None;
            return Some(Duty::LookForCallers);
        }
        if self.restore_at.is_some_and(|at| now >= at) {
            self.restore_at = None;
            return Some(Duty::LookAtPremises);
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
    fn a_stop_waits_for_no_manager_longer_than_it_has_to() {
        let mut care = Care::new(at(0));
        care.wait_between_managers(Duration::from_secs(60));
        care.manager_started(at(0));
        care.manager_died(at(10), Blame::Outside);
        assert_eq!(care.deadline(), Some(at(60_010)));
        care.stop_requested(at(20));
        assert_eq!(care.due(at(20)), Some(Duty::StartManager { poisoned: false }));
        care.manager_started(at(20));
        care.stop_acknowledged();
        care.manager_died(at(30), Blame::Outside);
        assert_eq!(care.deadline(), Some(at(80)), "its own backoff alone");
        care.stop_requested(at(40));
        assert_eq!(care.deadline(), Some(at(80)), "a second request starts none sooner");
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
    fn a_manager_that_gives_signs_is_not_killed_for_what_it_still_owes() {
        let mut care = Care::new(at(0));
        care.manager_started(at(0));
        care.owes(at(0), true);
        for ms in (1000..20_000).step_by(1000) {
            assert_eq!(care.due(at(ms)), None);
            care.heard(at(ms));
        }
        care.owes(at(20_000), false);
        assert_eq!(care.deadline(), None);
    }

    #[test]
    fn a_state_that_hangs_its_managers_is_withheld_too() {
        let mut care = Care::new(at(0));
        let mut now = 0;
        for poisoned in [false, false, false, true] {
            assert_eq!(care.due(at(now)), Some(Duty::StartManager { poisoned }));
            care.manager_started(at(now));
            care.owes(at(now), true);
            now += 5000;
            assert_eq!(care.due(at(now)), Some(Duty::KillManager));
            care.manager_died(at(now), Blame::Outside);
            now = care.deadline().map_or(now, |at| at.as_nanos() / 1_000_000 - 1_000_000);
        }
    }

    #[test]
    fn three_early_deaths_of_its_own_in_a_row_withhold_the_state_once() {
        let mut care = Care::new(at(0));
        for (ms, poisoned) in [(0, false), (1000, false), (2000, false), (3000, true), (4000, false)] {
            assert_eq!(care.due(at(ms)), Some(Duty::StartManager { poisoned }), "at {ms}");
            care.manager_started(at(ms));
            care.manager_died(at(ms), Blame::Itself);
        }
    }

    #[test]
    fn a_manager_that_lived_for_a_while_has_outlived_its_state() {
        let mut care = Care::new(at(0));
        for ms in [0, 1000, 9000, 10_000, 11_000] {
            assert_eq!(care.due(at(ms)), Some(Duty::StartManager { poisoned: false }), "at {ms}");
            care.manager_started(at(ms));
            care.manager_died(at(if ms == 1000 { 8000 } else { ms }), Blame::Itself);
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
        care.owes(at(100), true);
        care.owes(at(3000), true);
        assert_eq!(care.due(at(5099)), None);
        assert_eq!(care.due(at(5100)), Some(Duty::KillManager));
        care.owes(at(5101), true);
        assert_eq!(care.deadline(), None, "it is being killed, once");
    }

    #[test]
    fn time_the_supervisor_did_not_run_counts_against_nobody() {
        let mut care = Care::new(at(0));
        care.manager_started(at(0));
        care.owes(at(0), true);
        assert_eq!(care.due(at(65_000)), None, "a minute of SIGSTOP of the whole engine");
        care.owes(at(65_000), true);
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
    fn a_manager_without_a_sign_of_life_is_replaced_before_the_one_above_ends_everything() {
        let mut care = Care::new(at(0));
        care.watch(Duration::from_secs(8));
        care.manager_started(at(0));
        for ms in [4000, 8000, 12_000] {
            assert_eq!(care.due(at(ms)), None);
            care.lives(at(ms));
        }
        assert_eq!(care.deadline(), Some(at(18_000)), "a fourth of the time is left to the next one");
        assert_eq!(care.due(at(18_000)), Some(Duty::KillManager));
        assert_eq!(care.deadline(), None, "it is being killed, once");
        care.manager_died(at(18_001), Blame::Outside);
        assert_eq!(care.due(at(18_001)), Some(Duty::StartManager { poisoned: false }));
        let mut none = Care::new(at(0));
        none.watch(Duration::ZERO);
        none.manager_started(at(0));
        assert_eq!(none.deadline(), None);
    }

    #[test]
    fn a_caller_is_looked_for_once_and_nobody_is_woken_when_none_waits() {
        let mut care = Care::new(at(0));
        care.manager_started(at(0));
        care.caller_waits(at(100));
        care.caller_waits(at(300));
        assert_eq!(care.due(at(599)), None);
        assert_eq!(care.due(at(600)), Some(Duty::LookForCallers));
        assert_eq!((care.due(at(600)), care.deadline()), (None, None));
    }

    #[test]
    fn an_engine_whose_first_managers_all_end_by_themselves_is_given_up() {
        let mut care = Care::new(at(0));
        let deaths = [Blame::Itself, Blame::Outside, Blame::Itself, Blame::Outside, Blame::Itself];
        assert_eq!(deaths.map(|blame| care.was_stillborn(blame)), [false, false, false, false, true]);
    }

    #[test]
    fn many_removals_are_one_look() {
        let mut care = Care::new(at(0));
        care.manager_started(at(0));
        care.premises_changed(at(10));
        care.premises_changed(at(40));
        assert_eq!(care.due(at(59)), None);
        assert_eq!(care.due(at(60)), Some(Duty::LookAtPremises));
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
