//! `call`: a question of an operator to workers, and one answer with a line for each of them.

use evercrew_core::Mono;
use evercrew_core::fleet::{ServiceId, Slot, WorkerId, WorkerState};
use evercrew_core::gather::{
    Action, Answer, AskId, Disregard, Event, Exit, Line, Outcome, Plan, Question, Report, Strategy, TaskId, Verdict,
};
use evercrew_sys::clock;
use evercrew_wire::command_pipe::{self, MAX_WRITTEN};
use evercrew_wire::control::{Reply, ReplyStatus, Request};
use serde_json::{Map, Value, json};

use crate::clients::{ClientId, failure};
use crate::commands::{Refusal, flag};
use crate::hub::{Asker, id};
use crate::manager::Manager;
use crate::notices::Level;
use crate::waiting::deadline;

/// How long workers have where the client says nothing.
const USUAL_MS: u64 = 60_000;
/// Requests of one task.
const MOST_CALLS: usize = 16;
/// The longest name of a worker's verb, in bytes.
const LONGEST_VERB: usize = 128;

impl Manager {
    /// Puts a question to workers; it is answered when the gathering is over.
    pub(crate) fn call(&mut self, client: ClientId, request: &Request) -> Result<Option<Reply>, Refusal> {
        let targets = self.some_targets(request)?;
        let calls = calls(request)?;
        let strategy = strategy(request)?;
        let (mut asked, missing) = self.asked(&targets);
        if flag(request, "one") {
            // The one that has least to do; of several the first.
            let least = asked.iter().min_by_key(|(worker, _)| self.hub.gather.asks_of(*worker)).cloned();
            asked = least.into_iter().collect();
        }
        let now = clock::mono();
        let deadline_ms = match (request.deadline_ms, flag(request, "forever")) {
            (Some(ms), _) => Some(ms),
            (None, true) => None,
            (None, false) => Some(USUAL_MS),
        };
        let number = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        let each = |(worker, _): &(WorkerId, String)| {
            let worker = *worker;
            (0..number).map(move |request| Question { worker, request })
        };
        let questions: Vec<Question> = asked.iter().flat_map(each).collect();
        let plan = Plan { strategy, deadline: deadline(now, deadline_ms), streams: flag(request, "stream") };
        let names = asked.into_iter().collect();
        let asker = Asker {
            client,
            request: request.id.clone(),
            calls,
            deadline_ms,
            names,
            missing,
            began: now,
            levels: false,
        };
        self.ask_workers(asker, questions, plan);
        Ok(None)
    }

    /// Puts questions to workers for somebody, who is answered when the gathering is over.
    pub(crate) fn ask_workers(&mut self, asker: Asker, questions: Vec<Question>, plan: Plan) {
        let (task, now) = (self.hub.next_task(), asker.began);
        self.hub.askers.insert(task, asker);
        self.gather(now, Event::Asked { task, questions, plan });
    }

    /// The ready workers among those that are meant, and the slots that have none.
    fn asked(&self, targets: &[(ServiceId, Option<Slot>)]) -> (Vec<(WorkerId, String)>, Vec<String>) {
        let (mut asked, mut missing): (Vec<(WorkerId, String)>, Vec<String>) = (Vec::new(), Vec::new());
        for (service, slot) in targets {
            let Some(view) = self.fleet.service(*service) else { continue };
            let meant = |of: Slot| of.0 > 0 && slot.is_none_or(|slot| slot == of);
            for worker in view.workers.iter().filter(|worker| meant(worker.slot)) {
                let name = self.crew.worker_name(*service, worker.slot);
                match worker.worker {
                    Some(id) if asked.iter().any(|(known, _)| *known == id) => {}
                    Some(id) if worker.state == WorkerState::Ready => asked.push((id, name)),
                    _ if !missing.contains(&name) => missing.push(name),
                    _ => {}
                }
            }
        }
        // Its successor is asked.
        missing.retain(|name| !asked.iter().any(|(_, known)| known == name));
        (asked, missing)
    }

