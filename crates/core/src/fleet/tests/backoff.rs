use std::time::Duration;

use super::rig::{Rig, WEB, millis, policy, secs};
use crate::Mono;
use crate::fleet::{
    Backoff, Event, ExitStatus, Notice, Policy, Restart, ServiceState, Standing, WorkerId, WorkerState,
};

/// The worker gets ready, lives for `life`, and dies; answers how long its slot then waits.
fn die_after(rig: &mut Rig, worker: WorkerId, life: Duration) -> Duration {
    rig.serve(worker);
    rig.pass(life);
    rig.exit(worker);
    match rig.standing(1) {
        Standing::Backoff { until } => until.since(rig.now),
        Standing::Open | Standing::Failed { .. } | Standing::Finished => Duration::ZERO,
    }
}

fn unlimited(workers: u32) -> Policy {
    Policy { start_limit: None, ..policy(workers) }
}

#[test]
fn the_first_restart_is_immediate() {
    let mut rig = Rig::ready(unlimited(1));
    rig.pass(secs(60));
    rig.exit(WorkerId(1));
    assert_eq!(rig.spawns(), [(WorkerId(2), 1, 1)]);
    assert_eq!(rig.view().workers[0].restarts, 1);
}

#[test]
fn each_further_death_waits_twice_as_long_up_to_the_longest_wait() {
    let mut rig = Rig::new(unlimited(1));
    let mut waits = Vec::new();
    for _ in 0..14 {
        let worker = rig.spawn();
        waits.push(die_after(&mut rig, worker, millis(10)));
        rig.log.retain(|action| matches!(action, crate::fleet::Action::Spawn { .. }));
        rig.pass(*waits.last().expect("just pushed"));
    }
    assert_eq!(waits[0], Duration::ZERO);
    for (doublings, wait) in waits[1..9].iter().enumerate() {
        let least = millis(100 << doublings);
        assert!((least..=least * 5 / 4).contains(wait), "wait {doublings}: {wait:?}");
    }
    for wait in &waits[10..] {
        assert!((millis(22_500)..=secs(30)).contains(wait), "at the cap: {wait:?}");
    }
    assert_ne!(waits[10], waits[11], "equal slots would start together");
}

#[test]
fn a_short_life_in_service_still_backs_off() {
    let mut rig = Rig::new(unlimited(1));
    let worker = rig.spawn();
    assert_eq!(die_after(&mut rig, worker, millis(200)), Duration::ZERO);
    let worker = rig.spawn();
    assert!(die_after(&mut rig, worker, millis(200)) >= millis(100));
}

#[test]
fn only_a_stable_time_in_service_begins_anew() {
    let mut rig = Rig::new(unlimited(1));
    let worker = rig.spawn();
    die_after(&mut rig, worker, millis(1));
    let worker = rig.spawn();
    let wait = die_after(&mut rig, worker, millis(1));
    rig.log.clear();
    rig.pass(wait);
    let worker = rig.spawn();
    // It boots for a minute: that is no time in service.
    rig.send(Event::Spawned { worker });
    rig.pass(secs(59));
    rig.send(Event::Ready { worker });
    rig.pass(millis(9_999));
    rig.exit(worker);
    assert!(matches!(rig.standing(1), Standing::Backoff { .. }));
    rig.log.clear();
    rig.pass(secs(1));
    let worker = rig.spawn();
    assert_eq!(die_after(&mut rig, worker, secs(10)), Duration::ZERO);
}

#[test]
fn the_wait_is_shown_and_noticed() {
    let mut rig = Rig::new(unlimited(1));
    rig.exit(WorkerId(1));
    rig.exit(WorkerId(2));
    assert!(
        rig.noticed(|notice| matches!(notice, Notice::SlotBackoff { service: WEB, wait, .. } if *wait >= millis(100)))
    );
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Backoff)]);
    assert_eq!(rig.state(), ServiceState::Starting);
}

