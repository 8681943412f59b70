use super::rig::{Rig, WEB, policy, secs};
use crate::Signal;
use crate::fleet::{
    Action, Epoch, Event, Fleet, Generation, Heartbeat, Policy, Rollout, ServiceId, ServiceState, Slot, Snapshot,
    WorkerId, WorkerState,
};

/// The shell is killed; another one restores what was written down. The inventory is still to come.
fn crash(rig: &mut Rig, policy: Policy) {
    let snapshot = rig.fleet.snapshot();
    rig.fleet = Fleet::restore(8, &snapshot, &[(WEB, policy, Epoch(1))]);
    assert_eq!(rig.fleet.snapshot(), snapshot);
    rig.log.clear();
}

/// The shell is killed and nothing is left of its memory but the number of the next worker.
fn lose_memory(rig: &mut Rig, policy: Policy) {
    let snapshot = Snapshot { next_worker: rig.fleet.snapshot().next_worker, ..Snapshot::default() };
    rig.fleet = Fleet::restore(8, &snapshot, &[(WEB, policy, Epoch(1))]);
    rig.log.clear();
}

fn adopt(rig: &mut Rig, worker: u64, slot: u32, generation: u32, epoch: u64) {
    rig.send(Event::Adopt {
        worker: WorkerId(worker),
        service: WEB,
        slot: Slot(slot),
        generation: Generation(generation),
        epoch: Epoch(epoch),
    });
}

#[test]
fn a_crash_of_the_shell_changes_nothing() {
    let mut rig = Rig::ready(policy(3));
    let before = rig.fleet.services();
    crash(&mut rig, policy(3));
    rig.send(Event::Tick);
    assert_eq!((rig.take(), rig.fleet.services()), (vec![], before));
}

#[test]
fn backoff_and_its_history_survive() {
    let quick = Policy { start_limit: None, ..policy(1) };
    let mut rig = Rig::new(quick.clone());
    rig.exit(WorkerId(1));
    rig.exit(WorkerId(2));
    crash(&mut rig, quick);
    rig.send(Event::Tick);
    assert_eq!(rig.spawns(), []);
    rig.pass(secs(1));
    let worker = rig.spawn();
    assert_eq!(worker, WorkerId(3), "no number is given twice");
    rig.exit(worker);
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Backoff)]);
}

#[test]
fn a_start_that_was_decided_and_not_done_is_done_by_the_next_shell() {
    let mut rig = Rig::ready(policy(1));
    rig.exit(WorkerId(1));
    crash(&mut rig, policy(1));
    rig.send(Event::Lost { worker: WorkerId(2) });
    rig.send(Event::Tick);
    assert_eq!(rig.spawns(), [(WorkerId(3), 1, 1)], "and does not count as a death");
}

#[test]
fn a_death_during_the_change_is_found_in_the_inventory() {
    let mut rig = Rig::ready(policy(1));
    crash(&mut rig, policy(1));
    rig.exit(WorkerId(1));
    rig.send(Event::Tick);
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn kill_is_sent_again_and_other_signals_only_where_they_never_went_out() {
    let mut rig = Rig::ready(policy(2));
    rig.scale(1);
    rig.send(Event::Stop { service: WEB, now: true });
    crash(&mut rig, policy(2));
    rig.send(Event::Tick);
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill), (WorkerId(2), Signal::Kill)]);

    let mut rig = Rig::ready(policy(2));
    rig.scale(1);
    crash(&mut rig, policy(2));
    rig.send(Event::Tick);
    assert_eq!(rig.signals(), [], "many programs take a second TERM for `at once`");
    rig.send(Event::Unsignalled { worker: WorkerId(2) });
    assert_eq!(rig.signals(), [(WorkerId(2), Signal::Term)]);
}

#[test]
fn beats_get_a_whole_timeout_after_it() {
    let beating = Policy { heartbeat: Some(Heartbeat { timeout: secs(10), signal: Signal::Kill }), ..policy(1) };
    let mut rig = Rig::ready(beating.clone());
    crash(&mut rig, beating);
    rig.now = rig.now.after(secs(60));
    rig.send(Event::Tick);
    assert_eq!(rig.signals(), []);
    rig.pass(secs(10));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
}

#[test]
fn a_rollout_goes_on() {
    let rolling = Policy {
        rollout: Rollout { surge: 1, unavailable: 0, settle: secs(2), prove: secs(2), ..Rollout::default() },
        ..policy(2)
    };
    let mut rig = Rig::ready(rolling.clone());
    rig.restart(2);
    rig.start_all();
    crash(&mut rig, rolling);
    rig.send(Event::Tick);
    for _ in 0..3 {
        rig.pass(secs(2));
        rig.obey();
    }
    assert_eq!(rig.rows(), [(1, 2, WorkerState::Ready), (2, 2, WorkerState::Ready)]);
}

