//! The verbs of the control socket: one table, from which requests are checked, the reference page
//! `docs/reference/verbs.md` is written, and it is known who may ask what.

use serde_json::{Map, Value, json};

/// A verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Status,
    Wait,
    Scale,
    Restart,
    RolloutStatus,
    RolloutHistory,
    RolloutPause,
    RolloutResume,
    RolloutUndo,
    Start,
    Stop,
    Reload,
    Shutdown,
    Upgrade,
    Call,
    Signal,
    Events,
    Surroundings,
    LogLevel,
    Dump,
    Metrics,
    Cancel,
    Version,
}

/// What a verb does to the engine: who may only look is given the first kind; the last one ends the engine or shows secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    Look,
    Change,
    Administer,
}

/// What an argument has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Flag,
    Number,
    Text,
    Texts,
    Json,
    List,
}

/// One argument.
#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) about: &'static str,
}

/// One verb with everything that is known of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) verb: Verb,
    pub(crate) name: &'static str,
    pub(crate) right: Right,
    /// Whether it is answered when the fleet got there, or never: such requests are counted.
    pub(crate) stays_open: bool,
    pub(crate) arguments: &'static [Argument],
    /// When it is answered, and with what.
    pub(crate) answered: &'static str,
}

const fn argument(name: &'static str, kind: Kind, about: &'static str) -> Argument {
    Argument { name, kind, about }
}

const NAMES: Argument = argument("names", Kind::Texts, "services (`web`) or workers (`web.2`)");
const SERVICES: Argument = argument("names", Kind::Texts, "services");
const NOW: Argument = argument("now", Kind::Flag, "without grace");

const fn look(verb: Verb, name: &'static str, arguments: &'static [Argument], answered: &'static str) -> Entry {
    Entry { verb, name, right: Right::Look, stays_open: false, arguments, answered }
}

const fn change(verb: Verb, name: &'static str, arguments: &'static [Argument], answered: &'static str) -> Entry {
    Entry { verb, name, right: Right::Change, stays_open: true, arguments, answered }
}

/// The verb `upgrade`.
const UPGRADE: Entry = Entry {
    verb: Verb::Upgrade,
    name: "upgrade",
    right: Right::Administer,
    stays_open: true,
    arguments: &[argument(
        "to",
        Kind::Text,
        "the binary, an absolute path; without it the file that is now where the present one was",
    )],
    answered: "when a manager of that binary has taken over and lived for a second; `processing` once it is tried; fails with `{\"reason\",\"words\"}` when nothing came of it, and nothing was changed",
};

const fn prompt(entry: Entry) -> Entry {
    Entry { stays_open: false, ..entry }
}

const fn administer(entry: Entry) -> Entry {
    Entry { stays_open: false, right: Right::Administer, ..entry }
}

const fn open(entry: Entry) -> Entry {
    Entry { stays_open: true, ..entry }
}

