use super::rig::{Rig, WEB, millis, policy, secs};
use crate::Signal;
use crate::fleet::{Action, Event, ExitReason, Notice, Policy, Scope, ServiceState, Slot, Why, WorkerId, WorkerState};

#[test]
fn every_wanted_slot_is_started_at_once_and_in_order() {
    let mut rig = Rig::new(policy(3));
    let spawns = rig.spawns();
    assert_eq!(spawns, [(WorkerId(1), 1, 1), (WorkerId(2), 2, 1), (WorkerId(3), 3, 1)]);
    assert_eq!(rig.state(), ServiceState::Starting);
}

#[test]
fn a_worker_is_ready_when_it_says_so() {
    let mut rig = Rig::new(policy(1));
    rig.send(Event::Spawned { worker: WorkerId(1) });
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Starting)]);
    rig.now = rig.now.after(millis(300));
    rig.log.clear();
    rig.send(Event::Ready { worker: WorkerId(1) });
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Ready)]);
    assert!(rig.log.contains(&Action::Notice(Notice::WorkerReady { worker: WorkerId(1), took: millis(300) })));
    assert_eq!(rig.state(), ServiceState::Ready);
}

#[test]
fn with_exec_a_worker_is_ready_when_its_program_runs() {
    let mut rig = Rig::new(Policy::basic(1));
    rig.send(Event::Spawned { worker: WorkerId(1) });
    assert_eq!(rig.state(), ServiceState::Ready);
}

#[test]
fn readiness_may_be_heard_before_the_exec_is() {
    let mut rig = Rig::new(policy(1));
    rig.send(Event::Ready { worker: WorkerId(1) });
    assert_eq!(rig.state(), ServiceState::Ready);
    rig.log.clear();
    rig.send(Event::Spawned { worker: WorkerId(1) });
    assert_eq!(rig.take(), [], "nothing is said twice");
}

#[test]
fn a_worker_that_is_not_ready_in_time_is_killed_with_its_group_and_replaced() {
    let mut rig = Rig::new(policy(1));
    rig.send(Event::Spawned { worker: WorkerId(1) });
    assert_eq!(rig.fleet.deadline(), Some((rig.now.after(secs(60)), Why::Ready(WorkerId(1)))));
    rig.log.clear();
    rig.pass(secs(60));
    let kill = Action::Signal { worker: WorkerId(1), signal: Signal::Kill, scope: Scope::Group, word: None };
    assert!(rig.log.contains(&kill));
    assert!(rig.noticed(|notice| matches!(notice, Notice::ReadyTimedOut { .. })));
    assert_eq!(rig.spawn(), WorkerId(2), "surge allows the next one before the killed one is gone");
    rig.exit(WorkerId(1));
    let exit = rig.view().workers[0].last_exit.expect("it ended");
    assert_eq!(exit.reason, ExitReason::ReadyTimeout);
}

#[test]
fn a_booting_worker_may_ask_for_more_time() {
    let mut rig = Rig::new(policy(1));
    rig.send(Event::Spawned { worker: WorkerId(1) });
    rig.pass(secs(50));
    rig.send(Event::Extend { worker: WorkerId(1), by: secs(30) });
    rig.log.clear();
    rig.pass(secs(29));
    assert_eq!(rig.signals(), []);
    rig.pass(secs(1));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
}

#[test]
fn an_extension_is_bounded_so_that_no_worker_is_immortal() {
    let mut rig = Rig::new(policy(1));
    rig.send(Event::Spawned { worker: WorkerId(1) });
    rig.send(Event::Extend { worker: WorkerId(1), by: secs(u64::MAX) });
    rig.log.clear();
    rig.pass(secs(3600));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
}

#[test]
fn first_starts_keep_their_distance() {
    let mut rig = Rig::new(Policy { start_delay: secs(2), ..policy(3) });
    assert_eq!(rig.spawns().len(), 1);
    assert!(matches!(rig.fleet.deadline(), Some((_, Why::Start(WEB)))));
    rig.pass(millis(1_999));
    assert_eq!(rig.spawns().len(), 0);
    rig.pass(millis(500));
    assert_eq!(rig.spawns().len(), 1, "with at most a fifth of jitter");
    rig.pass(millis(2_500));
    assert_eq!(rig.spawns().len(), 1);
    rig.pass(secs(10));
    assert_eq!(rig.spawns().len(), 0, "all are started");
}

#[test]
fn a_restart_after_a_death_does_not_keep_the_start_delay() {
    let mut rig = Rig::new(Policy { start_delay: secs(2), ..policy(2) });
    rig.serve(WorkerId(1));
    rig.log.clear();
    rig.exit(WorkerId(1));
    assert_eq!(rig.spawns(), [(WorkerId(2), 1, 1)]);
}

#[test]
fn an_operator_finds_a_worker_by_its_number_while_it_lives() {
    let mut rig = Rig::ready(policy(2));
    let (service, slot, generation, epoch, state) = rig.fleet.worker(WorkerId(2)).expect("it lives");
    assert_eq!((service, slot, generation.0, epoch.0, state), (WEB, Slot(2), 1, 1, WorkerState::Ready));
    rig.exit(WorkerId(2));
    assert_eq!(rig.fleet.worker(WorkerId(2)), None);
}

#[test]
fn late_news_of_a_dead_worker_changes_nothing() {
    let mut rig = Rig::ready(policy(1));
    rig.exit(WorkerId(1));
    rig.log.clear();
    let before = rig.fleet.snapshot();
    rig.exit(WorkerId(1));
    rig.serve(WorkerId(1));
    rig.send(Event::Lost { worker: WorkerId(99) });
    assert_eq!((rig.take(), rig.fleet.snapshot()), (vec![], before));
}