#[test]
fn a_shutdown_goes_on() {
    let mut rig = Rig::ready(policy(1));
    rig.send(Event::Shutdown { now: false });
    crash(&mut rig, policy(1));
    rig.send(Event::Tick);
    rig.exit(WorkerId(1));
    assert!(rig.log.contains(&Action::Exit));
}

#[test]
fn an_exit_that_was_decided_and_not_done_is_decided_again() {
    let mut rig = Rig::ready(policy(1));
    rig.send(Event::Shutdown { now: false });
    rig.exit(WorkerId(1));
    crash(&mut rig, policy(1));
    rig.send(Event::Tick);
    assert_eq!(rig.take(), [Action::Exit]);
}

#[test]
fn without_memory_what_lives_is_adopted_and_nothing_is_started_meanwhile() {
    let mut rig = Rig::ready(policy(3));
    lose_memory(&mut rig, policy(3));
    for worker in 1..=2 {
        adopt(&mut rig, worker, u32::try_from(worker).expect("small"), 1, 1);
    }
    assert_eq!(rig.take().iter().filter(|action| matches!(action, Action::Spawn { .. })).count(), 0);
    rig.send(Event::Tick);
    assert_eq!(rig.spawns(), [(WorkerId(4), 3, 1)]);
    assert_eq!(rig.view().ready, 2);
}

#[test]
fn a_shell_that_forgets_the_tick_is_not_held_for_long() {
    let mut rig = Rig::ready(policy(2));
    lose_memory(&mut rig, policy(2));
    adopt(&mut rig, 1, 1, 1, 1);
    rig.log.clear();
    rig.pass(secs(1));
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn of_two_in_one_slot_the_first_serves() {
    let mut rig = Rig::ready(policy(1));
    lose_memory(&mut rig, policy(1));
    adopt(&mut rig, 1, 1, 1, 1);
    adopt(&mut rig, 2, 1, 2, 1);
    rig.send(Event::Tick);
    assert_eq!(rig.signals(), [(WorkerId(2), Signal::Term)]);
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Ready), (1, 1, WorkerState::Draining)]);
}

#[test]
fn one_beyond_the_wanted_number_leaves() {
    let mut rig = Rig::empty();
    rig.fleet = Fleet::restore(8, &Snapshot::default(), &[(WEB, policy(1), Epoch(1))]);
    adopt(&mut rig, 5, 1, 1, 1);
    adopt(&mut rig, 6, 2, 1, 1);
    rig.send(Event::Tick);
    assert_eq!(rig.signals(), [(WorkerId(6), Signal::Term)]);
}

#[test]
fn one_of_another_version_is_rolled() {
    let mut rig = Rig::empty();
    rig.fleet = Fleet::restore(8, &Snapshot::default(), &[(WEB, policy(2), Epoch(4))]);
    adopt(&mut rig, 1, 1, 1, 3);
    adopt(&mut rig, 2, 2, 1, 4);
    rig.send(Event::Tick);
    assert!(rig.view().rolling);
    assert_eq!(rig.spawns(), [(WorkerId(3), 1, 4)]);
}

#[test]
fn one_of_a_service_that_is_not_configured_any_more_leaves() {
    let mut rig = Rig::empty();
    rig.fleet = Fleet::restore(8, &Snapshot::default(), &[]);
    let service = ServiceId(44);
    let (slot, generation, epoch) = (Slot(1), Generation(1), Epoch(1));
    rig.send(Event::Adopt { worker: WorkerId(1), service, slot, generation, epoch });
    rig.send(Event::Tick);
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Term)]);
    rig.exit(WorkerId(1));
    assert_eq!(rig.fleet.services(), []);
}

#[test]
fn a_service_that_was_being_removed_goes_on_to_be() {
    let mut rig = Rig::ready(policy(1));
    rig.send(Event::Remove { service: WEB });
    let snapshot = rig.fleet.snapshot();
    rig.fleet = Fleet::restore(8, &snapshot, &[]);
    rig.send(Event::Tick);
    assert_eq!(rig.state(), ServiceState::Stopping);
    rig.exit(WorkerId(1));
    assert_eq!(rig.fleet.service(WEB), None);
}

#[test]
fn a_memory_that_contradicts_itself_is_no_panic() {
    let mut rig = Rig::ready(policy(2));
    let mut snapshot = rig.fleet.snapshot();
    let mut double = snapshot.services[0].clone();
    double.service = ServiceId(2);
    snapshot.services.push(double.clone());
    snapshot.services.push(double);
    snapshot.next_worker = 0;
    rig.fleet = Fleet::restore(8, &snapshot, &[(WEB, policy(2), Epoch(1)), (ServiceId(2), policy(0), Epoch(1))]);
    rig.log.clear();
    rig.send(Event::Tick);
    rig.exit(WorkerId(1));
    assert_eq!(rig.spawns(), [(WorkerId(3), 1, 1)]);
}
