use super::rig::{Rig, WEB, ladder, millis, policy, secs};
use crate::Signal;
use crate::fleet::{Action, Event, ExitReason, Heartbeat, Notice, Policy, Scope, Why, WorkerId};

fn beating(signal: Signal) -> Policy {
    Policy { heartbeat: Some(Heartbeat { timeout: secs(30), signal }), ..policy(1) }
}

#[test]
fn a_worker_owes_beats_from_ready_on() {
    let mut rig = Rig::new(beating(Signal::Kill));
    rig.send(Event::Spawned { worker: WorkerId(1) });
    assert!(matches!(rig.fleet.deadline(), Some((_, Why::Ready(_)))));
    rig.send(Event::Ready { worker: WorkerId(1) });
    assert_eq!(rig.fleet.deadline(), Some((rig.now.after(secs(29)), Why::Heartbeat(WorkerId(1)))), "a last look");
    rig.pass(secs(29));
    assert_eq!(rig.fleet.deadline(), Some((rig.now.after(secs(1)), Why::Heartbeat(WorkerId(1)))));
}

#[test]
fn a_beat_is_good_for_one_timeout() {
    let mut rig = Rig::ready(beating(Signal::Kill));
    for _ in 0..10 {
        rig.pass(millis(29_999));
        rig.send(Event::Beat { worker: WorkerId(1) });
    }
    assert_eq!(rig.take(), [], "and a beat costs no action");
}

#[test]
fn a_silent_worker_is_killed_and_its_replacement_started_at_once() {
    let mut rig = Rig::ready(beating(Signal::Kill));
    rig.pass(secs(10));
    rig.send(Event::Beat { worker: WorkerId(1) });
    rig.pass(secs(30));
    let lost = Notice::HeartbeatLost { worker: WorkerId(1), silent: secs(30) };
    assert!(rig.noticed(|notice| *notice == lost));
    let kill = Action::Signal { worker: WorkerId(1), signal: Signal::Kill, scope: Scope::Group, word: None };
    assert!(rig.log.contains(&kill));
    assert_eq!(rig.spawn(), WorkerId(2));
    rig.exit(WorkerId(1));
    assert_eq!(rig.view().workers[0].last_exit.map(|exit| exit.reason), Some(ExitReason::Heartbeat));
}

#[test]
fn another_signal_is_followed_by_kill_after_the_last_step_of_the_ladder() {
    let mut rig =
        Rig::ready(Policy { stop: ladder(&[(Signal::Term, 20), (Signal::Quit, 3)]), ..beating(Signal::Abrt) });
    rig.pass(secs(30));
    let abort = Action::Signal { worker: WorkerId(1), signal: Signal::Abrt, scope: Scope::Process, word: None };
    assert!(rig.log.contains(&abort));
    rig.start_all();
    rig.log.clear();
    rig.pass(secs(3));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
}

#[test]
fn a_known_long_step_may_be_announced() {
    let mut rig = Rig::ready(beating(Signal::Kill));
    rig.send(Event::Extend { worker: WorkerId(1), by: secs(120) });
    rig.pass(secs(5));
    rig.send(Event::Beat { worker: WorkerId(1) });
    rig.pass(secs(114));
    assert_eq!(rig.signals(), [], "a beat does not shorten it");
    rig.pass(secs(1));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
}

#[test]
fn a_draining_worker_owes_no_beats() {
    let mut rig = Rig::ready(Policy { stop: ladder(&[(Signal::Term, 100)]), ..beating(Signal::Kill) });
    rig.send(Event::Stop { service: WEB, now: false });
    rig.log.clear();
    rig.pass(secs(99));
    assert_eq!(rig.take(), []);
}

#[test]
fn a_new_timeout_holds_at_once_and_runs_from_now() {
    let mut rig = Rig::ready(beating(Signal::Kill));
    rig.pass(secs(20));
    let shorter = Some(Heartbeat { timeout: secs(5), signal: Signal::Kill });
    rig.define(WEB, Policy { heartbeat: shorter, ..policy(1) }, 1);
    assert_eq!(rig.fleet.deadline(), Some((rig.now.after(secs(4)), Why::Heartbeat(WorkerId(1)))), "a last look");
    rig.pass(secs(4));
    assert_eq!(rig.fleet.deadline(), Some((rig.now.after(secs(1)), Why::Heartbeat(WorkerId(1)))));
    rig.define(WEB, policy(1), 1);
    assert_eq!(rig.fleet.deadline(), None, "and none is owed any more");
}

#[test]
fn a_worker_that_was_started_without_a_heartbeat_owes_none() {
    let mut rig = Rig::ready(policy(1));
    rig.define(WEB, beating(Signal::Kill), 1);
    assert_eq!(rig.fleet.deadline(), None, "it was not told to beat");
}
