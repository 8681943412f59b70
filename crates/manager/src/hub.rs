//! Everything that workers are being asked for somebody: the gathering of `core` and whose tasks those are.

use std::collections::BTreeMap;

use evercrew_core::Mono;
use evercrew_core::fleet::WorkerId;
use evercrew_core::gather::{AskId, Exit, Gather, Limits, Memory, TaskId};
use evercrew_wire::command_pipe::MAX_LINE;
use serde_json::Value;

use crate::clients::ClientId;

/// Commands to workers that are open at a time, and questions of all of them.
const LIMITS: Limits = Limits { tasks: 4096, asks: 65_536, answer: MAX_LINE, progress: 1000 };
/// Numbers of questions that one manager can give before they meet those of the next one.
const NUMBERS: u32 = 40;

/// Who asked, and what.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) client: ClientId,
    /// The client's own id.
    pub(crate) request: String,
    /// What is asked: verbs with their arguments.
    pub(crate) calls: Vec<(String, Value)>,
    /// The deadline in milliseconds from the beginning, for the workers.
    pub(crate) deadline_ms: Option<u64>,
    /// The names of those who are asked, who may be gone when the answer is written.
    pub(crate) names: BTreeMap<WorkerId, String>,
    /// Slots that are wanted and have no ready worker.
    pub(crate) missing: Vec<String>,
    pub(crate) began: Mono,
    /// It is asked for levels of logs, and answered with those.
    pub(crate) levels: bool,
}

/// All open commands to workers.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) gather: Gather<Value>,
    pub(crate) askers: BTreeMap<TaskId, Asker>,
    /// Workers that are gone, and how; told when what they last said is read.
    pub(crate) leaving: BTreeMap<WorkerId, Exit>,
    next: u64,
}

impl Hub {
    /// Of the manager of this generation: numbers of earlier ones are never given again.
    pub(crate) fn new(generation: u64) -> Self {
        Self {
            gather: Gather::new(first(generation), LIMITS),
            askers: BTreeMap::new(),
            leaving: BTreeMap::new(),
            next: 0,
        }
    }

    /// Goes on from where another manager was.
    pub(crate) fn restore(
        generation: u64,
        memory: Memory<Value>,
        askers: BTreeMap<TaskId, Asker>,
        last_task: u64,
    ) -> Self {
        Self {
            gather: Gather::restore(memory, first(generation), LIMITS),
            askers,
            next: last_task,
            ..Self::new(generation)
        }
    }

    /// The highest number that a command ever had.
    pub(crate) fn last_task(&self) -> u64 {
        self.next
    }

    pub(crate) fn next_task(&mut self) -> TaskId {
        self.next += 1;
        TaskId(self.next)
    }

    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.gather.deadline().map(|(at, _)| at)
    }

    /// How many commands of this client are open.
    pub(crate) fn count(&self, client: ClientId) -> usize {
        self.askers.values().filter(|asker| asker.client == client).count()
    }

    /// The tasks of a client, of one request of it or of all.
    pub(crate) fn tasks_of(&self, client: ClientId, request: Option<&str>) -> Vec<TaskId> {
        let is_it = |asker: &Asker| asker.client == client && request.is_none_or(|request| asker.request == request);
        self.askers.iter().filter(|(_, asker)| is_it(asker)).map(|(id, _)| *id).collect()
    }
}

/// The first number that the manager of this generation gives to a question.
fn first(generation: u64) -> u64 {
    generation.wrapping_shl(NUMBERS)
}

/// Whether an engine ever gives such numbers. Programs that answer words have others.
pub(crate) fn is_ours(ask: AskId) -> bool {
    ask.0 >= first(1)
}

/// As it stands in a line.
pub(crate) fn id(ask: AskId) -> String {
    ask.0.to_string()
}

/// Which question a program answers, where it is one of ours.
pub(crate) fn ask_of(id: &Value) -> Option<AskId> {
    id.as_u64().or_else(|| id.as_str()?.parse().ok()).map(AskId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_of_two_managers_never_meet() {
        assert!(first(2) - first(1) > 1_000_000_000_000);
        assert_eq!(ask_of(&json!("1099511627776")), Some(AskId(first(1))));
        assert_eq!(ask_of(&json!(1_099_511_627_776_u64)), Some(AskId(first(1))));
        assert_eq!((ask_of(&json!("x")), ask_of(&Value::Null), ask_of(&json!(-1))), (None, None, None));
    }
}