    /// Hands an event to the gathering and performs what follows, until nothing more does.
    pub(crate) fn gather(&mut self, now: Mono, event: Event<Value>) {
        let mut actions = Vec::new();
        self.hub.gather.handle(now, event, &mut actions);
        let mut refused = Vec::new();
        for action in actions {
            match action {
                Action::Ask { ask, task, worker, request } => {
                    if let Err(reason) = self.put(worker, ask, task, request) {
                        refused.push((ask, reason));
                    }
                }
                Action::Relay { task, worker, content, .. } => self.relay(task, worker, &content),
                Action::Told { task, worker, request, outcome } => self.told(task, worker, request, outcome),
                Action::Done { task, report } => self.gathered(task, report),
                Action::Disregarded { worker, why, .. } => self.disregard(worker, why),
            }
        }
        for (ask, reason) in refused {
            self.gather(now, Event::Unasked { ask, reason });
        }
    }

    /// Writes a question to a worker.
    ///
    /// # Errors
    /// Why it cannot be asked, in words.
    fn put(&self, worker: WorkerId, ask: AskId, task: TaskId, request: u32) -> Result<(), String> {
        let gone = || "it has no process".to_owned();
        let process = self.crew.processes.get(&worker).ok_or_else(gone)?;
        let asker = self.hub.askers.get(&task).ok_or_else(gone)?;
        let call = usize::try_from(request).ok().and_then(|request| asker.calls.get(request));
        let (verb, args) = call.ok_or_else(gone)?;
        let question = command_pipe::Question {
            id: id(ask),
            verb: verb.clone(),
            args: args.clone(),
            deadline_ms: asker.deadline_ms,
        };
        process.ask(&command_pipe::json_line(&question))
    }

    /// A worker answers a question.
    pub(crate) fn answered(&mut self, worker: WorkerId, ask: AskId, answer: command_pipe::Answer, size: usize) {
        let command_pipe::Answer { status, message, content, .. } = answer;
        let answer = match status.as_str() {
            "ok" => Answer::Ok(said(&message, content)),
            "processing" => Answer::Progress(said(&message, content)),
            "failure" | "failed" => Answer::Failed { reason: message, content },
            other => Answer::Failed { reason: format!("it answers with the status `{other:.40}`: {message}"), content },
        };
        self.gather(clock::mono(), Event::Answered { worker, ask, answer, size });
    }

    /// A worker ended; it is told to those who wait for it when its last words are read.
    pub(crate) fn leaves(&mut self, worker: WorkerId, exit: Exit) {
        if self.hub.gather.asks_of(worker) == 0 {
            return;
        }
        // The fleet knows why; that it ended at all is told after.
        self.hub.leaving.entry(worker).or_insert(exit);
        if self.crew.processes.get(&worker).is_none_or(|process| process.command.is_none()) {
            self.left(worker);
        }
    }

    /// All that a worker which ended has said is read.
    pub(crate) fn left(&mut self, worker: WorkerId) {
        let exit = self.hub.leaving.remove(&worker).unwrap_or(Exit::Died);
        self.gather(clock::mono(), Event::Gone { worker, exit });
    }

    /// It hears and says nothing more, while it lives on.
    pub(crate) fn closed_its_pipe(&mut self, worker: WorkerId) {
        if let Some(process) = self.crew.processes.get_mut(&worker) {
            process.closed = true;
        }
        for ask in self.hub.gather.open_of(worker) {
            let reason = "it has closed its command pipe".to_owned();
            self.gather(clock::mono(), Event::Unasked { ask, reason });
        }
    }

    /// Ends what is late.
    pub(crate) fn end_late_calls(&mut self) {
        let now = clock::mono();
        if self.hub.deadline().is_some_and(|at| at <= now) {
            self.gather(now, Event::Tick);
        }
    }

