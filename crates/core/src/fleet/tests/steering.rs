use super::rig::{Rig, WEB, millis, policy, secs};
use crate::Signal;
use crate::fleet::{
    Action, Epoch, Event, ExitReason, Fleet, Notice, OnFailure, Policy, Rollout, Slot, WorkerId, WorkerState,
};

fn rolling(workers: u32) -> Policy {
    let rollout = Rollout { settle: secs(2), prove: secs(2), ..Rollout::default() };
    Policy { rollout, ..policy(workers) }
}

fn pausing(workers: u32) -> Policy {
    let rollout = Rollout { on_failure: OnFailure::Pause, ..rolling(workers).rollout };
    Policy { rollout, ..policy(workers) }
}

/// Version 2 is under way and its canary has taken slot 1.
fn begun(policy: Policy) -> Rig {
    let mut rig = Rig::ready(policy.clone());
    rig.define(WEB, policy, 2);
    let canary = rig.spawn();
    rig.serve(canary);
    rig.pass(secs(2));
    rig
}

#[test]
fn a_paused_rollout_replaces_nobody_until_it_is_resumed() {
    let mut rig = begun(rolling(3));
    rig.send(Event::Pause { service: WEB });
    rig.exit(WorkerId(1));
    rig.log.clear();
    rig.pass(secs(3600));
    assert_eq!(rig.take(), []);
    assert!(rig.view().rollout.is_some_and(|rollout| rollout.paused && rollout.done == 1 && rollout.total == 3));
    rig.send(Event::Resume { service: WEB });
    assert!(rig.noticed(|notice| *notice == Notice::RolloutResumed { service: WEB }));
    assert_eq!(rig.spawns(), [(WorkerId(5), 2, 2)]);
}

#[test]
fn what_is_on_trial_when_it_is_paused_goes_on() {
    let mut rig = Rig::ready(rolling(2));
    rig.restart(2);
    let canary = rig.spawn();
    rig.send(Event::Pause { service: WEB });
    rig.serve(canary);
    rig.pass(secs(2));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Term)]);
}

#[test]
fn a_slot_that_falls_empty_meanwhile_gets_what_it_had() {
    let mut rig = begun(rolling(3));
    rig.send(Event::Pause { service: WEB });
    rig.exit(WorkerId(1));
    rig.log.clear();
    rig.exit(WorkerId(3));
    assert_eq!(rig.spawns(), [(WorkerId(5), 3, 1)], "not yet replaced");
    rig.exit(WorkerId(4));
    assert_eq!(rig.spawns(), [(WorkerId(6), 1, 2)], "replaced already");
}

#[test]
fn a_pause_survives_the_shell() {
    let mut rig = begun(rolling(2));
    rig.send(Event::Pause { service: WEB });
    let snapshot = rig.fleet.snapshot();
    rig.fleet = Fleet::restore(1, &snapshot, &[(WEB, rolling(2), Epoch(2))]);
    rig.send(Event::Tick);
    rig.exit(WorkerId(1));
    rig.log.clear();
    rig.pass(secs(60));
    assert_eq!(rig.take(), []);
}

