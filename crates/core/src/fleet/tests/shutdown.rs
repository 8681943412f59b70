use super::rig::{Rig, WEB, policy, secs};
use crate::Signal;
use crate::fleet::{Action, Epoch, Event, Pace, Policy, ServiceId, ServiceState, WorkerId};

fn exits(rig: &Rig) -> usize {
    rig.log.iter().filter(|action| **action == Action::Exit).count()
}

#[test]
fn the_engine_ends_once_when_the_last_worker_is_gone() {
    let mut rig = Rig::ready(policy(2));
    rig.send(Event::Shutdown { now: false });
    assert!(rig.fleet.stopping());
    rig.exit(WorkerId(1));
    assert_eq!(exits(&rig), 0);
    rig.exit(WorkerId(2));
    assert_eq!(exits(&rig), 1);
    rig.send(Event::Tick);
    rig.send(Event::Shutdown { now: true });
    assert_eq!(exits(&rig), 1);
}

#[test]
fn with_nothing_to_stop_it_ends_at_once() {
    let mut rig = Rig::empty();
    rig.send(Event::Shutdown { now: false });
    assert_eq!(rig.take(), [Action::Exit]);
}

#[test]
fn a_second_one_with_now_acts_at_once() {
    let mut rig = Rig::ready(policy(2));
    rig.send(Event::Shutdown { now: false });
    rig.log.clear();
    rig.send(Event::Shutdown { now: true });
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill), (WorkerId(2), Signal::Kill)]);
}

#[test]
fn nothing_is_started_after_it_whatever_was_waiting() {
    let waiting: [fn() -> Rig; 4] = [
        // A backoff.
        || {
            let mut rig = Rig::ready(Policy { start_limit: None, ..policy(2) });
            rig.exit(WorkerId(1));
            rig.exit(WorkerId(3));
            rig
        },
        // A staggered start.
        || Rig::new(Policy { start_delay: secs(1), ..policy(5) }),
        // A rollout.
        || {
            let mut rig = Rig::ready(policy(3));
            rig.restart(2);
            rig
        },
        // A service that waits for another.
        || {
            let mut rig = Rig::new(policy(1));
            rig.define(ServiceId(2), Policy { after: vec![WEB], ..policy(1) }, 1);
            rig
        },
    ];
    for make in waiting {
        let mut rig = make();
        let begun: Vec<_> = rig.view().workers.iter().filter_map(|row| row.worker).collect();
        rig.send(Event::Shutdown { now: false });
        rig.log.clear();
        rig.pass(secs(5));
        for worker in begun {
            rig.send(Event::Spawned { worker });
            rig.send(Event::Ready { worker });
            rig.exit(worker);
        }
        assert_eq!(exits(&rig), 1);
        assert_eq!(rig.spawns(), []);
    }
}

#[test]
fn commands_that_would_have_something_run_are_refused() {
    let mut rig = Rig::ready(policy(1));
    rig.send(Event::Shutdown { now: false });
    rig.log.clear();
    rig.define(ServiceId(2), policy(1), 1);
    rig.send(Event::Start { service: WEB });
    rig.scale(5);
    rig.restart(2);
    rig.send(Event::Restart { service: WEB, slot: None, epoch: Epoch(3), pace: Pace::Gradual });
    assert_eq!(rig.take(), []);
    assert_eq!(rig.state(), ServiceState::Stopping);
}

#[test]
fn one_service_can_still_be_killed() {
    let mut rig = Rig::ready(policy(1));
    rig.send(Event::Shutdown { now: false });
    rig.log.clear();
    rig.send(Event::Stop { service: WEB, now: true });
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
}