/// Every verb.
pub(crate) const VERBS: &[Entry] = &[
    look(
        Verb::Status,
        "status",
        &[NAMES],
        "at once with the document below; of the named services where there are any. The name of a worker means its service",
    ),
    open(look(
        Verb::Wait,
        "wait",
        &[NAMES],
        "when the services (all without `names`) are ready, stopped or finished; fails when one is failed",
    )),
    change(
        Verb::Scale,
        "scale",
        &[argument("names", Kind::Texts, "`web=4`, `web=+1`, `web=-1`")],
        "when each has that many ready workers and none drains; fails when one, or one of its slots, is failed",
    ),
    change(
        Verb::Restart,
        "restart",
        &[
            NAMES,
            argument("now", Kind::Flag, "all workers at once, without grace; nothing is tried first"),
            argument("detach", Kind::Flag, "the whole new set beside the old one, which drains without being counted"),
        ],
        "when every worker was replaced by a ready one, while the last old one may still drain; `processing` after each with `{\"service\",\"done\",\"total\"}`; fails when the rollout stopped, with `{\"service\",\"worker\",\"how\",\"words\"}` where a worker failed. A deadline that passes leaves the rollout paused",
    ),
    look(
        Verb::RolloutStatus,
        "rollout-status",
        &[SERVICES],
        "at once with `{\"rollouts\":[{\"service\",\"by\",\"began\",\"done\",\"total\",\"outcome\",\"proved\",\"pace\",…}]}`: those that run or are paused",
    ),
    look(
        Verb::RolloutHistory,
        "rollout-history",
        &[SERVICES],
        "at once with `{\"rollouts\":[{\"service\",\"by\",\"began\",\"lasted_seconds\",\"done\",\"total\",\"outcome\",\"reason\",\"worker\",\"words\"}]}`: the last 50, newest first",
    ),
    prompt(change(
        Verb::RolloutPause,
        "rollout-pause",
        &[SERVICES],
        "at once: nothing more is replaced (all rollouts without `names`); fails when none runs",
    )),
    prompt(change(Verb::RolloutResume, "rollout-resume", &[SERVICES], "at once; as `rollout-pause`")),
    change(
        Verb::RolloutUndo,
        "rollout-undo",
        &[SERVICES],
        "as `restart`, when every worker runs what served before; at once where the command is the same; fails when nothing else is known",
    ),
    change(Verb::Start, "start", &[SERVICES], "as `wait`"),
    change(Verb::Stop, "stop", &[SERVICES, NOW], "when no process of them is left"),
    change(
        Verb::Reload,
        "reload",
        &[
            argument("dry_run", Kind::Flag, "only say what would change"),
            argument("no_wait", Kind::Flag, "do not wait for what follows the commit"),
        ],
        "`processing` with `{\"revision\",\"plan\",\"lines\",\"remarks\"}` when the new configuration is in force, then as `restart` when every rollout ended and every changed service is ready; fails with 78 when nothing was changed, with 1 when a rollout stopped or a service failed after the commit",
    ),
    administer(change(
        Verb::Shutdown,
        "shutdown",
        &[NOW],
        "at once with `{\"supervisor\":{\"pid\":…}}`; the engine then ends",
    )),
    UPGRADE,
    change(
        Verb::Call,
        "call",
        &[
            NAMES,
            argument("call", Kind::Text, "a verb of the workers' own"),
            argument("with", Kind::Json, "its arguments, at most 31 KiB"),
            argument("calls", Kind::List, "several at once, 16 at most: `[{\"call\":…,\"with\":…}]`"),
            argument("one", Kind::Flag, "ask one of them, which has least to do"),
            argument("first", Kind::Flag, "the first success is enough"),
            argument("quorum", Kind::Number, "so many successes are enough"),
            argument("map", Kind::Flag, "those who do not answer are named and the rest is a success"),
            argument("stream", Kind::Flag, "tell each outcome in a `processing` as soon as it is known"),
            argument("forever", Kind::Flag, "no deadline, where `deadline_ms` gives none; else it is 60 s"),
        ],
        "when every ready worker that is meant has answered, ended, or the deadline has passed, with `{\"workers\":[{\"name\",\"outcome\",\"message\",\"content\"}],\"missing\":[…],\"took_seconds\"}`; what a worker says meanwhile is a `processing` with `{\"worker\",\"progress\"}`. Fails with 1 when one failed, ended or was replaced, or none is ready; else with 124 when one did not answer",
    ),
    prompt(change(
        Verb::Signal,
        "signal",
        &[
            NAMES,
            argument("signal", Kind::Text, "`USR1`, `SIGUSR1` or `10`, or a word for a command pipe: `RELOAD`"),
            argument("group", Kind::Flag, "the whole process group of each worker"),
        ],
        "at once with `{\"workers\":[{\"name\",\"pid\"}]}`: those that it was sent to. Never a commanded stop: a worker that ends by it has ended unasked",
    )),
    open(look(
        Verb::Events,
        "events",
        &[
            argument("follow", Kind::Flag, "stay and send what happens"),
            argument("since", Kind::Number, "from this number on"),
            argument(
                "snapshot",
                Kind::Flag,
                "with `follow`: the document of `status` first, which no event is missing after",
            ),
            argument("heartbeats", Kind::Flag, "with `follow`: each heartbeat of each worker as well"),
            argument("service", Kind::Texts, "only events of these services"),
            argument("kind", Kind::Texts, "only these kinds: `worker.exit`, or `worker` for all that begin so"),
        ],
        "see [events](control-socket.md#events)",
    )),
    change(
        Verb::LogLevel,
        "log-level",
        &[argument(
            "filter",
            Kind::Text,
            "`debug` for every process, `web=debug,manager=trace` for some: services, workers, `manager`, `supervisor`, `logger`; without it nothing changes",
        )],
        "when the workers that are asked have answered, in 2 s without a deadline, with `{\"filter\",\"processes\":{\"manager\":\"info\",…},\"unanswered\":[…]}`: which lines of its log each process writes. Own workers are asked, others where the filter names them",
    ),
    look(
        Verb::Dump,
        "dump",
        &[argument("last", Kind::Number, "how many decisions; 64 without it, 256 at most")],
        "at once with `processes`, `queues`, `timers`, `status`, `decisions`: for a person who looks for a fault; its shape may change",
    ),
    administer(change(
        Verb::Surroundings,
        "surroundings",
        &[NAMES],
        "at once with what the workers of the first named service run in: `environment`, `directory`, `credentials`, `umask`, `limits`, `nice`, `oom_score_adj`",
    )),
    open(look(
        Verb::Metrics,
        "metrics",
        &[],
        "when every process was looked at, with `{\"families\":[{\"name\",\"kind\",\"help\",\"samples\":[{\"labels\",\"value\",\"workers\"}]}],\"missing\":[…]}`",
    )),
    look(
        Verb::Cancel,
        "cancel",
        &[argument("id", Kind::Text, "of an open request on this connection")],
        "at once; the cancelled request gets its `ok` first",
    ),
    look(Verb::Version, "version", &[], "at once with `{\"version\":…,\"verbs\":[…]}`: this table for programs"),
];

