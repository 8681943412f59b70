use super::rig::{Rig, WEB, millis, policy, secs};
use crate::fleet::{
    Action, Event, ExitStatus, GiveUp, Notice, Policy, ServiceState, Slot, StartLimit, WorkerId, WorkerState,
};

/// Lets every worker die 1 ms after its exec for `time`; answers the moments of the starts, in milliseconds.
fn crash_for(rig: &mut Rig, time: std::time::Duration) -> Vec<u64> {
    let (begin, until) = (rig.now, rig.now.after(time));
    let mut starts = Vec::new();
    while rig.now < until {
        for (worker, ..) in rig.spawns() {
            starts.push(u64::try_from(rig.now.since(begin).as_millis()).expect("short"));
            rig.send(Event::Spawned { worker });
            rig.now = rig.now.after(millis(1));
            rig.exit(worker);
        }
        if rig.log.iter().any(|action| matches!(action, Action::Spawn { .. })) {
            continue;
        }
        rig.now = rig.fleet.deadline().map_or(until, |(at, _)| at);
        rig.send(Event::Tick);
    }
    starts
}

#[test]
fn five_starts_in_ten_seconds_then_one_every_thirty() {
    let mut rig = Rig::new(policy(1));
    let starts = crash_for(&mut rig, secs(200));
    let (burst, tries) = starts.split_at(5);
    assert!(burst[4] < 10_000, "{starts:?}");
    assert!(!tries.is_empty() && tries.len() <= 6, "{starts:?}");
    for pair in starts[4..].windows(2) {
        assert!(pair[1] - pair[0] >= 30_000, "{starts:?}");
    }
    assert!(starts.windows(6).all(|window| window[5] - window[0] > 10_000), "{starts:?}");
}

#[test]
fn a_failed_slot_is_noticed_and_shown_and_the_rest_serves() {
    let mut rig = Rig::ready(Policy { start_limit: limit(1, GiveUp::Retry), ..policy(2) });
    rig.exit(WorkerId(1));
    let failed = |notice: &Notice| matches!(notice, Notice::SlotFailed { service: WEB, slot: Slot(1), retry: Some(retry) } if *retry >= secs(30));
    assert!(rig.noticed(failed));
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Failed), (2, 1, WorkerState::Ready)]);
    assert_eq!(rig.state(), ServiceState::Degraded);
    rig.exit(WorkerId(2));
    assert_eq!(rig.state(), ServiceState::Failed);
}

#[test]
fn a_stable_time_forgives() {
    let mut rig = Rig::ready(Policy { start_limit: limit(1, GiveUp::Retry), ..policy(1) });
    rig.exit(WorkerId(1));
    rig.log.clear();
    rig.pass(secs(33));
    let worker = rig.spawn();
    rig.serve(worker);
    assert_eq!(rig.state(), ServiceState::Ready);
    rig.pass(secs(10));
    rig.exit(worker);
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn giving_up_is_final_until_somebody_starts_restarts_or_changes_it() {
    let commands: [fn(&mut Rig); 3] = [
        |rig| rig.send(Event::Start { service: WEB }),
        |rig| rig.restart(1),
        |rig| rig.define(WEB, Policy { start_limit: limit(2, GiveUp::Final), ..policy(1) }, 1),
    ];
    for command in commands {
        let mut rig = Rig::ready(Policy { start_limit: limit(1, GiveUp::Final), ..policy(1) });
        rig.exit(WorkerId(1));
        rig.log.clear();
        rig.pass(secs(86_400));
        assert_eq!((rig.spawns().len(), rig.fleet.deadline()), (0, None));
        command(&mut rig);
        assert_eq!(rig.spawns().len(), 1);
    }
}

#[test]
fn an_unrecoverable_exit_code_fails_the_slot_at_once() {
    let mut rig = Rig::ready(Policy { unrecoverable_exit_codes: vec![3], ..policy(2) });
    rig.send(Event::Exited { worker: WorkerId(1), status: ExitStatus::Code(3) });
    assert!(rig.noticed(|notice| matches!(notice, Notice::SlotFailed { retry: None, .. })));
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Failed), (2, 1, WorkerState::Ready)]);
    assert_eq!(rig.spawns(), []);
}

#[test]
fn what_operators_and_rollouts_start_is_not_counted() {
    let mut rig = Rig::ready(Policy { start_limit: limit(2, GiveUp::Final), ..policy(1) });
    for _ in 0..20 {
        rig.restart(1);
        rig.obey();
        rig.pass(secs(3));
        rig.obey();
        rig.log.clear();
    }
    assert_eq!(rig.state(), ServiceState::Ready);
    let worker = rig.newest(1);
    rig.exit(worker);
    assert_eq!(rig.spawns().len(), 1, "the first death among twenty commands is the first");
}

#[test]
fn a_machine_that_is_full_for_a_moment_gives_up_no_slot() {
    let mut rig = Rig::new(Policy { start_limit: limit(2, GiveUp::Final), ..policy(1) });
    for _ in 0..10 {
        let worker = rig.spawn();
        rig.send(Event::SpawnFailed { worker, transient: true });
        rig.log.retain(|action| matches!(action, Action::Spawn { .. }));
        if rig.log.is_empty() {
            rig.pass(secs(31));
        }
    }
    assert_ne!(rig.state(), ServiceState::Failed);
}

fn limit(count: u32, then: GiveUp) -> Option<StartLimit> {
    Some(StartLimit { count, within: secs(10), then })
}