    /// Nobody waits any more for one request of a client, or for all; how many those were.
    pub(crate) fn cancel_calls(&mut self, client: ClientId, request: Option<&str>) -> usize {
        let tasks = self.hub.tasks_of(client, request);
        for task in &tasks {
            self.hub.askers.remove(task);
            self.gather(clock::mono(), Event::Cancelled { task: *task });
        }
        tasks.len()
    }

    /// The engine ends: whoever waits is told.
    pub(crate) fn end_calls(&mut self) {
        for asker in std::mem::take(&mut self.hub.askers).into_values() {
            let hint = "start it again with `evercrew up`";
            let reply = failure(&asker.request, 1, "the engine was stopped meanwhile", hint);
            self.clients.reply(asker.client, &reply);
        }
    }

    fn relay(&mut self, task: TaskId, worker: WorkerId, content: &Value) {
        let Some(asker) = self.hub.askers.get(&task) else { return };
        let name = asker.names.get(&worker).cloned().unwrap_or_default();
        let mut reply = Reply::new(&asker.request, ReplyStatus::Processing, "");
        reply.content = json!({"worker": name, "progress": content});
        self.clients.reply(asker.client, &reply);
    }

    fn told(&mut self, task: TaskId, worker: WorkerId, request: u32, outcome: Outcome<Value>) {
        let Some(asker) = self.hub.askers.get(&task) else { return };
        let line = entry(asker, Line { worker, request, outcome });
        let reply = Reply::new(&asker.request, ReplyStatus::Processing, "").with_content(line);
        self.clients.reply(asker.client, &reply);
    }

    fn gathered(&mut self, task: TaskId, report: Report<Value>) {
        let Some(asker) = self.hub.askers.remove(&task) else { return };
        let reply = match asker.levels {
            true => self.levels_reply(&asker, report.lines.into_iter().map(|line| entry(&asker, line)).collect()),
            false => reply(&asker, report),
        };
        self.clients.reply(asker.client, &reply);
    }

    fn disregard(&mut self, worker: WorkerId, why: Disregard) {
        let name = disregarded(why);
        self.metering.disregarded(name);
        let who = self.crew.processes.get(&worker).map_or("a worker", |process| &process.label.name);
        let words = format!("an answer of {who} changes nothing: {name}");
        self.write_log(Level::Debug, &words);
    }
}

/// A message is for people, and not lost where there is content too.
fn said(message: &str, content: Value) -> Value {
    match (message, content) {
        ("", content) => content,
        (message, Value::Null) => json!(message),
        (_, content) => content,
    }
}

/// Why an answer changed nothing, as figures name it.
pub(crate) const fn disregarded(why: Disregard) -> &'static str {
    match why {
        Disregard::Late => "late",
        Disregard::Foreign => "foreign",
        Disregard::Unknown => "unknown",
        Disregard::TooMuch => "too-much",
    }
}

/// What is asked: one verb with its arguments, or several.
fn calls(request: &Request) -> Result<Vec<(String, Value)>, Refusal> {
    let usage = |text: &str| {
        let hint = r#"send {"args":{"names":["web"],"call":"flush-cache","with":{"all":true}}}"#;
        (2, text.to_owned(), hint.to_owned())
    };
    let mut calls = Vec::new();
    if let Some(verb) = request.args.get("call").and_then(Value::as_str) {
        calls.push((verb.to_owned(), request.args.get("with").cloned().unwrap_or_default()));
    }
    for call in request.args.get("calls").and_then(Value::as_array).into_iter().flatten() {
        let verb = call.get("call").and_then(Value::as_str).ok_or_else(|| usage("one of `calls` has no `call`"))?;
        calls.push((verb.to_owned(), call.get("with").cloned().unwrap_or_default()));
    }
    if calls.is_empty() {
        return Err(usage("`call` without a verb"));
    }
    if calls.len() > MOST_CALLS {
        return Err(usage(&format!("{} calls in one request, at most {MOST_CALLS}", calls.len())));
    }
    for (verb, args) in &calls {
        if verb.is_empty() || verb.len() > LONGEST_VERB || verb.contains(char::is_control) {
            return Err(usage(&format!("a verb of a worker has 1 to {LONGEST_VERB} bytes and no control characters")));
        }
        let size = args.to_string().len();
        if size > MAX_WRITTEN - 1024 {
            let text = format!("the arguments of `{verb}` have {size} bytes, more than a command pipe takes");
            return Err((2, text, format!("send at most {} bytes", MAX_WRITTEN - 1024)));
        }
    }
    Ok(calls)
}