impl Entry {
    /// The verb of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        VERBS.iter().find(|entry| entry.name == name)
    }

    /// Whether every argument is one of this verb's and has its type; null is as good as missing.
    ///
    /// # Errors
    /// What is wrong, naming the argument, and what to do.
    pub(crate) fn check(&self, args: &Map<String, Value>) -> Result<(), (String, String)> {
        for (name, value) in args.iter().filter(|(_, value)| !value.is_null()) {
            let Some(argument) = self.arguments.iter().find(|argument| argument.name == name) else {
                let known: Vec<&str> = self.arguments.iter().map(|argument| argument.name).collect();
                let hint = if known.is_empty() {
                    "it takes none".to_owned()
                } else {
                    format!("it takes {}", known.join(", "))
                };
                return Err((format!("`{}` takes no argument `{}`", self.name, brief(name)), hint));
            };
            if !argument.kind.fits(value) {
                let text = format!(
                    "`{name}` of `{}` is {}, found {}",
                    self.name,
                    argument.kind.expects(),
                    brief(&value.to_string())
                );
                return Err((text, format!("send {{\"args\":{{\"{name}\":{}}}}}", argument.kind.example())));
            }
        }
        Ok(())
    }
}

/// The beginning of what a client sent.
fn brief(text: &str) -> String {
    let mut brief: String = text.chars().take(40).collect();
    if brief.len() < text.len() {
        brief.push('…');
    }
    brief
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Flag => value.is_boolean(),
            Self::Number => value.is_u64(),
            Self::Text => value.is_string(),
            Self::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
            Self::Json => true,
            Self::List => value.as_array().is_some_and(|items| items.iter().all(Value::is_object)),
        }
    }

    fn expects(self) -> &'static str {
        match self {
            Self::Flag => "true or false",
            Self::Number => "a whole number from 0",
            Self::Text => "a string",
            Self::Texts => "a list of strings",
            Self::Json => "any JSON value",
            Self::List => "a list of objects",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Flag => "true",
            Self::Number => "1",
            Self::Text => "\"7\"",
            Self::Texts => "[\"web\"]",
            Self::Json => "{}",
            Self::List => "[{}]",
        }
    }
}

