use super::rig::{Rig, WEB, millis, policy, secs};
use crate::Signal;
use crate::fleet::{
    Epoch, Event, ExitReason, GiveUp, Notice, Policy, Rollout, StartLimit, StopReason, WorkerId, WorkerState,
};

fn rolling(workers: u32, surge: u32, unavailable: u32) -> Policy {
    Policy {
        rollout: Rollout { surge, unavailable, settle: secs(2), prove: secs(2), ..Rollout::default() },
        ..policy(workers)
    }
}

fn stopped(rig: &Rig, worker: WorkerId, reason: ExitReason) -> bool {
    let expected = Notice::RolloutStopped { service: WEB, worker: Some(worker), reason: Some(reason) };
    rig.noticed(|notice| *notice == expected)
}

#[test]
fn a_version_that_cannot_start_stops_at_the_first_worker() {
    let mut rig = Rig::ready(rolling(3, 1, 0));
    rig.restart(2);
    let canary = rig.spawn();
    rig.send(Event::SpawnFailed { worker: canary, transient: false });
    assert!(stopped(&rig, canary, ExitReason::SpawnFailed));
    assert_eq!(rig.spawns(), []);
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Ready), (2, 1, WorkerState::Ready), (3, 1, WorkerState::Ready)]);
    assert_eq!((rig.view().epoch, rig.view().rolling), (Epoch(1), false));
}

#[test]
fn so_does_one_that_is_never_ready() {
    let mut rig = Rig::ready(rolling(2, 1, 0));
    rig.restart(2);
    let canary = rig.spawn();
    rig.send(Event::Spawned { worker: canary });
    rig.pass(secs(60));
    assert!(stopped(&rig, canary, ExitReason::ReadyTimeout));
    assert_eq!(rig.view().ready, 2);
}

#[test]
fn and_one_that_dies_before_it_has_settled() {
    let mut rig = Rig::ready(rolling(2, 1, 0));
    rig.restart(2);
    let canary = rig.spawn();
    rig.serve(canary);
    rig.pass(millis(1_500));
    rig.exit(canary);
    assert!(stopped(&rig, canary, ExitReason::Unasked));
    assert_eq!((rig.view().ready, rig.view().epoch), (2, Epoch(1)));
}

#[test]
fn the_failure_of_a_new_version_costs_the_old_one_nothing() {
    let limit = StartLimit { count: 1, within: secs(10), then: GiveUp::Final };
    let mut rig = Rig::ready(Policy { start_limit: Some(limit), ..rolling(1, 1, 0) });
    rig.pass(secs(60));
    rig.restart(2);
    let canary = rig.spawn();
    rig.exit(canary);
    rig.log.clear();
    rig.exit(WorkerId(1));
    assert_eq!(rig.spawns(), [(WorkerId(3), 1, 1)], "its first death");
    assert_eq!(rig.view().workers[0].restarts, 1);
}

#[test]
fn a_slot_that_was_emptied_for_the_new_version_is_started_with_the_old_one() {
    let mut rig = Rig::ready(rolling(2, 0, 1));
    rig.restart(2);
    rig.exit(WorkerId(1));
    rig.log.clear();
    rig.exit(WorkerId(3));
    assert!(stopped(&rig, WorkerId(3), ExitReason::Unasked));
    assert_eq!(rig.spawns(), [(WorkerId(4), 1, 1)], "at once");
}

#[test]
fn what_was_replaced_and_is_ready_stays() {
    let mut rig = Rig::ready(rolling(3, 1, 0));
    rig.restart(2);
    let canary = rig.spawn();
    rig.serve(canary);
    rig.pass(secs(2));
    rig.exit(WorkerId(1));
    let second = rig.newest(2);
    rig.exit(second);
    assert!(stopped(&rig, second, ExitReason::Unasked));
    assert_eq!(rig.rows(), [(1, 2, WorkerState::Ready), (2, 1, WorkerState::Ready), (3, 1, WorkerState::Ready)]);
    rig.log.clear();
    rig.exit(canary);
    assert_eq!(rig.spawns(), [(WorkerId(6), 1, 1)], "but it is followed by the version that serves");
}

#[test]
fn what_is_not_ready_yet_is_asked_to_leave() {
    let mut rig = Rig::ready(rolling(4, 3, 0));
    rig.restart(2);
    let canary = rig.spawn();
    rig.serve(canary);
    rig.pass(secs(2));
    rig.exit(WorkerId(1));
    let begun = rig.spawns();
    assert_eq!(begun.len(), 3);
    rig.exit(begun[0].0);
    let back =
        |worker| Notice::WorkerDraining { worker, reason: crate::fleet::DrainReason::Asked(StopReason::RolledBack) };
    assert!(rig.noticed(|notice| *notice == back(begun[1].0)));
    assert_eq!(rig.signals(), [(begun[1].0, Signal::Term), (begun[2].0, Signal::Term)]);
}

#[test]
fn where_nothing_served_there_is_nothing_to_go_back_to() {
    let mut rig = Rig::ready(Policy { unrecoverable_exit_codes: vec![9], start_limit: None, ..rolling(2, 1, 0) });
    for worker in [WorkerId(1), WorkerId(2)] {
        rig.send(Event::Exited { worker, status: crate::fleet::ExitStatus::Code(9) });
    }
    rig.log.clear();
    rig.restart(2);
    rig.log.clear();
    rig.exit(WorkerId(3));
    assert!(stopped(&rig, WorkerId(3), ExitReason::Unasked));
    assert_eq!(rig.spawns(), [(WorkerId(5), 1, 2)], "the new version goes on by the rules of every crash");
    assert_eq!(rig.view().epoch, Epoch(2));
}

#[test]
fn the_next_good_version_works() {
    let mut rig = Rig::ready(rolling(2, 1, 0));
    rig.restart(2);
    let canary = rig.spawn();
    rig.exit(canary);
    rig.log.clear();
    rig.restart(3);
    for _ in 0..3 {
        rig.obey();
        rig.pass(secs(2));
    }
    rig.obey();
    assert_eq!(rig.rows(), [(1, 3, WorkerState::Ready), (2, 3, WorkerState::Ready)]);
}

#[test]
fn a_stop_ends_a_rollout_and_starts_nothing() {
    let stops = [
        Event::Stop { service: WEB, now: false },
        Event::Shutdown { now: false },
        Event::Remove { service: WEB },
        Event::Shutdown { now: true },
    ];
    for stop in stops {
        let mut rig = Rig::ready(rolling(3, 1, 0));
        rig.restart(2);
        rig.log.clear();
        rig.send(stop.clone());
        assert!(rig.noticed(|notice| matches!(notice, Notice::RolloutStopped { worker: None, reason: None, .. })));
        assert_eq!(rig.log.iter().filter(|action| matches!(action, crate::fleet::Action::Signal { .. })).count(), 4);
        rig.obey();
        rig.pass(secs(60));
        assert_eq!(rig.spawns(), [], "{stop:?}");
    }
}
