use super::rig::{Rig, WEB, policy, secs};
use crate::Signal;
use crate::fleet::{
    DrainReason, Event, ExitReason, Generation, MAX_WORKERS, Notice, Policy, Rollout, ServiceState, StopReason,
    WorkerId, WorkerState,
};

#[test]
fn the_highest_slots_leave() {
    let mut rig = Rig::ready(policy(4));
    rig.scale(2);
    let told: Vec<_> = rig.signals().into_iter().map(|(worker, _)| worker).collect();
    assert_eq!(told, [WorkerId(4), WorkerId(3)]);
    assert_eq!((rig.view().wanted, rig.view().ready), (2, 2));
}

#[test]
fn minus_one_twice_takes_two_though_the_first_still_drains() {
    let mut rig = Rig::ready(policy(4));
    rig.scale(3);
    assert_eq!(rig.signals(), [(WorkerId(4), Signal::Term)]);
    rig.scale(2);
    assert_eq!(rig.signals(), [(WorkerId(3), Signal::Term)]);
}

#[test]
fn slots_keep_their_numbers_and_count_their_generations() {
    let mut rig = Rig::ready(policy(3));
    rig.scale(1);
    rig.obey();
    rig.scale(3);
    rig.obey();
    let view = rig.view();
    let rows: Vec<_> = view.workers.iter().map(|row| (row.slot.0, row.generation)).collect();
    assert_eq!(rows, [(1, Generation(1)), (2, Generation(2)), (3, Generation(2))]);
    assert!(view.workers.iter().all(|row| row.restarts == 0), "nobody crashed");
}

#[test]
fn raising_again_starts_beside_those_that_drain_as_far_as_surge_allows() {
    let mut rig = Rig::ready(policy(4));
    rig.scale(2);
    rig.log.clear();
    rig.scale(4);
    assert_eq!(rig.spawns(), [(WorkerId(5), 3, 1)], "two drain: one above wanted");
    rig.exit(WorkerId(4));
    assert_eq!(rig.spawns(), [(WorkerId(6), 4, 1)]);
    assert_eq!(rig.rows()[2], (3, 1, WorkerState::Draining));
}

#[test]
fn a_worker_that_leaves_is_no_failure() {
    let mut rig = Rig::ready(policy(2));
    rig.scale(1);
    let scaled = Notice::WorkerDraining { worker: WorkerId(2), reason: DrainReason::Asked(StopReason::Scale) };
    assert!(rig.noticed(|notice| *notice == scaled));
    rig.exit(WorkerId(2));
    let asked =
        |notice: &Notice| matches!(notice, Notice::WorkerExited { reason: ExitReason::Asked(StopReason::Scale), .. });
    assert!(rig.noticed(asked));
    assert_eq!(rig.spawns(), []);
}

#[test]
fn what_was_set_by_hand_outlives_stop_and_unrelated_changes() {
    let mut rig = Rig::ready(policy(2));
    rig.scale(4);
    rig.send(Event::Stop { service: WEB, now: true });
    rig.send(Event::Start { service: WEB });
    assert_eq!(rig.view().wanted, 4);
    rig.define(WEB, Policy { ready_timeout: secs(5), ..policy(2) }, 1);
    assert_eq!(rig.view().wanted, 4);
    rig.define(WEB, policy(3), 1);
    assert_eq!(rig.view().wanted, 3, "a new number in the configuration wins");
}

#[test]
fn nothing_wanted_is_stopped_and_not_failed() {
    let mut rig = Rig::ready(policy(1));
    rig.scale(0);
    assert_eq!(rig.state(), ServiceState::Stopping);
    rig.obey();
    assert_eq!((rig.state(), rig.rows().len()), (ServiceState::Stopped, 0));
    rig.scale(1);
    assert_eq!(rig.state(), ServiceState::Starting);
}

#[test]
fn a_slip_of_the_finger_is_held_to_the_most_that_can_be() {
    let mut rig = Rig::ready(policy(1));
    rig.scale(u32::MAX);
    assert_eq!(rig.view().wanted, MAX_WORKERS);
}

#[test]
fn scaling_up_is_starting_and_not_degraded() {
    let mut rig = Rig::ready(policy(1));
    rig.scale(2);
    assert_eq!(rig.state(), ServiceState::Starting);
    rig.obey();
    assert_eq!(rig.state(), ServiceState::Ready);
}

#[test]
fn scaling_during_a_rollout_does_both() {
    let mut rig = Rig::ready(Policy {
        rollout: Rollout { surge: 1, unavailable: 0, settle: secs(1), prove: secs(1), ..Rollout::default() },
        ..policy(3)
    });
    rig.restart(2);
    rig.scale(2);
    for _ in 0..5 {
        rig.obey();
        rig.pass(secs(1));
    }
    rig.obey();
    assert_eq!(rig.rows(), [(1, 2, WorkerState::Ready), (2, 2, WorkerState::Ready)]);
    assert!(!rig.view().rolling);
}
