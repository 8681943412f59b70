//! What single steps do; the whole is simulated.

use std::time::Duration;

use super::*;
use crate::Mono;
use crate::fleet::WorkerId;

const LIMITS: Limits = Limits { tasks: 2, asks: 5, answer: 10, progress: 2 };

fn at(millis: u64) -> Mono {
    Mono::default().after(Duration::from_millis(millis))
}

struct Rig(Gather<u8>);

impl Rig {
    fn new() -> Self {
        Self(Gather::new(1, LIMITS))
    }

    fn tell(&mut self, millis: u64, event: Event<u8>) -> Vec<Action<u8>> {
        let mut out = Vec::new();
        self.0.handle(at(millis), event, &mut out);
        out
    }

    fn ask(&mut self, task: u64, workers: &[u64], strategy: Strategy, deadline: Option<u64>) -> Vec<Action<u8>> {
        let questions = workers.iter().map(|worker| Question { worker: WorkerId(*worker), request: 0 }).collect();
        let plan = Plan { strategy, deadline: deadline.map(at), streams: false };
        self.tell(0, Event::Asked { task: TaskId(task), questions, plan })
    }

    fn ok(&mut self, millis: u64, worker: u64, ask: u64) -> Vec<Action<u8>> {
        let answer = Answer::Ok(7);
        self.tell(millis, Event::Answered { worker: WorkerId(worker), ask: AskId(ask), answer, size: 1 })
    }
}

fn done(actions: &[Action<u8>]) -> Option<(Verdict, Vec<&'static str>)> {
    actions.iter().find_map(|action| match action {
        Action::Done { report, .. } => {
            Some((report.verdict, report.lines.iter().map(|line| line.outcome.name()).collect()))
        }
        _ => None,
    })
}

#[test]
fn two_deadlines_are_each_kept() {
    let mut rig = Rig::new();
    rig.ask(1, &[1], Strategy::All, Some(5000));
    rig.ask(2, &[1], Strategy::All, Some(200));
    assert_eq!(rig.0.deadline(), Some((at(200), TaskId(2))));
    assert_eq!(done(&rig.tell(199, Event::Tick)), None);
    assert_eq!(done(&rig.tell(200, Event::Tick)), Some((Verdict::Late, vec!["timeout"])));
    assert_eq!(rig.0.deadline(), Some((at(5000), TaskId(1))));
    assert_eq!(done(&rig.ok(5000, 1, 1)), Some((Verdict::Late, vec!["timeout"])), "with the deadline is late");
    assert_eq!((rig.0.deadline(), rig.0.asks(), rig.0.tasks()), (None, 0, 0));
}

#[test]
fn who_is_gone_ends_all_it_was_asked_and_nobody_is_no_success() {
    let mut rig = Rig::new();
    rig.ask(1, &[1, 2], Strategy::All, None);
    rig.ok(1, 2, 2);
    let died = rig.tell(2, Event::Gone { worker: WorkerId(1), exit: Exit::Died });
    assert_eq!(done(&died), Some((Verdict::Failed, vec!["died", "ok"])));
    assert_eq!(done(&rig.ask(2, &[], Strategy::All, None)), Some((Verdict::Nobody, vec![])));
}

#[test]
fn a_quorum_ends_when_it_is_there_or_out_of_reach() {
    let mut rig = Rig::new();
    rig.ask(1, &[1, 2, 3], Strategy::Quorum(2), None);
    rig.ok(1, 3, 3);
    assert_eq!(done(&rig.ok(1, 1, 1)), Some((Verdict::Ok, vec!["ok", "unneeded", "ok"])));
    rig.ask(2, &[1, 2, 3], Strategy::Quorum(2), Some(100));
    assert_eq!(done(&rig.tell(2, Event::Gone { worker: WorkerId(1), exit: Exit::Replaced })), None);
    let out = rig.tell(2, Event::Gone { worker: WorkerId(2), exit: Exit::Died });
    assert_eq!(done(&out), Some((Verdict::Failed, vec!["replaced", "died", "unneeded"])));
    assert_eq!(done(&rig.ask(3, &[1], Strategy::Quorum(2), None)), Some((Verdict::Failed, vec!["unneeded"])));
    assert_eq!(done(&rig.ask(3, &[1, 2], Strategy::First, None)), None);
    assert_eq!(done(&rig.ok(3, 2, 9)), Some((Verdict::Ok, vec!["unneeded", "ok"])));
}

