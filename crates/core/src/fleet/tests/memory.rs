//! A worker that the kernel killed for want of memory.

use super::rig::{Rig, secs};
use crate::Signal;
use crate::fleet::{Action, Event, ExitReason, ExitStatus, Notice, Policy, StopReason, WorkerId};

/// How each worker ended that did since the log was taken, and why.
fn exits(rig: &Rig) -> Vec<(Option<ExitStatus>, ExitReason)> {
    let exit = |action: &Action| match action {
        Action::Notice(Notice::WorkerExited { status, reason, .. }) => Some((*status, *reason)),
        _ => None,
    };
    rig.log.iter().filter_map(exit).collect()
}

#[test]
fn its_end_says_so_and_it_is_started_again() {
    let mut rig = Rig::ready(Policy::basic(1));
    rig.send(Event::Exited { worker: WorkerId(1), status: ExitStatus::OutOfMemory });
    assert_eq!(exits(&rig), [(Some(ExitStatus::OutOfMemory), ExitReason::OutOfMemory)]);
    let last = rig.view().workers[0].last_exit.expect("it has ended");
    assert_eq!((last.status, last.reason), (Some(ExitStatus::OutOfMemory), ExitReason::OutOfMemory));
    assert_eq!(rig.spawn(), WorkerId(2));
}

#[test]
fn one_that_was_asked_to_leave_left_for_that() {
    let mut rig = Rig::ready(Policy::basic(1));
    rig.scale(0);
    rig.send(Event::Exited { worker: WorkerId(1), status: ExitStatus::OutOfMemory });
    assert_eq!(exits(&rig), [(Some(ExitStatus::OutOfMemory), ExitReason::Asked(StopReason::Scale))]);
}

#[test]
fn one_that_the_fleet_killed_itself_was_not_killed_by_the_kernel() {
    let mut rig = Rig::ready(Policy::basic(1));
    rig.scale(0);
    rig.pass(secs(3600));
    rig.send(Event::Exited { worker: WorkerId(1), status: ExitStatus::OutOfMemory });
    let killed = Some(ExitStatus::Signal(Some(Signal::Kill)));
    assert_eq!(exits(&rig), [(killed, ExitReason::Asked(StopReason::Scale))]);
}
