//! What runs to success before the first worker of a generation.

use super::rig::{Rig, WEB, millis, policy, secs};
use crate::Signal;
use crate::fleet::{
    Action, Epoch, Event, ExitReason, ExitStatus, Fleet, Generation, GiveUp, Notice, Pace, Policy, ServiceId,
    ServiceState, Slot, StartLimit, StopReason, WorkerId, WorkerState,
};

fn prepared(workers: u32, commands: u32) -> Policy {
    Policy { before_start: commands, ..policy(workers) }
}

/// The one command asked for; its number among the commands and its version.
fn next(rig: &mut Rig) -> (WorkerId, u32, u64) {
    let prepares = rig.prepares();
    assert_eq!(prepares.len(), 1, "one command: {prepares:?}");
    prepares[0]
}

fn is_quiet(rig: &mut Rig) -> bool {
    !rig.take().iter().any(|action| matches!(action, Action::Spawn { .. } | Action::Prepare { .. }))
}

#[test]
fn commands_run_one_after_the_other_and_then_the_workers() {
    let mut rig = Rig::new(prepared(2, 2));
    let (first, command, epoch) = next(&mut rig);
    assert_eq!((command, epoch), (0, 1));
    assert_eq!(rig.rows()[0], (0, 1, WorkerState::Starting));
    rig.prepare(first, 0);
    let (second, command, _) = next(&mut rig);
    assert_eq!(command, 1);
    assert_eq!(rig.state(), ServiceState::Starting);
    rig.prepare(second, 0);
    assert!(rig.noticed(|notice| *notice == Notice::Prepared { service: WEB }));
    assert_eq!(rig.spawns().len(), 2);
    assert_eq!(rig.rows().len(), 2, "nothing is shown of it any more");
}

#[test]
fn crashes_scaling_and_one_slot_begin_no_generation() {
    let mut rig = Rig::ready(prepared(2, 1));
    let worker = rig.newest(1);
    rig.exit(worker);
    assert_eq!(rig.prepares(), []);
    rig.scale(4);
    assert_eq!(rig.prepares(), []);
    rig.obey();
    rig.send(Event::Restart { service: WEB, slot: Some(Slot(2)), epoch: Epoch(1), pace: Pace::Gradual });
    assert_eq!(rig.prepares(), []);
}

#[test]
fn a_rollout_runs_it_before_its_canary_while_the_old_ones_serve() {
    for restart in [true, false] {
        let mut rig = Rig::ready(prepared(2, 1));
        if restart {
            rig.restart(1);
        } else {
            rig.define(WEB, prepared(2, 1), 2);
        }
        let (worker, ..) = next(&mut rig);
        assert_eq!(rig.state(), ServiceState::Ready);
        let old = rig.newest(1);
        rig.exit(old);
        assert_eq!(rig.spawns().iter().map(|spawn| (spawn.1, spawn.2)).collect::<Vec<_>>(), [(1, 1)], "it is kept up");
        rig.start_all();
        rig.prepare(worker, 0);
        assert_eq!(rig.spawns().len(), 1, "the canary");
    }
}

#[test]
fn a_failure_stops_the_rollout_and_the_old_generation_serves_on() {
    let mut rig = Rig::ready(prepared(2, 2));
    rig.define(WEB, prepared(2, 2), 2);
    let (worker, _, epoch) = next(&mut rig);
    assert_eq!(epoch, 2);
    rig.prepare(worker, 4);
    let failed = Notice::PrologueFailed {
        service: WEB,
        epoch: Epoch(2),
        command: 0,
        status: Some(ExitStatus::Code(4)),
        reason: ExitReason::Unasked,
        rollout: true,
    };
    assert!(rig.noticed(|notice| *notice == failed));
    assert!(rig.noticed(|notice| matches!(notice, Notice::RolloutStopped { reason: Some(ExitReason::Unasked), .. })));
    assert_eq!((rig.state(), rig.view().rolling, rig.view().epoch), (ServiceState::Ready, false, Epoch(1)));
    assert!(is_quiet(&mut rig));
    rig.pass(secs(600));
    assert!(is_quiet(&mut rig), "nobody tries it again");
    let worker = rig.newest(2);
    rig.exit(worker);
    assert_eq!(rig.spawns().len(), 1, "what serves is kept up without it");
}

