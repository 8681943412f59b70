use super::rig::{Rig, policy, secs};
use crate::Signal;
use crate::fleet::{Event, ExitStatus, Policy, Restart, ServiceId, ServiceState, WorkerId};

const DB: ServiceId = ServiceId(2);
const APP: ServiceId = ServiceId(1);

fn after(service: ServiceId) -> Policy {
    Policy { after: vec![service], ..policy(1) }
}

#[test]
fn a_service_starts_when_those_before_it_are_ready_whatever_the_order_of_definition() {
    let mut rig = Rig::empty();
    rig.define(APP, after(DB), 1);
    assert_eq!(rig.spawns(), [], "it is not known yet");
    rig.define(DB, policy(1), 1);
    let db = rig.spawn();
    rig.send(Event::Spawned { worker: db });
    assert_eq!(rig.spawns(), []);
    rig.send(Event::Ready { worker: db });
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn a_oneshot_that_finished_lets_others_start() {
    let mut rig = Rig::empty();
    rig.define(DB, Policy { restart: Restart::OnFailure, ..policy(1) }, 1);
    rig.define(APP, after(DB), 1);
    let migrate = rig.spawn();
    rig.send(Event::Spawned { worker: migrate });
    rig.send(Event::Exited { worker: migrate, status: ExitStatus::Code(0) });
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn only_the_first_start_waits() {
    let mut rig = Rig::empty();
    rig.define(DB, policy(1), 1);
    rig.define(APP, after(DB), 1);
    rig.start_all();
    rig.send(Event::Stop { service: DB, now: true });
    rig.log.clear();
    rig.exit(WorkerId(2));
    assert_eq!(rig.spawns().len(), 1, "the app is restarted though its database is down");
    rig.send(Event::Stop { service: APP, now: true });
    rig.exit(WorkerId(3));
    rig.exit(WorkerId(1));
    rig.send(Event::Start { service: APP });
    assert_eq!(rig.spawns(), [], "but started anew only with it");
}

#[test]
fn a_shutdown_stops_in_reverse_order() {
    let mut rig = Rig::empty();
    rig.define(DB, policy(1), 1);
    rig.define(APP, after(DB), 1);
    rig.start_all();
    rig.log.clear();
    rig.send(Event::Shutdown { now: false });
    assert_eq!(rig.signals(), [(WorkerId(2), Signal::Term)]);
    rig.exit(WorkerId(2));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Term)]);
    rig.exit(WorkerId(1));
    assert!(rig.log.contains(&crate::fleet::Action::Exit));
}

#[test]
fn a_worker_that_dies_while_its_service_waits_to_be_stopped_is_not_replaced() {
    let mut rig = Rig::empty();
    rig.define(DB, policy(1), 1);
    rig.define(APP, after(DB), 1);
    rig.start_all();
    rig.send(Event::Shutdown { now: false });
    rig.log.clear();
    rig.exit(WorkerId(1));
    rig.pass(secs(3));
    assert_eq!(rig.spawns(), []);
}

#[test]
fn a_circle_that_nobody_refused_still_ends() {
    let mut rig = Rig::empty();
    rig.define(DB, policy(1), 1);
    rig.define(APP, policy(1), 1);
    rig.start_all();
    rig.define(DB, after(APP), 1);
    rig.define(APP, after(DB), 1);
    rig.log.clear();
    rig.send(Event::Shutdown { now: false });
    assert_eq!(rig.signals().len(), 2);
}

#[test]
fn a_dependency_that_failed_holds_the_start_back() {
    let mut rig = Rig::empty();
    rig.define(DB, Policy { unrecoverable_exit_codes: vec![1], ..policy(1) }, 1);
    rig.define(APP, after(DB), 1);
    let db = rig.spawn();
    rig.exit(db);
    assert_eq!(rig.fleet.service(DB).map(|view| view.state), Some(ServiceState::Failed));
    assert_eq!(rig.spawns(), []);
}
