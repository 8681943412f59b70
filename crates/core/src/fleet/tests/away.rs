use super::rig::{Rig, WEB, ladder, millis, policy, secs};
use crate::Signal;
use crate::fleet::{Event, Heartbeat, Notice, Policy, WorkerId};

fn beating() -> Policy {
    Policy { heartbeat: Some(Heartbeat { timeout: secs(30), signal: Signal::Kill }), ..policy(1) }
}

/// The shell stands still, then handles `event` before anything else.
fn stand_still(rig: &mut Rig, time: std::time::Duration, event: Event) {
    rig.now = rig.now.after(time);
    rig.send(event);
}

#[test]
fn nobody_is_killed_for_the_time_in_which_the_shell_stood_still() {
    for first in [Event::Tick, Event::Start { service: WEB }] {
        let mut rig = Rig::ready(beating());
        stand_still(&mut rig, secs(90), first);
        assert!(rig.noticed(|notice| *notice == Notice::WasAway { away: secs(61) }));
        assert_eq!(rig.signals(), []);
        rig.pass(millis(29_999));
        assert_eq!(rig.signals(), [], "beats of the time away may still be queued");
        rig.pass(millis(1));
        assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)], "one that is stuck is found one timeout later");
    }
}

#[test]
fn a_little_late_is_no_absence() {
    let mut rig = Rig::ready(beating());
    rig.pass(secs(29));
    stand_still(&mut rig, millis(1200), Event::Tick);
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
}

/// Whatever part of the last seconds before the end of a silence was a standstill, and however short.
#[test]
fn nobody_is_called_silent_before_it_could_speak_again() {
    for (before, away) in [(0, 29_300), (0, 29_900), (10_000, 20_000), (28_500, 1_400), (29_000, 1_300), (29_900, 900)]
    {
        let mut rig = Rig::ready(beating());
        rig.pass(millis(before));
        stand_still(&mut rig, millis(away), Event::Tick);
        assert_eq!(rig.signals(), [], "{before} ms, then {away} ms of standstill");
        rig.pass(millis(499));
        rig.send(Event::Beat { worker: WorkerId(1) });
        rig.pass(millis(29_999));
        assert_eq!(rig.signals(), [], "{before} ms, then {away} ms of standstill, then it spoke");
    }
}

#[test]
fn one_that_is_stuck_is_found_a_second_after_a_late_look() {
    let mut rig = Rig::ready(beating());
    stand_still(&mut rig, secs(30), Event::Tick);
    rig.pass(millis(999));
    assert_eq!(rig.signals(), []);
    rig.pass(millis(1));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
}

#[test]
fn a_booting_worker_keeps_the_time_it_had_left() {
    let mut rig = Rig::new(policy(1));
    rig.send(Event::Spawned { worker: WorkerId(1) });
    rig.pass(secs(20));
    rig.send(Event::Tick);
    rig.log.clear();
    stand_still(&mut rig, secs(300), Event::Tick);
    rig.pass(millis(39_999));
    assert_eq!(rig.signals(), []);
    rig.pass(millis(1));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
}

#[test]
fn a_stopping_worker_keeps_its_grace() {
    let mut rig = Rig::ready(Policy { stop: ladder(&[(Signal::Term, 10)]), ..policy(1) });
    rig.send(Event::Stop { service: WEB, now: false });
    rig.log.clear();
    stand_still(&mut rig, secs(60), Event::Tick);
    assert_eq!(rig.signals(), [], "a request that can finish within the grace is finished");
    rig.pass(secs(10));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
}

#[test]
fn a_wait_before_a_start_is_over_when_it_is_over() {
    let mut rig = Rig::new(Policy { start_limit: None, ..policy(1) });
    rig.exit(WorkerId(1));
    rig.exit(WorkerId(2));
    rig.log.clear();
    stand_still(&mut rig, secs(60), Event::Tick);
    assert_eq!(rig.spawns().len(), 1);
}
