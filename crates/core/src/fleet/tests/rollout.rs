use super::rig::{Rig, WEB, millis, policy, secs};
use crate::Signal;
use crate::fleet::{
    Epoch, Event, GiveUp, Notice, Pace, Policy, Rollout, ServiceState, Slot, StartLimit, WorkerId, WorkerState,
};

fn rolling(workers: u32, surge: u32, unavailable: u32) -> Policy {
    Policy {
        rollout: Rollout { surge, unavailable, settle: secs(2), prove: secs(2), ..Rollout::default() },
        ..policy(workers)
    }
}

#[test]
fn one_by_one_with_the_new_worker_first() {
    let mut rig = Rig::ready(rolling(2, 1, 0));
    rig.restart(2);
    let canary = rig.spawn();
    assert_eq!(rig.signals(), []);
    rig.serve(canary);
    rig.pass(millis(1_999));
    assert_eq!(rig.signals(), [], "it has to settle");
    rig.pass(millis(1));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Term)]);
    assert_eq!(rig.rows().len(), 3, "the old one drains: no room for the next");
    rig.exit(WorkerId(1));
    let next = rig.spawn();
    rig.serve(next);
    rig.pass(secs(2));
    assert!(rig.noticed(|notice| *notice == Notice::RolloutProgress { service: WEB, done: 2, total: 2 }));
    assert!(rig.noticed(|notice| *notice == Notice::RolloutFinished { service: WEB }));
    rig.exit(WorkerId(2));
    assert_eq!(rig.rows(), [(1, 2, WorkerState::Ready), (2, 2, WorkerState::Ready)]);
}

#[test]
fn the_others_wait_for_the_canary() {
    let mut rig = Rig::ready(rolling(6, 3, 0));
    rig.restart(2);
    let canary = rig.spawn();
    rig.serve(canary);
    rig.pass(secs(1));
    assert_eq!(rig.spawns(), []);
    rig.pass(secs(1));
    rig.exit(WorkerId(1));
    assert_eq!(rig.spawns().len(), 3, "then as many as surge allows");
}

#[test]
fn with_exec_nothing_is_known_so_settling_is_all_there_is() {
    let mut rig = Rig::new(Policy { rollout: rolling(1, 1, 0).rollout, ..Policy::basic(1) });
    rig.obey();
    rig.log.clear();
    rig.restart(2);
    let next = rig.spawn();
    rig.send(Event::Spawned { worker: next });
    rig.pass(millis(1_999));
    assert_eq!(rig.signals(), []);
    rig.pass(millis(1));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Term)]);
}

#[test]
fn without_surge_the_old_one_goes_first_and_only_so_many_are_missing() {
    let mut rig = Rig::ready(rolling(4, 0, 2));
    rig.restart(2);
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Term)], "the canary alone, though two may be missing");
    rig.exit(WorkerId(1));
    let canary = rig.spawn();
    rig.serve(canary);
    rig.pass(secs(2));
    assert_eq!(rig.signals(), [(WorkerId(2), Signal::Term), (WorkerId(3), Signal::Term)]);
    assert_eq!(rig.view().ready, 2);
}

#[test]
fn neither_surge_nor_unavailable_is_a_surge_of_one() {
    let mut rig = Rig::ready(rolling(1, 0, 0));
    rig.restart(2);
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn an_empty_slot_is_the_canarys() {
    let limit = StartLimit { count: 1, within: secs(10), then: GiveUp::Final };
    let mut rig = Rig::ready(Policy { start_limit: Some(limit), ..rolling(3, 1, 0) });
    rig.exit(WorkerId(3));
    rig.log.clear();
    rig.restart(2);
    assert_eq!(rig.spawns(), [(WorkerId(4), 3, 2)], "it costs nothing there");
}

#[test]
fn an_old_worker_that_dies_before_the_canary_proved_itself_is_replaced_by_an_old_one() {
    let mut rig = Rig::ready(rolling(3, 1, 0));
    rig.restart(2);
    rig.log.clear();
    rig.exit(WorkerId(3));
    assert_eq!(rig.spawns(), [(WorkerId(5), 3, 1)]);
}

#[test]
fn and_after_that_by_a_new_one() {
    let mut rig = Rig::ready(rolling(3, 1, 0));
    rig.restart(2);
    let canary = rig.spawn();
    rig.serve(canary);
    rig.pass(secs(2));
    rig.log.clear();
    rig.exit(WorkerId(3));
    assert_eq!(rig.spawns(), [(WorkerId(5), 3, 2)]);
}

#[test]
fn the_old_worker_of_the_canarys_slot_may_die_meanwhile() {
    let mut rig = Rig::ready(rolling(1, 1, 0));
    rig.restart(2);
    let canary = rig.spawn();
    rig.exit(WorkerId(1));
    assert_eq!(rig.spawns(), [], "the new one takes its place");
    rig.serve(canary);
    rig.pass(secs(2));
    assert!(rig.noticed(|notice| matches!(notice, Notice::RolloutFinished { .. })));
}

#[test]
fn where_nothing_runs_everything_is_started_at_once_with_the_new_version() {
    let mut rig = Rig::ready(Policy { unrecoverable_exit_codes: vec![1], ..rolling(3, 1, 0) });
    for worker in 1..=3 {
        rig.exit(WorkerId(worker));
    }
    assert_eq!(rig.state(), ServiceState::Failed);
    rig.log.clear();
    rig.restart(2);
    assert_eq!(rig.spawns(), [(WorkerId(4), 1, 2), (WorkerId(5), 2, 2), (WorkerId(6), 3, 2)]);
}

#[test]
fn a_plain_restart_replaces_workers_of_the_same_version() {
    let mut rig = Rig::ready(rolling(1, 1, 0));
    rig.restart(1);
    let next = rig.spawn();
    rig.serve(next);
    rig.pass(secs(2));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Term)]);
}

