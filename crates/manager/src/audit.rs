//! Who changed what, and what came of it: a line of the engine's log for every changing command, whatever the level, and
//! an event for all but `call`, of which there may be thousands a second.

use evercrew_core::Mono;
use evercrew_sys::clock;
use evercrew_wire::control::{Reply, ReplyStatus, Request};
use evercrew_wire::handover;
use serde_json::{Value, json};

use crate::manager::Manager;
use crate::verbs::Entry;

/// What is kept of the arguments and of a message, in characters.
const LONGEST: usize = 300;
/// Workers that are named.
const MOST_WORKERS: usize = 64;

/// A changing command whose end is to be told.
#[derive(Clone, Debug)]
pub(crate) struct Audited {
    request: String,
    verb: &'static str,
    args: String,
    began: Mono,
    /// `None` while it is open.
    end: Option<End>,
}

#[derive(Clone, Debug)]
struct End {
    status: &'static str,
    code: Option<u8>,
    message: String,
    workers: Vec<Value>,
    took: f64,
}

impl Audited {
    pub(crate) fn new(request: &Request, verb: &'static str) -> Self {
        let args = Value::Object(request.args.clone()).to_string().chars().take(LONGEST).collect();
        Self { request: request.id.clone(), verb, args, began: clock::mono(), end: None }
    }

    /// For another manager; none of one that is over.
    pub(crate) fn hand_on(&self) -> Option<handover::Audited> {
        let Self { request, verb, args, began, end: None } = self else { return None };
        let (request, verb, args) = (request.clone(), (*verb).to_owned(), args.clone());
        Some(handover::Audited { request, verb, args, began: began.as_nanos() })
    }

    /// From another manager; none of a verb that is not known.
    pub(crate) fn back(handed: handover::Audited) -> Option<Self> {
        let verb = Entry::named(&handed.verb)?.name;
        let (request, args, began) = (handed.request, handed.args, Mono::from_nanos(handed.began));
        Some(Self { request, verb, args, began, end: None })
    }

    /// Whether this reply is its end.
    pub(crate) fn ends_with(&mut self, reply: &Reply) -> bool {
        if self.end.is_some() || self.request != reply.id || reply.status == ReplyStatus::Processing {
            return false;
        }
        let status = if reply.status == ReplyStatus::Ok { "ok" } else { "failure" };
        let worker = |worker: &Value| json!({"name": worker["name"], "outcome": worker["outcome"]});
        let workers = reply.content["workers"].as_array().into_iter().flatten().take(MOST_WORKERS);
        self.end = Some(End {
            status,
            code: reply.code,
            message: reply.message.chars().take(LONGEST).collect(),
            workers: workers.map(worker).collect(),
            took: clock::mono().since(self.began).as_secs_f64(),
        });
        true
    }

    /// Its asker went without waiting for the end.
    pub(crate) fn left_alone(&mut self) {
        self.end.get_or_insert(End {
            status: "unknown",
            code: None,
            message: "its client left; what it asked for goes on".to_owned(),
            workers: Vec::new(),
            took: clock::mono().since(self.began).as_secs_f64(),
        });
    }
}

impl Manager {
    /// Says of every changing command that is over who gave it and what came of it.
    pub(crate) fn write_audit(&mut self) {
        for (who, audited) in self.clients.take_audited() {
            let Audited { verb, args, end: Some(end), .. } = audited else { continue };
            let End { status, code, message, workers, took } = end;
            let outcomes: Vec<String> = workers
                .iter()
                .map(|w| format!("{} {}", w["name"].as_str().unwrap_or("?"), w["outcome"].as_str().unwrap_or("told")))
                .collect();
            let code_words = code.map_or_else(String::new, |code| format!(" {code}"));
            let more = [message.clone(), outcomes.join(", ")].into_iter().filter(|text| !text.is_empty());
            let more: String = more.map(|text| format!("; {text}")).collect();
            let words = format!("audit: {who}: {verb} {args}: {status}{code_words} after {took:.3} s{more}");
            self.log.write_always(&words.replace(char::is_control, " "));
            if verb == "call" {
                continue;
            }
            let fields = json!({"uid": who.uid, "pid": who.pid, "role": who.role.map(crate::access::Role::name), "verb": verb,
                                "args": args, "status": status, "code": code, "message": message,
                                "workers": workers, "took_seconds": took});
            if let Value::Object(fields) = fields {
                self.events.add("engine.command", fields);
                self.changed();
            }
        }
    }
}