#[test]
fn a_process_that_could_not_be_made_backs_off_too() {
    for transient in [true, false] {
        let mut rig = Rig::new(unlimited(1));
        rig.send(Event::SpawnFailed { worker: WorkerId(1), transient });
        rig.send(Event::SpawnFailed { worker: WorkerId(2), transient });
        assert!(matches!(rig.standing(1), Standing::Backoff { .. }));
    }
}

#[test]
fn the_other_slots_serve_on() {
    let mut rig = Rig::ready(unlimited(3));
    rig.exit(WorkerId(2));
    rig.exit(WorkerId(4));
    let states = [(1, 1, WorkerState::Ready), (2, 1, WorkerState::Backoff), (3, 1, WorkerState::Ready)];
    assert_eq!(rig.rows(), states);
    assert_eq!(rig.state(), ServiceState::Degraded);
}

#[test]
fn start_and_a_changed_policy_end_the_wait() {
    let commands: [fn(&mut Rig); 2] = [
        |rig| rig.send(Event::Start { service: WEB }),
        |rig| rig.define(WEB, Policy { ready_timeout: secs(5), ..unlimited(1) }, 1),
    ];
    for command in commands {
        let mut rig = Rig::new(unlimited(1));
        rig.exit(WorkerId(1));
        rig.exit(WorkerId(2));
        rig.log.clear();
        command(&mut rig);
        let worker = rig.spawn();
        assert_eq!(die_after(&mut rig, worker, millis(1)), Duration::ZERO, "and the next death counts as the first");
    }
}

#[test]
fn a_definition_without_a_change_ends_no_wait() {
    let mut rig = Rig::new(unlimited(1));
    rig.exit(WorkerId(1));
    rig.exit(WorkerId(2));
    rig.log.clear();
    rig.define(WEB, unlimited(1), 1);
    assert_eq!(rig.spawns(), []);
}

#[test]
fn on_failure_an_exit_with_0_is_the_end_of_the_slot() {
    let mut rig = Rig::ready(Policy { restart: Restart::OnFailure, ..unlimited(2) });
    rig.send(Event::Exited { worker: WorkerId(1), status: ExitStatus::Code(0) });
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Stopped), (2, 1, WorkerState::Ready)]);
    assert_eq!(rig.state(), ServiceState::Ready, "a slot that is done is not missing");
    rig.send(Event::Exited { worker: WorkerId(2), status: ExitStatus::Code(0) });
    assert_eq!(rig.state(), ServiceState::Finished);
    rig.log.clear();
    rig.send(Event::Start { service: WEB });
    assert_eq!(rig.spawns().len(), 2, "start runs it again");
}

#[test]
fn on_failure_any_other_end_is_followed_by_a_start() {
    let mut rig = Rig::ready(Policy { restart: Restart::OnFailure, ..unlimited(1) });
    rig.exit(WorkerId(1));
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn never_means_never() {
    let mut rig = Rig::ready(Policy { restart: Restart::Never, ..unlimited(1) });
    rig.exit(WorkerId(1));
    assert_eq!((rig.spawns().len(), rig.state()), (0, ServiceState::Failed));
}

#[test]
fn time_never_goes_back() {
    let mut rig = Rig::new(unlimited(1));
    rig.exit(WorkerId(1));
    rig.exit(WorkerId(2));
    rig.log.clear();
    rig.now = Mono::from_nanos(5);
    rig.fleet.handle(rig.now, Event::Tick, &mut rig.log);
    assert_eq!(rig.take(), []);
}

#[test]
fn a_start_without_a_process_is_never_tried_at_once_whatever_the_policy_says() {
    let none = Backoff { min: Duration::ZERO, max: Duration::ZERO, stable: Duration::ZERO };
    let mut rig = Rig::ready(Policy { backoff: none, start_limit: None, ..policy(1) });
    rig.exit(WorkerId(1));
    let next = rig.spawn();
    rig.send(Event::SpawnFailed { worker: next, transient: false });
    assert_eq!(rig.spawns(), [], "it would be a loop without an outside");
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.spawns().len(), 1);
}
