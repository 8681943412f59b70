use std::time::Duration;

use super::rig::{Rig, WEB, ladder, millis, policy, secs};
use crate::fleet::{
    Action, DrainReason, Event, ExitReason, ExitStatus, Notice, Policy, Restart, Scope, ServiceState, StopLadder,
    StopReason, StopStep, WorkerId, WorkerState,
};
use crate::{Signal, Word};

fn stop(now: bool) -> Event {
    Event::Stop { service: WEB, now }
}

#[test]
fn a_stop_asks_every_worker_and_starts_none() {
    let mut rig = Rig::ready(policy(2));
    rig.send(stop(false));
    let asked = Notice::WorkerDraining { worker: WorkerId(1), reason: DrainReason::Asked(StopReason::Stop) };
    assert!(rig.noticed(|notice| *notice == asked));
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Draining), (2, 1, WorkerState::Draining)]);
    assert_eq!(rig.state(), ServiceState::Stopping);
    rig.obey();
    assert_eq!(rig.state(), ServiceState::Stopped);
    assert_eq!((rig.spawns().len(), rig.fleet.deadline()), (0, None));
    assert_eq!(rig.view().workers[0].last_exit.map(|exit| exit.reason), Some(ExitReason::Asked(StopReason::Stop)));
}

#[test]
fn stop_signals_go_to_the_process_and_kill_to_the_group() {
    let mut rig = Rig::ready(Policy { stop: ladder(&[(Signal::Term, 5)]), ..policy(1) });
    rig.send(stop(false));
    let term = Action::Signal {
        worker: WorkerId(1),
        signal: Signal::Term,
        scope: Scope::Process,
        word: Some(Word::GracefulStop),
    };
    assert!(rig.log.contains(&term));
    rig.pass(secs(5));
    let kill = Action::Signal { worker: WorkerId(1), signal: Signal::Kill, scope: Scope::Group, word: None };
    assert!(rig.log.contains(&kill));
    assert!(rig.noticed(|notice| matches!(notice, Notice::StopEscalated { signal: Signal::Kill, .. })));
}

#[test]
fn the_ladder_is_climbed_step_by_step() {
    let steps = ladder(&[(Signal::Term, 10), (Signal::Int, 5), (Signal::Quit, 1)]);
    let mut rig = Rig::ready(Policy { stop: steps, ..policy(1) });
    rig.send(stop(false));
    let begin = rig.now;
    let mut climbed = Vec::new();
    for _ in 0..170 {
        climbed.extend(rig.signals().into_iter().map(|(_, signal)| (signal, rig.now.since(begin))));
        rig.pass(millis(100));
    }
    let expected =
        [(Signal::Term, secs(0)), (Signal::Int, secs(10)), (Signal::Quit, secs(15)), (Signal::Kill, secs(16))];
    assert_eq!(climbed, expected);
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Stopping)]);
}

#[test]
fn a_step_repeats_its_signal_at_growing_distances() {
    let step = StopStep { signal: Signal::Term, repeat: Some(secs(15)), increment: secs(10), lasting: Some(secs(100)) };
    let mut rig = Rig::ready(Policy { stop: StopLadder { steps: vec![step] }, ..policy(1) });
    rig.send(stop(false));
    let begin = rig.now;
    let mut sent = Vec::new();
    for _ in 0..101 {
        sent.extend(rig.signals().into_iter().map(|(_, signal)| (signal, rig.now.since(begin).as_secs())));
        rig.pass(secs(1));
    }
    let term = |at| (Signal::Term, at);
    assert_eq!(sent, [term(0), term(15), term(40), term(75), (Signal::Kill, 100)]);
}

/// The default ladder of a known server engine: TERM at 0 and then at distances of 15 s, 25 s, 35 s … until 600 s, QUIT
/// in the same way from 10 s on, KILL.
#[test]
fn twenty_minutes_of_growing_distances_keep_every_moment() {
    let step =
        |signal, repeat| StopStep { signal, repeat: Some(secs(repeat)), increment: secs(10), lasting: Some(secs(600)) };
    let steps = vec![step(Signal::Term, 15), step(Signal::Quit, 10)];
    let mut rig = Rig::ready(Policy { stop: StopLadder { steps }, ..policy(1) });
    rig.send(stop(false));
    let begin = rig.now;
    let mut sent: Vec<_> = rig.signals().into_iter().map(|(_, signal)| (signal, secs(0))).collect();
    while let Some((at, _)) = rig.fleet.deadline() {
        rig.log.clear();
        rig.pass(at.since(rig.now));
        sent.extend(rig.signals().into_iter().map(|(_, signal)| (signal, at.since(begin))));
    }
    let term = [0, 15, 40, 75, 120, 175, 240, 315, 400, 495].map(|at| (Signal::Term, secs(at)));
    let quit = [600, 610, 630, 660, 700, 750, 810, 880, 960, 1050, 1150].map(|at| (Signal::Quit, secs(at)));
    assert_eq!(sent, [term.as_slice(), &quit, &[(Signal::Kill, secs(1200))]].concat());
}

#[test]
fn a_step_without_end_waits_for_ever_and_costs_no_wakeup() {
    let step = StopStep { signal: Signal::Term, repeat: None, increment: Duration::ZERO, lasting: None };
    let mut rig = Rig::ready(Policy { stop: StopLadder { steps: vec![step] }, ..policy(1) });
    rig.send(stop(false));
    assert_eq!(rig.fleet.deadline(), None);
}