fn strategy(request: &Request) -> Result<Strategy, Refusal> {
    let quorum = request.args.get("quorum").and_then(Value::as_u64);
    let wishes = [flag(request, "one"), flag(request, "first"), flag(request, "map"), quorum.is_some()];
    if wishes.iter().filter(|wish| **wish).count() > 1 {
        let hint = "give one of them".to_owned();
        return Err((2, "`one`, `first`, `map` and `quorum` exclude each other".to_owned(), hint));
    }
    Ok(match (quorum, flag(request, "first"), flag(request, "map")) {
        (Some(0), ..) => return Err((2, "a `quorum` of 0 asks for nothing".to_owned(), "give 1 or more".to_owned())),
        (Some(number), ..) => Strategy::Quorum(u32::try_from(number).unwrap_or(u32::MAX)),
        (None, true, _) => Strategy::First,
        (None, false, true) => Strategy::Map,
        (None, false, false) => Strategy::All,
    })
}

fn entry(asker: &Asker, line: Line<Value>) -> Value {
    let mut entry = Map::new();
    entry.insert("name".to_owned(), json!(asker.names.get(&line.worker)));
    if asker.calls.len() > 1 {
        let request = usize::try_from(line.request).ok().and_then(|request| asker.calls.get(request));
        entry.insert("request".to_owned(), json!(line.request));
        entry.insert("call".to_owned(), json!(request.map(|(verb, _)| verb)));
    }
    entry.insert("outcome".to_owned(), json!(line.outcome.name()));
    let (message, content) = match line.outcome {
        Outcome::Ok(Value::String(text)) => (text, None),
        Outcome::Ok(content) => (String::new(), Some(content)),
        Outcome::Failed { reason, content } => (reason, content),
        Outcome::Timeout => ("it did not answer in time".to_owned(), None),
        Outcome::Died => ("it ended before it answered".to_owned(), None),
        Outcome::Replaced => ("it was asked to leave before it answered".to_owned(), None),
        Outcome::Unneeded => (String::new(), None),
    };
    entry.insert("message".to_owned(), json!(message));
    entry.extend(content.filter(|content| !content.is_null()).map(|content| ("content".to_owned(), content)));
    Value::Object(entry)
}

fn reply(asker: &Asker, report: Report<Value>) -> Reply {
    let verdict = report.verdict;
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for line in &report.lines {
        *counts.entry(line.outcome.name()).or_default() += 1;
    }
    let words: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let words = words.join(", ");
    let took = clock::mono().since(asker.began).as_secs_f64();
    let workers: Vec<Value> = report.lines.into_iter().map(|line| entry(asker, line)).collect();
    let content = json!({"workers": workers, "missing": asker.missing, "took_seconds": took});
    let status = "`evercrew status` shows which workers are ready";
    match verdict {
        Verdict::Ok | Verdict::Partial => Reply::new(&asker.request, ReplyStatus::Ok, words),
        Verdict::Failed => failure(&asker.request, 1, words, "each worker's line says why"),
        Verdict::Late => failure(&asker.request, 124, words, "give it longer with --timeout"),
        Verdict::Nobody => failure(&asker.request, 1, "no worker is ready to be asked", status),
        Verdict::Refused => failure(&asker.request, 75, "too much is being asked already", "try again later"),
    }
    .with_content(content)
}
