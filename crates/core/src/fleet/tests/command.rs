use super::rig::{Rig, WEB, policy, secs};
use crate::Signal;
use crate::fleet::{Epoch, Event, Notice, Pace, Policy, Restart, ServiceId, ServiceState, Slot, WorkerId, WorkerState};

#[test]
fn a_service_nobody_defined_is_no_harm() {
    let mut rig = Rig::empty();
    let service = ServiceId(9);
    for event in [
        Event::Start { service },
        Event::Stop { service, now: true },
        Event::Scale { service, workers: 3 },
        Event::Restart { service, slot: None, epoch: Epoch(1), pace: Pace::Gradual },
        Event::Remove { service },
        Event::Tick,
    ] {
        rig.send(event);
    }
    assert_eq!((rig.take(), rig.fleet.services(), rig.fleet.deadline()), (vec![], vec![], None));
}

#[test]
fn the_same_definition_again_changes_nothing() {
    let mut rig = Rig::ready(policy(2));
    let before = rig.fleet.snapshot();
    rig.define(WEB, policy(2), 1);
    assert_eq!((rig.take(), rig.fleet.snapshot()), (vec![], before));
}

#[test]
fn numbers_change_without_a_restart() {
    let mut rig = Rig::ready(policy(2));
    rig.define(WEB, Policy { workers: 3, restart: Restart::Never, ..policy(2) }, 1);
    assert_eq!(rig.spawns(), [(WorkerId(3), 3, 1)]);
    rig.serve(WorkerId(3));
    rig.exit(WorkerId(1));
    assert_eq!(rig.spawns(), [], "the new restart policy holds for old workers");
}

#[test]
fn a_shorter_ready_timeout_holds_for_a_boot_that_runs() {
    let mut rig = Rig::new(policy(1));
    rig.send(Event::Spawned { worker: WorkerId(1) });
    rig.pass(secs(10));
    rig.log.clear();
    rig.define(WEB, Policy { ready_timeout: secs(5), ..policy(1) }, 1);
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
}

#[test]
fn a_new_version_of_a_running_service_is_rolled_out() {
    let mut rig = Rig::ready(policy(2));
    rig.define(WEB, policy(2), 2);
    assert!(rig.noticed(|notice| *notice == Notice::RolloutStarted { service: WEB, epoch: Epoch(2), total: 2 }));
    assert!(rig.view().rolling);
}

#[test]
fn a_new_version_of_a_stopped_service_waits_for_its_start() {
    let mut rig = Rig::ready(policy(1));
    rig.send(Event::Stop { service: WEB, now: false });
    rig.obey();
    rig.log.clear();
    rig.define(WEB, policy(1), 2);
    assert_eq!(rig.take(), []);
    rig.send(Event::Start { service: WEB });
    assert_eq!(rig.spawns(), [(WorkerId(2), 1, 2)]);
}

#[test]
fn restart_starts_a_stopped_service_with_the_version_it_names() {
    let mut rig = Rig::ready(policy(2));
    rig.send(Event::Stop { service: WEB, now: false });
    rig.obey();
    rig.log.clear();
    rig.restart(2);
    assert!(rig.noticed(|notice| matches!(notice, Notice::RolloutStarted { total: 2, .. })));
    rig.obey();
    rig.pass(secs(2));
    assert!(rig.noticed(|notice| matches!(notice, Notice::RolloutFinished { .. })));
    assert_eq!(rig.rows(), [(1, 2, WorkerState::Ready), (2, 2, WorkerState::Ready)]);
}

#[test]
fn states_are_told_as_they_change() {
    let mut rig = Rig::new(policy(2));
    rig.start_all();
    rig.exit(WorkerId(1));
    rig.start_all();
    rig.send(Event::Stop { service: WEB, now: true });
    rig.exit(WorkerId(2));
    rig.exit(WorkerId(3));
    let told: Vec<_> = rig
        .take()
        .into_iter()
        .filter_map(|action| match action {
            crate::fleet::Action::Notice(Notice::ServiceChanged { to, .. }) => Some(to),
            _ => None,
        })
        .collect();
    use ServiceState as S;
    assert_eq!(told, [S::Starting, S::Ready, S::Degraded, S::Ready, S::Stopping, S::Stopped]);
}

#[test]
fn restarting_a_slot_that_is_not_wanted_is_answered_at_once() {
    let mut rig = Rig::ready(policy(1));
    rig.send(Event::Restart { service: WEB, slot: Some(Slot(7)), epoch: Epoch(1), pace: Pace::Gradual });
    assert!(rig.noticed(|notice| matches!(notice, Notice::RolloutStarted { total: 0, .. })));
    assert!(rig.noticed(|notice| matches!(notice, Notice::RolloutFinished { .. })));
}