#[test]
fn an_immediate_stop_kills_at_once_also_during_a_graceful_one() {
    for graceful_first in [true, false] {
        let mut rig = Rig::ready(policy(1));
        if graceful_first {
            rig.send(stop(false));
            rig.log.clear();
        }
        rig.send(stop(true));
        assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
        assert_eq!(rig.fleet.deadline(), None, "a process that hangs in the kernel is waited for, without a busy loop");
    }
}

#[test]
fn without_steps_a_graceful_stop_is_an_immediate_one() {
    let mut rig = Rig::ready(Policy { stop: StopLadder { steps: vec![] }, ..policy(1) });
    rig.send(stop(false));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
}

#[test]
fn a_worker_whose_exec_is_not_reported_yet_is_told_too() {
    let mut rig = Rig::new(policy(1));
    rig.log.clear();
    rig.send(stop(false));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Term)]);
    rig.send(Event::Spawned { worker: WorkerId(1) });
    rig.send(Event::Ready { worker: WorkerId(1) });
    assert_eq!(rig.rows(), [(1, 1, WorkerState::Draining)]);
    rig.obey();
    assert_eq!(rig.state(), ServiceState::Stopping);
    rig.exit(WorkerId(1));
    assert_eq!(rig.state(), ServiceState::Stopped);
}

#[test]
fn a_stopping_worker_may_ask_for_more_time() {
    let mut rig = Rig::ready(policy(1));
    rig.send(stop(false));
    rig.pass(secs(20));
    rig.send(Event::Extend { worker: WorkerId(1), by: secs(60) });
    rig.log.clear();
    rig.pass(secs(59));
    assert_eq!(rig.signals(), []);
    rig.pass(secs(1));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Kill)]);
}

#[test]
fn a_worker_that_ends_by_itself_is_replaced_before_it_is_gone() {
    let mut rig = Rig::ready(policy(1));
    rig.send(Event::Stopping { worker: WorkerId(1) });
    assert_eq!(rig.rows()[0], (1, 1, WorkerState::Draining));
    assert_eq!(rig.signals(), [], "it needs no signal");
    assert_eq!(rig.view().workers.len(), 2);
    let next = rig.newest(1);
    rig.serve(next);
    rig.log.clear();
    rig.send(Event::Exited { worker: WorkerId(1), status: ExitStatus::Code(0) });
    assert_eq!(rig.spawns(), []);
    assert_eq!(rig.state(), ServiceState::Ready);
}

#[test]
fn one_that_says_so_and_does_not_end_is_made_to() {
    let mut rig = Rig::ready(Policy { stop: ladder(&[(Signal::Term, 10), (Signal::Quit, 5)]), ..policy(1) });
    rig.send(Event::Stopping { worker: WorkerId(1) });
    rig.start_all();
    rig.log.clear();
    rig.pass(secs(15));
    assert_eq!(rig.signals(), [(WorkerId(1), Signal::Quit), (WorkerId(1), Signal::Kill)]);
}

#[test]
fn saying_so_again_and_again_backs_off_like_dying() {
    let mut rig = Rig::ready(Policy { start_limit: None, ..policy(1) });
    rig.send(Event::Stopping { worker: WorkerId(1) });
    let second = rig.spawn();
    rig.exit(WorkerId(1));
    rig.serve(second);
    rig.log.clear();
    rig.send(Event::Stopping { worker: second });
    assert!(rig.noticed(|notice| matches!(notice, Notice::SlotBackoff { .. })));
    assert_eq!(rig.spawns(), []);
}

#[test]
fn whether_one_that_ends_by_itself_is_followed_may_depend_on_its_exit() {
    let mut rig = Rig::ready(Policy { restart: Restart::OnFailure, ..policy(1) });
    rig.send(Event::Stopping { worker: WorkerId(1) });
    assert_eq!(rig.spawns(), []);
    rig.send(Event::Exited { worker: WorkerId(1), status: ExitStatus::Code(0) });
    assert_eq!(rig.state(), ServiceState::Finished);
}

#[test]
fn start_after_stop_fills_the_slots_as_the_old_ones_leave() {
    let mut rig = Rig::ready(policy(3));
    rig.send(stop(false));
    rig.log.clear();
    rig.send(Event::Start { service: WEB });
    assert_eq!(rig.spawns().len(), 1, "three drain, one may exist above wanted");
    rig.exit(WorkerId(1));
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn a_removed_service_is_forgotten_when_its_last_worker_is_gone() {
    let mut rig = Rig::ready(policy(1));
    rig.send(Event::Remove { service: WEB });
    assert_eq!(rig.state(), ServiceState::Stopping);
    rig.exit(WorkerId(1));
    assert_eq!(rig.fleet.service(WEB), None);
    let changed = Notice::ServiceChanged { service: WEB, from: ServiceState::Stopping, to: ServiceState::Stopped };
    assert!(rig.noticed(|notice| *notice == changed));
}

#[test]
fn a_service_that_is_defined_again_while_it_leaves_comes_back() {
    let mut rig = Rig::ready(policy(1));
    rig.send(Event::Remove { service: WEB });
    rig.log.clear();
    rig.define(WEB, policy(1), 1);
    rig.start_all();
    rig.exit(WorkerId(1));
    assert_eq!(rig.state(), ServiceState::Ready);
}
