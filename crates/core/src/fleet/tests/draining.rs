use super::rig::{Rig, WEB, ladder, policy, secs};
use crate::Signal;
use crate::fleet::{Action, Epoch, Event, Pace, Policy, Rollout, WorkerId, WorkerState};

/// Two workers; those that are replaced drain for up to ten minutes, `draining` generations beside the others.
fn slow(draining: u32) -> Policy {
    let rollout = Rollout { settle: secs(2), prove: secs(2), drain: Some(secs(600)), draining, ..Rollout::default() };
    Policy { rollout, stop: ladder(&[(Signal::Term, 30)]), ..policy(2) }
}

/// A whole rollout of workers that drain on and on.
fn roll(rig: &mut Rig, epoch: u64) {
    rig.restart(epoch);
    for _ in 0..4 {
        rig.start_all();
        rig.pass(secs(2));
    }
    assert!(!rig.view().rolling, "{:?}", rig.rows());
}

fn draining(rig: &Rig) -> Vec<u64> {
    let draining = rig.rows().into_iter().filter(|(.., state)| *state == WorkerState::Draining);
    draining.map(|(_, epoch, _)| epoch).collect()
}

#[test]
fn by_default_a_rollout_waits_for_those_that_drain() {
    let mut rig = Rig::ready(slow(0));
    rig.restart(2);
    for _ in 0..20 {
        rig.start_all();
        rig.pass(secs(2));
        assert!(rig.rows().len() <= 3);
    }
    assert!(rig.view().rolling);
}

#[test]
fn a_generation_may_drain_beside_the_wanted_ones() {
    let mut rig = Rig::ready(slow(1));
    roll(&mut rig, 2);
    assert_eq!(draining(&rig), [1, 1]);
    assert_eq!(rig.view().ready, 2);
}

#[test]
fn five_rollouts_in_a_row_leave_no_more_generations_than_allowed() {
    let mut rig = Rig::ready(slow(2));
    for epoch in 2..=6 {
        roll(&mut rig, epoch);
        let mut drain = draining(&rig);
        drain.sort_unstable();
        drain.dedup();
        assert!(drain.len() <= 2 && rig.rows().len() <= 2 + 1 + 2 * 2 + 2, "{:?}", rig.rows());
        for (worker, signal) in rig.signals() {
            if signal == Signal::Kill {
                rig.exit(worker);
            }
        }
    }
    assert_eq!(draining(&rig), [4, 5, 4, 5]);
}

#[test]
fn each_is_ended_at_its_deadline() {
    let mut rig = Rig::ready(slow(1));
    roll(&mut rig, 2);
    rig.log.clear();
    rig.pass(secs(590));
    assert_eq!(rig.signals(), []);
    rig.pass(secs(10));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill), (WorkerId(2), Signal::Kill)]);
}

#[test]
fn a_stop_leaves_them_no_longer_than_the_others() {
    let mut rig = Rig::ready(slow(1));
    roll(&mut rig, 2);
    rig.send(Event::Stop { service: WEB, now: false });
    rig.log.clear();
    rig.pass(secs(30));
    assert_eq!(rig.signals().len(), 4, "KILL to the old and to the new ones");
}

#[test]
fn detached_the_whole_new_set_starts_beside_the_old_one() {
    let mut rig = Rig::ready(Policy { workers: 4, ..slow(0) });
    rig.send(Event::Restart { service: WEB, slot: None, epoch: Epoch(2), pace: Pace::Detached });
    let canary = rig.spawn();
    rig.serve(canary);
    rig.pass(secs(2));
    let rest = rig.spawns();
    assert_eq!(rest.len(), 3, "once one has proved itself, all others at once");
    for (worker, ..) in rest {
        rig.serve(worker);
    }
    rig.pass(secs(2));
    assert_eq!((rig.view().ready, draining(&rig).len()), (4, 4));
    assert!(!rig.log.iter().any(|action| matches!(action, Action::Signal { signal: Signal::Kill, .. })));
    rig.restart(3);
    assert_eq!(rig.spawns().len(), 1, "they hold up no other rollout");
}