#[test]
fn where_nothing_serves_it_is_tried_again_from_the_command_that_failed() {
    let limit = StartLimit { count: 3, within: secs(10), then: GiveUp::Retry };
    let mut rig = Rig::new(Policy { start_limit: Some(limit), ..prepared(1, 2) });
    let (worker, ..) = next(&mut rig);
    rig.prepare(worker, 0);
    for _ in 0..3 {
        let (worker, command, _) = next(&mut rig);
        assert_eq!(command, 1, "what succeeded is not run again");
        rig.prepare(worker, 1);
        if rig.state() == ServiceState::Starting && !rig.log.iter().any(|a| matches!(a, Action::Prepare { .. })) {
            assert_eq!(rig.rows()[0].2, WorkerState::Backoff);
            rig.pass(secs(1));
        }
    }
    assert_eq!(rig.state(), ServiceState::Failed);
    assert_eq!(rig.rows()[0], (0, 1, WorkerState::Failed));
    assert!(is_quiet(&mut rig));
    rig.pass(secs(34));
    let (worker, ..) = next(&mut rig);
    rig.prepare(worker, 0);
    assert_eq!(rig.spawns().len(), 1);
}

#[test]
fn giving_up_is_final_until_somebody_starts_it() {
    let mut rig = Rig::new(Policy { unrecoverable_exit_codes: vec![9], ..prepared(1, 1) });
    let (worker, ..) = next(&mut rig);
    rig.prepare(worker, 9);
    rig.pass(secs(86_400));
    assert!(is_quiet(&mut rig));
    assert_eq!(rig.state(), ServiceState::Failed);
    rig.send(Event::Start { service: WEB });
    assert_eq!(rig.prepares().len(), 1);
}

#[test]
fn one_that_takes_too_long_is_killed_and_has_failed() {
    let mut rig = Rig::new(prepared(1, 1));
    let (worker, ..) = next(&mut rig);
    rig.send(Event::Spawned { worker });
    rig.pass(secs(60));
    assert!(rig.noticed(|notice| matches!(notice, Notice::ReadyTimedOut { .. })));
    assert_eq!(rig.signals(), [(worker, Signal::Kill)]);
    rig.pass(secs(600));
    assert!(is_quiet(&mut rig), "never two at once");
    rig.send(Event::Exited { worker, status: ExitStatus::Code(0) });
    assert!(rig.noticed(|notice| matches!(notice, Notice::PrologueFailed { .. })), "too late is no success");
    rig.pass(secs(1));
    assert_eq!(rig.prepares().len(), 1);
}

#[test]
fn a_stop_ends_it_by_the_ladder_and_at_once_when_asked() {
    for at_once in [false, true] {
        let mut rig = Rig::new(prepared(1, 1));
        let (worker, ..) = next(&mut rig);
        rig.send(Event::Spawned { worker });
        rig.send(Event::Stop { service: WEB, now: at_once });
        let signal = if at_once { Signal::Kill } else { Signal::Term };
        assert_eq!(rig.signals(), [(worker, signal)]);
        assert_eq!(rig.state(), ServiceState::Stopping);
        if !at_once {
            rig.pass(secs(30));
            assert_eq!(rig.signals(), [(worker, Signal::Kill)]);
        }
        rig.send(Event::Exited { worker, status: ExitStatus::Signal(Some(signal)) });
        assert_eq!(rig.state(), ServiceState::Stopped);
        rig.pass(secs(600));
        assert!(is_quiet(&mut rig));
        rig.send(Event::Start { service: WEB });
        assert_eq!(next(&mut rig).1, 0);
    }
}

