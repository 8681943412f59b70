//! When an engine that ends by itself does, and with which code.

use super::rig::{Rig, WEB, policy};
use crate::fleet::{
    EndWhen, Event, ExitStatus, GiveUp, Outcome, Policy, Restart, ServiceId, ServiceState, Slot, StartLimit, WorkerId,
};

const DB: ServiceId = ServiceId(2);

/// One-off programs; `3` is their unrecoverable code.
fn once(workers: u32) -> Policy {
    Policy { restart: Restart::Never, unrecoverable_exit_codes: vec![3], ..policy(workers) }
}

fn end(rig: &mut Rig, worker: u64, code: u8) {
    rig.send(Event::Exited { worker: WorkerId(worker), status: ExitStatus::Code(code) });
}

fn outcome(rig: &Rig, when: EndWhen) -> Option<(u8, Option<u32>)> {
    rig.fleet.outcome(when, &[WEB]).map(|outcome| (outcome.code, outcome.failed.map(|(_, slot)| slot.0)))
}

#[test]
fn what_ended_well_has_finished() {
    let mut rig = Rig::ready(once(2));
    end(&mut rig, 1, 0);
    assert_eq!(outcome(&rig, EndWhen::AllDone), None, "one works on");
    end(&mut rig, 2, 0);
    assert_eq!(rig.state(), ServiceState::Finished);
    assert_eq!(outcome(&rig, EndWhen::AllDone), Some((0, None)));
    assert_eq!(outcome(&rig, EndWhen::AnyFailed), None);
    assert_eq!(outcome(&rig, EndWhen::Never), None);
}

#[test]
fn what_ended_badly_and_is_not_started_again_has_failed() {
    let mut rig = Rig::ready(once(2));
    end(&mut rig, 1, 0);
    end(&mut rig, 2, 5);
    assert_eq!(rig.state(), ServiceState::Failed);
    assert_eq!(rig.spawns(), []);
    assert_eq!(outcome(&rig, EndWhen::AllDone), Some((1, Some(2))));
    assert_eq!(outcome(&rig, EndWhen::AnyFailed), Some((1, Some(2))));
}

#[test]
fn one_worker_that_failed_for_good_is_enough_beside_others_that_serve() {
    let mut rig = Rig::ready(Policy { restart: Restart::Always, ..once(3) });
    end(&mut rig, 2, 3);
    assert_eq!(rig.state(), ServiceState::Degraded);
    assert_eq!(outcome(&rig, EndWhen::AnyFailed), Some((3, Some(2))));
    assert_eq!(outcome(&rig, EndWhen::AllDone), None, "two work on");
}

#[test]
fn the_unrecoverable_code_is_the_engines_whoever_failed_first() {
    let mut rig = Rig::ready(once(3));
    for (worker, code) in [(1, 1), (2, 3), (3, 0)] {
        end(&mut rig, worker, code);
    }
    assert_eq!(outcome(&rig, EndWhen::AllDone), Some((3, Some(2))));
}

#[test]
fn a_slot_that_is_tried_again_is_not_done() {
    for (then, done) in [(GiveUp::Retry, None), (GiveUp::Final, Some((1, Some(1))))] {
        let limit = StartLimit { count: 1, within: super::rig::secs(10), then };
        let mut rig = Rig::ready(Policy { start_limit: Some(limit), ..policy(1) });
        end(&mut rig, 1, 1);
        assert_eq!(outcome(&rig, EndWhen::AllDone), done);
        assert_eq!(outcome(&rig, EndWhen::AnyFailed), Some((1, Some(1))), "the service failed all the same");
    }
}

#[test]
fn who_waits_for_ever_for_one_that_failed_is_done_as_well() {
    let mut rig = Rig::empty();
    rig.define(DB, once(1), 1);
    rig.define(WEB, Policy { after: vec![DB], ..policy(2) }, 1);
    rig.define(ServiceId(3), Policy { after: vec![WEB], ..policy(2) }, 1);
    let all = [WEB, DB, ServiceId(3)];
    assert_eq!(rig.fleet.outcome(EndWhen::AllDone, &all), None);
    end(&mut rig, 1, 7);
    let failed = Some(Outcome { code: 1, failed: Some((DB, Slot(1))) });
    assert_eq!(rig.fleet.outcome(EndWhen::AllDone, &all), failed);
    rig.send(Event::Start { service: DB });
    assert_eq!(rig.fleet.outcome(EndWhen::AllDone, &all), None, "it may work this time");
}

#[test]
fn a_stop_that_runs_is_judged_no_more() {
    let mut rig = Rig::ready(once(1));
    rig.send(Event::Shutdown { now: false });
    end(&mut rig, 1, 5);
    assert_eq!(outcome(&rig, EndWhen::AnyFailed), None);
}