#[test]
fn what_is_missing_in_a_map_is_named() {
    let mut rig = Rig::new();
    rig.ask(1, &[1, 2], Strategy::Map, Some(100));
    rig.ok(1, 1, 1);
    assert_eq!(done(&rig.tell(100, Event::Tick)), Some((Verdict::Partial, vec!["ok", "timeout"])));
    rig.ask(2, &[1], Strategy::Map, Some(200));
    assert_eq!(done(&rig.tell(200, Event::Tick)), Some((Verdict::Late, vec!["timeout"])));
}

#[test]
fn over_a_bound_nothing_is_asked_and_that_is_told() {
    let mut rig = Rig::new();
    rig.ask(1, &[1, 2, 3], Strategy::All, None);
    let out = rig.ask(2, &[1, 2, 3], Strategy::All, None);
    assert_eq!((out.len(), done(&out)), (1, Some((Verdict::Refused, vec![]))));
    rig.ask(2, &[1], Strategy::All, None);
    assert_eq!(done(&rig.ask(3, &[1], Strategy::All, None)), Some((Verdict::Refused, vec![])));
    rig.tell(1, Event::Cancelled { task: TaskId(1) });
    assert_eq!((rig.0.tasks(), rig.0.asks(), rig.0.asks_of(WorkerId(2))), (1, 1, 0));
}

#[test]
fn what_is_said_too_late_too_often_by_others_or_to_nothing_changes_nothing() {
    let mut rig = Rig::new();
    rig.ask(1, &[1, 2], Strategy::All, None);
    let why = |actions: Vec<Action<u8>>| match actions.as_slice() {
        [Action::Disregarded { why, .. }] => Some(*why),
        _ => None,
    };
    assert_eq!(why(rig.ok(1, 2, 1)), Some(Disregard::Foreign));
    assert_eq!(why(rig.ok(1, 2, 9)), Some(Disregard::Unknown));
    assert_eq!(why(rig.ok(1, 1, 1)), None);
    assert_eq!(why(rig.ok(1, 1, 1)), Some(Disregard::Late));
    let progress = |rig: &mut Rig| {
        let answer = Answer::Progress(1);
        rig.tell(2, Event::Answered { worker: WorkerId(2), ask: AskId(2), answer, size: 1 })
    };
    assert!(matches!(progress(&mut rig)[..], [Action::Relay { content: 1, .. }]));
    progress(&mut rig);
    assert_eq!(why(progress(&mut rig)), Some(Disregard::TooMuch));
    let answer = Answer::Ok(1);
    let out = rig.tell(3, Event::Answered { worker: WorkerId(2), ask: AskId(2), answer, size: 11 });
    assert_eq!(done(&out), Some((Verdict::Failed, vec!["ok", "failed"])));
}

#[test]
fn another_one_goes_on_from_the_memory() {
    let mut rig = Rig::new();
    rig.ask(1, &[1, 2, 3], Strategy::All, Some(100));
    rig.ok(1, 2, 2);
    let memory = rig.0.memory();
    rig.0 = Gather::restore(memory.clone(), 1 << 40, LIMITS);
    assert_eq!(Memory { next: memory.next, ..rig.0.memory() }, memory);
    rig.tell(2, Event::Gone { worker: WorkerId(1), exit: Exit::Died });
    rig.ok(3, 3, 3);
    assert_eq!(rig.0.tasks(), 0);
    let asked = rig.ask(2, &[1], Strategy::All, None);
    assert!(matches!(asked[..], [Action::Ask { ask: AskId(1_099_511_627_776), .. }]), "{asked:?}");
}