#[test]
fn the_engine_ends_after_it() {
    let mut rig = Rig::new(prepared(1, 1));
    let (worker, ..) = next(&mut rig);
    rig.send(Event::Spawned { worker });
    rig.send(Event::Shutdown { now: false });
    assert_eq!(rig.signals(), [(worker, Signal::Term)]);
    rig.send(Event::Exited { worker, status: ExitStatus::Code(0) });
    assert_eq!(rig.log.last(), Some(&Action::Exit));
}

#[test]
fn a_start_after_a_stop_is_a_generation() {
    let mut rig = Rig::ready(prepared(1, 1));
    rig.send(Event::Stop { service: WEB, now: false });
    rig.obey();
    rig.log.clear();
    rig.send(Event::Start { service: WEB });
    assert_eq!(rig.prepares().len(), 1);
}

#[test]
fn another_version_meanwhile_ends_what_runs_and_begins_with_its_own() {
    let mut rig = Rig::ready(prepared(1, 2));
    rig.define(WEB, prepared(1, 2), 2);
    let (second, ..) = next(&mut rig);
    rig.send(Event::Spawned { worker: second });
    rig.define(WEB, prepared(1, 2), 3);
    assert_eq!(rig.signals(), [(second, Signal::Term)]);
    assert!(is_quiet(&mut rig), "never two at once");
    rig.send(Event::Exited { worker: second, status: ExitStatus::Code(0) });
    let (_, command, epoch) = next(&mut rig);
    assert_eq!((command, epoch), (0, 3));
}

#[test]
fn who_joins_a_rollout_to_the_same_version_joins_what_was_prepared() {
    let mut rig = Rig::ready(prepared(1, 1));
    rig.restart(1);
    let (worker, ..) = next(&mut rig);
    rig.restart(1);
    assert!(is_quiet(&mut rig));
    rig.prepare(worker, 0);
    assert_eq!(rig.spawns().len(), 1);
    rig.restart(1);
    assert_eq!(rig.prepares(), []);
}

#[test]
fn a_return_to_what_serves_excuses_it() {
    let mut rig = Rig::ready(prepared(2, 1));
    rig.define(WEB, prepared(2, 1), 2);
    let (worker, ..) = next(&mut rig);
    rig.send(Event::Spawned { worker });
    rig.define(WEB, prepared(2, 1), 1);
    assert_eq!(rig.signals(), [(worker, Signal::Term)]);
    rig.exit(worker);
    assert!(is_quiet(&mut rig));
    assert!(!rig.view().rolling);
}

#[test]
fn an_undo_leads_back_to_workers_that_are_there_without_it() {
    let mut rig = Rig::ready(prepared(2, 1));
    rig.define(WEB, prepared(2, 1), 2);
    let (worker, ..) = next(&mut rig);
    rig.prepare(worker, 0);
    rig.start_all();
    rig.log.clear();
    rig.send(Event::Undo { service: WEB });
    assert_eq!(rig.prepares(), [], "what serves was prepared before");
    rig.obey();
    rig.pass(secs(60));
    rig.obey();
    assert_eq!((rig.state(), rig.view().epoch, rig.view().rolling), (ServiceState::Ready, Epoch(1), false));
}

#[test]
fn a_paused_rollout_starts_no_command() {
    let mut rig = Rig::ready(prepared(2, 2));
    rig.define(WEB, prepared(2, 2), 2);
    let (worker, ..) = next(&mut rig);
    rig.send(Event::Pause { service: WEB });
    rig.prepare(worker, 0);
    assert!(is_quiet(&mut rig));
    rig.send(Event::Resume { service: WEB });
    assert_eq!(next(&mut rig).1, 1);
}

#[test]
fn it_waits_for_the_services_that_come_before() {
    let mut rig = Rig::empty();
    rig.define(ServiceId(2), policy(1), 1);
    rig.define(WEB, Policy { after: vec![ServiceId(2)], ..prepared(1, 1) }, 1);
    assert_eq!(rig.prepares(), []);
    rig.serve(WorkerId(1));
    assert_eq!(rig.prepares().len(), 1);
}

