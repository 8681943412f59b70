use super::rig::{Rig, WEB, policy, secs};
use crate::Signal;
use crate::fleet::{DrainReason, Event, Notice, Policy, Recycle, Rollout, StopReason, Why, WorkerId, WorkerState};

fn recycled(workers: u32, jitter: f64) -> Policy {
    Policy { recycle: Recycle { age: Some(secs(100)), jitter }, ..policy(workers) }
}

#[test]
fn an_old_worker_is_replaced_replacement_first() {
    let mut rig = Rig::ready(recycled(1, 0.0));
    assert!(matches!(rig.fleet.deadline(), Some((_, Why::Recycle(_)))));
    rig.pass(secs(100));
    assert_eq!(rig.signals(), []);
    let next = rig.newest(1);
    rig.serve(next);
    rig.log.clear();
    rig.pass(secs(2));
    let recycled = Notice::WorkerDraining { worker: WorkerId(1), reason: DrainReason::Asked(StopReason::Recycle) };
    assert!(rig.noticed(|notice| *notice == recycled));
    rig.exit(WorkerId(1));
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Ready)]);
    assert_eq!(rig.view().workers[0].restarts, 0);
}

#[test]
fn equal_workers_do_not_leave_together() {
    let mut rig = Rig::ready(recycled(8, 0.5));
    let mut moments: Vec<_> = (1..=8).map(|worker| moment(&mut rig, worker)).collect();
    moments.sort_unstable();
    moments.dedup();
    assert_eq!(moments.len(), 8);
    assert!(moments.iter().all(|at| (50..=100).contains(at)), "{moments:?}");
    assert!(moments[7] - moments[0] > 10, "{moments:?}");
}

/// When the worker is old enough, in seconds since the boot.
fn moment(rig: &mut Rig, worker: u64) -> u64 {
    let snapshot = rig.fleet.snapshot();
    let workers = snapshot.services[0].slots.iter().flat_map(|slot| &slot.workers);
    let phase = workers.filter(|known| known.worker == WorkerId(worker)).map(|known| known.phase).next();
    match phase {
        Some(crate::fleet::Phase::Ready { recycle_at: Some(at), .. }) => at.since(rig.now).as_secs(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_replacement_that_fails_leaves_the_old_one_and_is_tried_again_later() {
    let mut rig = Rig::ready(recycled(1, 0.0));
    rig.pass(secs(100));
    let next = rig.spawn();
    rig.exit(next);
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Ready)]);
    assert_eq!(rig.spawns(), [], "not at once");
    rig.pass(secs(1));
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn no_more_than_surge_at_a_time() {
    let mut rig = Rig::ready(recycled(4, 0.0));
    rig.pass(secs(100));
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn without_surge_the_old_one_goes_first() {
    let rollout = Rollout { surge: 0, unavailable: 1, settle: secs(1), prove: secs(1), ..Rollout::default() };
    let mut rig = Rig::ready(Policy { rollout, ..recycled(2, 0.0) });
    rig.pass(secs(100));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Term)]);
    rig.exit(WorkerId(1));
    rig.start_all();
    assert_eq!(rig.signals(), [(WorkerId(2), Signal::Term)], "the next one when nobody is missing");
}

#[test]
fn a_new_age_holds_for_workers_that_run() {
    let mut rig = Rig::ready(recycled(1, 0.0));
    rig.pass(secs(50));
    rig.define(WEB, Policy { recycle: Recycle { age: Some(secs(50)), jitter: 0.0 }, ..policy(1) }, 1);
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn a_jitter_that_is_no_number_is_none() {
    for jitter in [f64::NAN, f64::NEG_INFINITY, -1.0] {
        let mut rig = Rig::ready(recycled(1, jitter));
        assert_eq!(moment(&mut rig, 1), 100);
    }
}

#[test]
fn a_worker_that_ends_by_itself_is_not_recycled_too() {
    let mut rig = Rig::ready(recycled(1, 0.0));
    rig.pass(secs(95));
    rig.send(Event::Stopping { worker: WorkerId(1) });
    assert_eq!(rig.spawns().len(), 1);
    rig.pass(secs(10));
    assert_eq!(rig.spawns(), []);
}

#[test]
fn one_that_has_outgrown_its_bound_is_replaced_like_an_old_one() {
    let mut rig = Rig::ready(Policy { recycle: Recycle::default(), ..policy(1) });
    rig.send(Event::Outgrown { worker: WorkerId(1) });
    assert_eq!(rig.signals(), [], "replacement first");
    rig.send(Event::Outgrown { worker: WorkerId(1) });
    let next = rig.newest(1);
    rig.serve(next);
    rig.pass(secs(2));
    rig.exit(WorkerId(1));
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Ready)]);
    assert_eq!(rig.view().workers[0].restarts, 0);
}
