//! What is handed on, in the form of `wire` and back.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use evercrew_core::Mono;
use evercrew_core::fleet::{ServiceId, Slot, WorkerId};
use evercrew_core::gather::{AskId, AskMemory, Memory, Outcome, Plan, Question, Strategy, TaskId, TaskMemory};
use evercrew_wire::Text;
use evercrew_wire::handover as wire;
use serde_json::Value;

use crate::clients::ClientId;
use crate::crew::Process;
use crate::hub::Asker;
use crate::waiting::{Goal, Settling, Waiting};
use crate::words::Unheard;

/// What one worker is known by beyond its process.
pub(crate) fn worker(id: WorkerId, process: &Process) -> wire::Worker {
    let (incoming, skipping) = process.unheard.rest();
    wire::Worker {
        worker: id.0,
        status: process.status.clone(),
        beat: process.beat.map(Mono::as_nanos),
        owed: process.owed.load(Relaxed),
        closed: process.closed,
        noise: process.noise,
        incoming: Text(incoming),
        skipping,
    }
}

/// Gives a process what is known of it.
pub(crate) fn known(process: &mut Process, known: wire::Worker) {
    process.status = known.status;
    process.beat = known.beat.map(Mono::from_nanos);
    process.owed.store(known.owed, Relaxed);
    process.closed = known.closed;
    process.noise = known.noise;
    process.unheard = Unheard::begun(known.incoming.0, known.skipping);
}

pub(crate) fn waiting(waiting: &Waiting) -> Option<wire::Waiting> {
    let numbers = |services: &[ServiceId]| services.iter().map(|service| service.0).collect();
    let goal = match &waiting.goal {
        Goal::Ready(services) => wire::Goal::Ready(numbers(services)),
        Goal::Stopped(services) => wire::Goal::Stopped(numbers(services)),
        Goal::Scaled(targets) => {
            wire::Goal::Scaled(targets.iter().map(|(service, count)| (service.0, *count)).collect())
        }
        Goal::Replaced(open, none) => wire::Goal::Replaced {
            open: open.iter().map(|(service, slot)| (service.0, slot.map(|slot| slot.0))).collect(),
            none: numbers(none),
        },
        Goal::Upgraded(_) => wire::Goal::Upgraded,
        // No manager leaves while a reload is tried.
        Goal::Reload(_, _, None) => return None,
        Goal::Reload(number, _, Some(settling)) => wire::Goal::Settled {
            number: *number,
            rolling: settling.rolling.iter().map(|service| service.0).collect(),
            ready: numbers(&settling.ready),
            gone: numbers(&settling.gone),
            stopped: settling.stopped.clone(),
            content: settling.content.clone(),
        },
    };
    Some(wire::Waiting { request: waiting.request.clone(), goal, deadline: waiting.deadline.map(Mono::as_nanos) })
}

/// `proven` is when the manager that goes on has shown that it works.
pub(crate) fn goes_on_waiting(waiting: wire::Waiting, proven: Mono) -> Waiting {
    let services = |numbers: Vec<u32>| numbers.into_iter().map(ServiceId).collect();
    let goal = match waiting.goal {
        wire::Goal::Ready(numbers) => Goal::Ready(services(numbers)),
        wire::Goal::Stopped(numbers) => Goal::Stopped(services(numbers)),
        wire::Goal::Scaled(targets) => {
            Goal::Scaled(targets.into_iter().map(|(service, count)| (ServiceId(service), count)).collect())
        }
        wire::Goal::Replaced { open, none } => {
            let open = open.into_iter().map(|(service, slot)| (ServiceId(service), slot.map(Slot)));
            Goal::Replaced(open.collect(), services(none))
        }
        wire::Goal::Upgraded => Goal::Upgraded(Some(proven)),
        wire::Goal::Settled { number, rolling, ready, gone, stopped, content } => {
            let rolling = rolling.into_iter().map(ServiceId).collect();
            let settling = Settling { rolling, ready: services(ready), gone: services(gone), stopped, content };
            Goal::Reload(number, true, Some(settling))
        }
    };
    Waiting { request: waiting.request, goal, deadline: waiting.deadline.map(Mono::from_nanos) }
}

/// Open commands to workers.
pub(crate) fn tasks(memory: Memory<Value>, askers: &BTreeMap<TaskId, Asker>) -> Vec<wire::Task> {
    let ask = |ask: AskMemory<Value>| wire::Ask {
        ask: ask.ask.0,
        worker: ask.question.worker.0,
        request: ask.question.request,
        relayed: ask.relayed,
        outcome: ask.outcome.map(outcome),
    };
    let task = |task: TaskMemory<Value>| {
        let asker = askers.get(&task.task)?;
        Some(wire::Task {
            task: task.task.0,
            client: asker.client.0,
            request: asker.request.clone(),
            calls: asker.calls.clone(),
            deadline_ms: asker.deadline_ms,
            names: asker.names.iter().map(|(worker, name)| (worker.0, name.clone())).collect(),
            missing: asker.missing.clone(),
            began: asker.began.as_nanos(),
            levels: asker.levels,
            strategy: match task.plan.strategy {
                Strategy::All => wire::Strategy::All,
                Strategy::Map => wire::Strategy::Map,
                Strategy::First => wire::Strategy::First,
                Strategy::Quorum(count) => wire::Strategy::Quorum(count),
            },
            deadline: task.plan.deadline.map(Mono::as_nanos),
            streams: task.plan.streams,
            asks: task.asks.into_iter().map(ask).collect(),
        })
    };
    memory.tasks.into_iter().filter_map(task).collect()
}