#[test]
fn a_restart_resumes_what_is_paused() {
    let mut rig = begun(rolling(3));
    rig.send(Event::Pause { service: WEB });
    rig.exit(WorkerId(1));
    rig.log.clear();
    rig.restart(2);
    assert!(rig.view().rollout.is_some_and(|rollout| !rollout.paused));
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn a_failure_may_pause_instead_of_ending_it() {
    let mut rig = Rig::ready(pausing(3));
    rig.restart(2);
    let canary = rig.spawn();
    rig.exit(canary);
    let paused = Notice::RolloutPaused { service: WEB, worker: Some(canary), reason: Some(ExitReason::Unasked) };
    assert!(rig.noticed(|notice| *notice == paused));
    rig.log.clear();
    rig.pass(secs(60));
    assert_eq!(rig.take(), [], "every old one serves, and nothing is tried again");
    assert_eq!(rig.view().ready, 3);
    rig.send(Event::Resume { service: WEB });
    assert_eq!(rig.spawns().len(), 1, "one new worker proves itself");
}

#[test]
fn after_a_failure_the_first_worker_proves_itself_anew() {
    let rollout = Rollout { surge: 3, ..pausing(4).rollout };
    let mut rig = Rig::ready(Policy { rollout, ..policy(4) });
    rig.restart(2);
    let canary = rig.spawn();
    rig.serve(canary);
    rig.pass(secs(2));
    rig.exit(WorkerId(1));
    let next = rig.spawns();
    assert_eq!(next.len(), 3);
    for (worker, ..) in next {
        rig.exit(worker);
    }
    assert_eq!(rig.spawns(), []);
    rig.send(Event::Resume { service: WEB });
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn undo_returns_to_what_served() {
    let mut rig = begun(rolling(3));
    rig.exit(WorkerId(1));
    let next = rig.spawn();
    rig.send(Event::Undo { service: WEB });
    assert!(rig.signals().contains(&(next, Signal::Term)), "on trial");
    rig.exit(next);
    for _ in 0..3 {
        rig.obey();
        rig.pass(secs(2));
    }
    rig.obey();
    assert_eq!(
        rig.rows(),
        [(1, 1, WorkerState::Ready), (2, 1, WorkerState::Ready), (3, 1, WorkerState::Ready)],
        "{:?}",
        rig.view()
    );
    assert!(!rig.view().rolling);
}

#[test]
fn undo_of_a_plain_restart_ends_it() {
    let mut rig = Rig::ready(rolling(2));
    rig.restart(1);
    let canary = rig.spawn();
    rig.serve(canary);
    rig.send(Event::Undo { service: WEB });
    assert_eq!(rig.signals(), [(canary, Signal::Term)]);
    rig.exit(canary);
    rig.pass(secs(10));
    let workers: Vec<_> = rig.view().workers.iter().filter_map(|row| row.worker).collect();
    assert_eq!(workers, [WorkerId(1), WorkerId(2)]);
}

#[test]
fn undo_after_a_rollout_that_was_stopped_half_way_replaces_what_it_left() {
    let mut rig = begun(rolling(3));
    rig.exit(WorkerId(1));
    let second = rig.spawn();
    rig.exit(second);
    assert_eq!(rig.rows()[0], (1, 2, WorkerState::Ready), "it is ready, so it stays");
    rig.log.clear();
    rig.send(Event::Undo { service: WEB });
    assert_eq!(rig.spawns(), [(WorkerId(6), 1, 1)]);
}

#[test]
fn the_first_new_worker_proves_itself_longer_than_the_others() {
    let rollout = Rollout { prove: secs(60), ..rolling(2).rollout };
    let mut rig = Rig::ready(Policy { rollout, ..policy(2) });
    rig.restart(2);
    let canary = rig.spawn();
    rig.serve(canary);
    rig.pass(millis(59_999));
    assert_eq!(rig.take().len(), 2, "two notices and nothing else");
    rig.pass(millis(1));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Term)]);
    rig.exit(WorkerId(1));
    let next = rig.spawn();
    rig.serve(next);
    rig.pass(secs(2));
    assert_eq!(rig.signals(), [(WorkerId(2), Signal::Term)]);
}

#[test]
fn at_once_kills_all_and_starts_all() {
    let mut rig = Rig::ready(rolling(3));
    rig.send(Event::Restart { service: WEB, slot: None, epoch: Epoch(2), pace: crate::fleet::Pace::AtOnce });
    let killed: Vec<_> = rig.log.iter().filter(|action| matches!(action, Action::Signal { .. })).collect();
    assert_eq!(killed.len(), 3);
    for worker in 1..=3 {
        rig.exit(WorkerId(worker));
    }
    assert_eq!(rig.spawns().len(), 3);
    let view = rig.view();
    assert!(view.workers.iter().all(|row| row.restarts == 0), "a commanded stop is no failure");
}

#[test]
fn at_once_for_one_slot_spares_the_others() {
    let mut rig = Rig::ready(rolling(3));
    let pace = crate::fleet::Pace::AtOnce;
    rig.send(Event::Restart { service: WEB, slot: Some(Slot(2)), epoch: Epoch(1), pace });
    let killed = |action: &&Action| matches!(action, Action::Signal { worker: WorkerId(2), signal: Signal::Kill, .. });
    assert_eq!(rig.log.iter().filter(killed).count(), 1);
    assert!(!rig.log.iter().any(|action| matches!(action, Action::Signal { .. }) && !killed(&action)));
    rig.obey();
    rig.pass(secs(2));
    assert!(!rig.view().rolling);
}

#[test]
fn undo_after_a_rollout_returns_to_the_version_before_and_again_back() {
    let mut rig = Rig::ready(rolling(1));
    rig.restart(2);
    for (back, epoch) in [(1, 2), (2, 1)] {
        rig.obey();
        rig.pass(secs(2));
        rig.obey();
        assert!(!rig.view().rolling && rig.view().epoch == Epoch(epoch), "{:?}", rig.view());
        assert!(rig.fleet.versions(WEB).contains(&Epoch(back)), "what is returned to is kept");
        rig.log.clear();
        rig.send(Event::Undo { service: WEB });
        assert!(rig.noticed(|n| matches!(n, Notice::RolloutStarted { epoch, .. } if *epoch == Epoch(back))));
    }
}

#[test]
fn where_nothing_was_changed_there_is_nothing_to_undo() {
    let mut rig = Rig::ready(rolling(1));
    rig.restart(1);
    rig.obey();
    rig.pass(secs(2));
    rig.obey();
    rig.log.clear();
    rig.send(Event::Undo { service: WEB });
    assert_eq!((rig.take(), rig.view().previous), (vec![], None));
}