/// All verbs, for programs that ask what this engine can do.
pub(crate) fn list() -> Value {
    let argument = |a: &Argument| json!({"name": a.name, "expects": a.kind.expects(), "about": a.about});
    let verb = |entry: &Entry| {
        let args: Vec<Value> = entry.arguments.iter().map(argument).collect();
        json!({"name": entry.name, "right": entry.right.name(), "args": args, "answered": entry.answered})
    };
    VERBS.iter().map(verb).collect()
}

impl Right {
    fn name(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Change => "change",
            Self::Administer => "administer",
        }
    }
}

/// The page `docs/reference/verbs.md`.
#[cfg(test)]
fn page() -> String {
    let mut page = "# Verbs\n\nWritten by the code from its table of verbs; `EVERCREW_BLESS=1 cargo test -p evercrew-manager reference` writes it\nagain. How requests and replies look stands in [control socket](control-socket.md).\n\n| verb | right | args | answered |\n|---|---|---|---|\n".to_owned();
    for entry in VERBS {
        let args = entry.arguments.iter().map(|a| format!("`{}`: {}; {}", a.name, a.kind.expects(), a.about));
        page += &format!(
            "| `{}` | {} | {} | {} |\n",
            entry.name,
            entry.right.name(),
            args.collect::<Vec<_>>().join("<br>"),
            entry.answered
        );
    }
    page + "\nAn argument that a verb does not take, or of another type, is refused with code 2. Null is as good as missing.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(verb: &str, args: &Value) -> String {
        let args = args.as_object().cloned().unwrap_or_default();
        Entry::named(verb)
            .expect("a verb")
            .check(&args)
            .map_or_else(|(text, hint)| format!("{text} | {hint}"), |()| String::new())
    }

    #[test]
    fn an_argument_of_another_type_is_refused_by_name() {
        for (verb, args, told) in [
            ("stop", json!({"names": ["web"], "now": "yes"}), "`now` of `stop` is true or false, found \"yes\""),
            ("stop", json!({"names": ["web"], "now": 1}), "`now` of `stop`"),
            ("status", json!({"names": "web"}), "`names` of `status` is a list of strings, found \"web\""),
            ("status", json!({"names": ["web", 7]}), "`names` of `status`"),
            ("events", json!({"since": "5"}), "`since` of `events` is a whole number"),
            ("events", json!({"since": -5}), "`since` of `events`"),
            ("events", json!({"since": 1.5}), "`since` of `events`"),
            ("cancel", json!({"id": 7}), "`id` of `cancel` is a string"),
            ("wait", json!({"now": true}), "`wait` takes no argument `now` | it takes names"),
            ("version", json!({"x": {}}), "`version` takes no argument `x` | it takes none"),
        ] {
            let refusal = refused(verb, &args);
            assert!(refusal.contains(told), "{verb} {args}: {refusal}");
        }
        assert!(refused("stop", &json!({"names": "x".repeat(100_000)})).len() < 300);
        for (verb, args) in [("stop", json!({"names": ["web"], "now": null})), ("events", json!({"since": u64::MAX}))] {
            assert_eq!(refused(verb, &args), "", "{verb} {args}");
        }
    }

    #[test]
    fn each_verb_has_one_name_and_one_entry() {
        let mut names: Vec<&str> = VERBS.iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), VERBS.len());
    }

    #[test]
    fn the_reference_page_is_up_to_date() {
        crate::reference::is_up_to_date("verbs.md", &page());
    }
}