/// The memory of a gathering, and who asked.
pub(crate) fn goes_on_asking(tasks: Vec<wire::Task>, next: u64) -> (Memory<Value>, BTreeMap<TaskId, Asker>) {
    let mut askers = BTreeMap::new();
    let ask = |ask: wire::Ask| AskMemory {
        ask: AskId(ask.ask),
        question: Question { worker: WorkerId(ask.worker), request: ask.request },
        relayed: ask.relayed,
        outcome: ask.outcome.map(outcome_back),
    };
    let task = |task: wire::Task| {
        let asker = Asker {
            client: ClientId(task.client),
            request: task.request,
            calls: task.calls,
            deadline_ms: task.deadline_ms,
            names: task.names.into_iter().map(|(worker, name)| (WorkerId(worker), name)).collect(),
            missing: task.missing,
            began: Mono::from_nanos(task.began),
            levels: task.levels,
        };
        askers.insert(TaskId(task.task), asker);
        let strategy = match task.strategy {
            wire::Strategy::All => Strategy::All,
            wire::Strategy::Map => Strategy::Map,
            wire::Strategy::First => Strategy::First,
            wire::Strategy::Quorum(count) => Strategy::Quorum(count),
        };
        let plan = Plan { strategy, deadline: task.deadline.map(Mono::from_nanos), streams: task.streams };
        TaskMemory { task: TaskId(task.task), plan, asks: task.asks.into_iter().map(ask).collect() }
    };
    let tasks = tasks.into_iter().map(task).collect();
    (Memory { next, tasks }, askers)
}

fn outcome(outcome: Outcome<Value>) -> wire::Outcome {
    match outcome {
        Outcome::Ok(content) => wire::Outcome::Ok(content),
        Outcome::Failed { reason, content } => wire::Outcome::Failed { reason, content },
        Outcome::Timeout => wire::Outcome::Timeout,
        Outcome::Died => wire::Outcome::Died,
        Outcome::Replaced => wire::Outcome::Replaced,
        Outcome::Unneeded => wire::Outcome::Unneeded,
    }
}

fn outcome_back(outcome: wire::Outcome) -> Outcome<Value> {
    match outcome {
        wire::Outcome::Ok(content) => Outcome::Ok(content),
        wire::Outcome::Failed { reason, content } => Outcome::Failed { reason, content },
        wire::Outcome::Timeout => Outcome::Timeout,
        wire::Outcome::Died => Outcome::Died,
        wire::Outcome::Replaced => Outcome::Replaced,
        wire::Outcome::Unneeded => Outcome::Unneeded,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_goes_on_as_it_was() {
        let at = Mono::from_nanos;
        let outcomes = [
            None,
            Some(Outcome::Ok(json!(1))),
            Some(Outcome::Failed { reason: "no".into(), content: Some(json!({})) }),
            Some(Outcome::Timeout),
            Some(Outcome::Died),
            Some(Outcome::Replaced),
            Some(Outcome::Unneeded),
        ];
        let asks = (7..).zip(outcomes).map(|(ask, outcome)| AskMemory {
            ask: AskId(ask),
            question: Question { worker: WorkerId(ask + 10), request: 1 },
            relayed: 2,
            outcome,
        });
        let plan = Plan { strategy: Strategy::Quorum(2), deadline: Some(at(5)), streams: true };
        let memory = Memory { next: 20, tasks: vec![TaskMemory { task: TaskId(3), plan, asks: asks.collect() }] };
        let asker = Asker {
            client: ClientId(4),
            request: "r".into(),
            calls: vec![("a".into(), json!({})), ("b".into(), Value::Null)],
            deadline_ms: Some(6),
            names: [(WorkerId(17), "web.1".to_owned())].into(),
            missing: vec!["web.2".into()],
            began: at(8),
            levels: true,
        };
        let document = tasks(memory.clone(), &[(TaskId(3), asker)].into());
        let (back, askers) = goes_on_asking(document.clone(), 20);
        assert_eq!(back, memory);
        assert_eq!(tasks(back, &askers), document, "whoever asked is known as before");
    }

    #[test]
    fn who_waits_goes_on_waiting() {
        let services = || vec![ServiceId(1), ServiceId(2)];
        let settling = Settling {
            rolling: services().into_iter().collect(),
            ready: services(),
            gone: vec![ServiceId(3)],
            stopped: vec!["x".into()],
            content: json!({"a": 1}),
        };
        for goal in [
            Goal::Ready(services()),
            Goal::Stopped(services()),
            Goal::Scaled(vec![(ServiceId(1), 4)]),
            Goal::Replaced(vec![(ServiceId(1), Some(Slot(2))), (ServiceId(2), None)], services()),
            Goal::Reload(9, true, Some(settling)),
        ] {
            let deadline = Some(Mono::from_nanos(5));
            let one = Waiting { request: "r".into(), goal: goal.clone(), deadline };
            let back = goes_on_waiting(waiting(&one).expect("it is handed on"), Mono::from_nanos(6));
            assert_eq!((back.request, back.goal, back.deadline), (one.request, goal, deadline));
        }
        let asked = Waiting { request: "r".into(), goal: Goal::Upgraded(None), deadline: None };
        let back = goes_on_waiting(waiting(&asked).expect("it is handed on"), Mono::from_nanos(6));
        assert_eq!(back.goal, Goal::Upgraded(Some(Mono::from_nanos(6))));
    }
}