/// Another shell, from the memory of this one.
fn takes_over(rig: &mut Rig, policy: Policy) {
    let snapshot = rig.fleet.snapshot();
    rig.fleet = Fleet::restore(9, &snapshot, &[(WEB, policy, snapshot.services[0].epoch)]);
    rig.log.clear();
}

#[test]
fn a_crash_of_the_shell_repeats_nothing() {
    let mut rig = Rig::new(prepared(1, 2));
    let (worker, ..) = next(&mut rig);
    rig.prepare(worker, 0);
    let (worker, ..) = next(&mut rig);
    takes_over(&mut rig, prepared(1, 2));
    rig.send(Event::Spawned { worker });
    rig.send(Event::Tick);
    rig.pass(millis(100));
    assert!(is_quiet(&mut rig), "it runs");
    rig.send(Event::Exited { worker, status: ExitStatus::Code(0) });
    let workers = rig.spawns();
    assert_eq!(workers.len(), 1);
    rig.serve(workers[0].0);
    takes_over(&mut rig, prepared(1, 2));
    rig.send(Event::Tick);
    rig.pass(secs(100));
    assert!(is_quiet(&mut rig), "it was done");
}

#[test]
fn one_that_the_dead_shell_never_made_is_made() {
    let mut rig = Rig::new(prepared(1, 1));
    let (worker, ..) = next(&mut rig);
    takes_over(&mut rig, prepared(1, 1));
    rig.send(Event::Lost { worker });
    rig.send(Event::Tick);
    assert_eq!(rig.prepares().len(), 1);
}

#[test]
fn where_the_memory_is_lost_all_are_run_again_but_never_beside_one_that_runs() {
    let mut rig = Rig::empty();
    let empty = crate::fleet::Snapshot { next_worker: 5, ..Default::default() };
    rig.fleet = Fleet::restore(9, &empty, &[(WEB, prepared(1, 2), Epoch(1))]);
    let adopt =
        Event::Adopt { worker: WorkerId(3), service: WEB, slot: Slot(0), generation: Generation(2), epoch: Epoch(1) };
    rig.send(adopt);
    rig.send(Event::Tick);
    rig.pass(secs(1));
    assert!(is_quiet(&mut rig));
    rig.send(Event::Exited { worker: WorkerId(3), status: ExitStatus::Code(0) });
    assert_eq!(next(&mut rig).1, 0);
}

#[test]
fn workers_that_are_found_prove_that_it_was_done() {
    let mut rig = Rig::empty();
    let empty = crate::fleet::Snapshot { next_worker: 5, ..Default::default() };
    rig.fleet = Fleet::restore(9, &empty, &[(WEB, prepared(2, 1), Epoch(1))]);
    let adopt =
        Event::Adopt { worker: WorkerId(3), service: WEB, slot: Slot(1), generation: Generation(2), epoch: Epoch(1) };
    rig.send(adopt);
    rig.send(Event::Tick);
    assert_eq!(rig.spawns().iter().map(|spawn| spawn.1).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_process_that_cannot_be_made_fails_it_too() {
    let mut rig = Rig::ready(prepared(1, 1));
    rig.define(WEB, prepared(1, 1), 2);
    let (worker, ..) = next(&mut rig);
    rig.send(Event::SpawnFailed { worker, transient: false });
    assert!(rig.noticed(|notice| matches!(notice, Notice::PrologueFailed { status: None, rollout: true, .. })));
    assert_eq!(rig.view().epoch, Epoch(1));
}

#[test]
fn removal_waits_for_it() {
    let mut rig = Rig::new(prepared(1, 1));
    let (worker, ..) = next(&mut rig);
    rig.send(Event::Spawned { worker });
    rig.send(Event::Remove { service: WEB });
    let reason = crate::fleet::DrainReason::Asked(StopReason::Stop);
    assert!(rig.noticed(|notice| *notice == Notice::WorkerDraining { worker, reason }));
    assert!(rig.fleet.service(WEB).is_some());
    rig.exit(worker);
    assert!(rig.fleet.service(WEB).is_none());
}