#[test]
fn one_slot_can_be_restarted_alone() {
    let mut rig = Rig::ready(rolling(3, 1, 0));
    rig.send(Event::Restart { service: WEB, slot: Some(Slot(2)), epoch: Epoch(9), pace: Pace::Gradual });
    assert!(rig.noticed(|notice| *notice == Notice::RolloutStarted { service: WEB, epoch: Epoch(1), total: 1 }));
    rig.obey();
    rig.pass(secs(2));
    rig.obey();
    assert!(rig.noticed(|notice| matches!(notice, Notice::RolloutFinished { .. })));
    let workers: Vec<_> = rig.view().workers.iter().filter_map(|row| row.worker).collect();
    assert_eq!(workers, [WorkerId(1), WorkerId(4), WorkerId(3)]);
}

#[test]
fn a_restart_during_a_rollout_joins_it_and_replaces_what_is_older_than_it() {
    let mut rig = Rig::ready(rolling(2, 1, 0));
    rig.restart(2);
    let first = rig.spawn();
    rig.serve(first);
    rig.restart(2);
    assert!(rig.noticed(|notice| *notice == Notice::RolloutProgress { service: WEB, done: 0, total: 2 }));
    for _ in 0..4 {
        rig.obey();
        rig.pass(secs(2));
    }
    rig.obey();
    let finished =
        |notice: &&crate::fleet::Action| matches!(notice, crate::fleet::Action::Notice(Notice::RolloutFinished { .. }));
    assert_eq!(rig.log.iter().filter(finished).count(), 1);
    let view = rig.view();
    assert!(view.workers.iter().all(|row| row.epoch == Epoch(2) && row.worker.is_some_and(|worker| worker > first)));
}

#[test]
fn another_version_takes_over_a_rollout_that_runs() {
    let mut rig = Rig::ready(rolling(2, 1, 0));
    rig.define(WEB, rolling(2, 1, 0), 2);
    let canary = rig.spawn();
    rig.define(WEB, rolling(2, 1, 0), 3);
    assert_eq!(rig.signals(), [(canary, Signal::Term)], "it has nothing to show");
    rig.exit(canary);
    assert_eq!(rig.spawns(), [(WorkerId(4), 1, 3)]);
}

#[test]
fn going_back_replaces_only_what_was_replaced() {
    let mut rig = Rig::ready(rolling(3, 1, 0));
    rig.define(WEB, rolling(3, 1, 0), 2);
    let canary = rig.spawn();
    rig.serve(canary);
    rig.pass(secs(2));
    rig.exit(WorkerId(1));
    rig.log.clear();
    rig.define(WEB, rolling(3, 1, 0), 1);
    assert!(rig.noticed(|notice| *notice == Notice::RolloutStarted { service: WEB, epoch: Epoch(1), total: 1 }));
}

#[test]
fn a_slot_that_becomes_wanted_while_the_canary_is_on_trial_gets_what_serves_and_is_rolled_later() {
    let mut rig = Rig::ready(rolling(1, 2, 0));
    rig.restart(2);
    let canary = rig.spawn();
    rig.scale(2);
    assert_eq!(rig.spawns(), [(WorkerId(3), 2, 1)]);
    rig.serve(WorkerId(3));
    rig.serve(canary);
    for _ in 0..3 {
        rig.pass(secs(2));
        rig.obey();
    }
    assert_eq!(rig.rows(), [(1, 2, WorkerState::Ready), (2, 2, WorkerState::Ready)]);
}

#[test]
fn processes_never_exceed_wanted_and_surge() {
    let mut rig = Rig::ready(rolling(4, 2, 0));
    rig.restart(2);
    for _ in 0..100 {
        assert!(rig.view().workers.len() <= 6, "{:?}", rig.rows());
        assert!(rig.view().ready >= 4, "{:?}", rig.rows());
        rig.start_all();
        let leaving: Vec<_> = rig.signals();
        rig.pass(millis(500));
        for (worker, _) in leaving {
            rig.exit(worker);
        }
    }
    assert!(rig.rows().iter().all(|(_, epoch, _)| *epoch == 2));
}
