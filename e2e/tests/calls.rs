//! Questions to workers: an outcome for each of them, whatever it does.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::{Engine, Output};
use serde_json::{Value, json};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);

/// An engine with so many workers that answer.
pub(crate) fn engine(workers: u32, more: &str) -> Engine {
    let app = concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/apps/hub.py");
    Engine::up(
        EVERCREW,
        &format!(
            "[service.s]\ncommand = [\"python3\", {app:?}]\nworkers = {workers}\ncommand_pipe = true\n\
             ready = {{ output = \"^ready\" }}\nstop = {{ grace = \"100ms\" }}\n{more}"
        ),
    )
}

/// A command's document.
pub(crate) fn document(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn outcomes(output: &Output) -> Vec<String> {
    let document = document(output);
    let workers = document["content"]["workers"].as_array().expect("workers").clone();
    let one = |worker: &Value| {
        format!("{} {}", worker["name"].as_str().unwrap_or("?"), worker["outcome"].as_str().unwrap_or("?"))
    };
    workers.iter().map(one).collect()
}

#[test]
fn each_worker_has_a_line_and_the_code_is_that_of_the_worst() {
    let mut engine = engine(3, "");
    let all = engine.run(&["call", "s", "echo", "{\"a\":[1]}", "--json"]);
    assert_eq!((all.code, outcomes(&all)), (0, ["s.1 ok", "s.2 ok", "s.3 ok"].map(str::to_owned).to_vec()));
    assert_eq!(document(&all)["content"]["workers"][1]["content"], json!({"who": "s.2", "args": {"a": [1]}}));
    let failed = engine.run(&["call", "s", "fail", "{\"who\":\"s.2\"}"]);
    assert_eq!(failed.code, 1);
    assert!(failed.stdout.contains("s.2 failed it cannot {\"n\":1}"), "{failed:?}");
    assert!(failed.stdout.contains("s.1 ok") && failed.stdout.contains("s.3 ok"), "{failed:?}");
    let late = engine.run(&["call", "s", "hang", "{\"who\":\"s.3\"}", "--timeout", "1s", "--json"]);
    assert_eq!((late.code, outcomes(&late)), (124, ["s.1 ok", "s.2 ok", "s.3 timeout"].map(str::to_owned).to_vec()));
    let took = document(&late)["content"]["took_seconds"].as_f64().expect("how long it took");
    assert!((0.9..10.0).contains(&took), "{took}");
    let failed = engine.run(&["call", "s", "nothing"]);
    assert!(failed.code == 1 && failed.stdout.contains("unknown verb nothing"), "{failed:?}");
    let big = engine.run(&["call", "s.1", "big"]);
    assert!(big.code == 1 && big.stdout.contains("s.1 failed its answer has"), "{big:?}");
    let progress = engine.run(&["call", "s.1", "progress"]);
    assert_eq!((progress.code, progress.stdout.as_str()), (0, "s.1 ok done\n"));
    assert_eq!(progress.stderr.matches("s.1: {\"n\":").count(), 3, "{progress:?}");
    assert_eq!(engine.down(), 0);
}

#[test]
fn who_is_asked_is_chosen_and_how_many_are_needed() {
    let mut engine = engine(3, "");
    let one = engine.run(&["call", "s", "echo", "--one", "--json"]);
    assert_eq!((one.code, outcomes(&one).len()), (0, 1));
    let two = engine.run(&["call", "s", "echo", "--worker", "1", "--worker", "s.3", "--json"]);
    assert_eq!((two.code, outcomes(&two)), (0, vec!["s.1 ok".to_owned(), "s.3 ok".to_owned()]));
    let quorum = engine.run(&["call", "s", "hang", "{\"who\":\"s.2\"}", "--quorum", "2", "--json"]);
    assert_eq!((quorum.code, outcomes(&quorum)), (0, ["s.1 ok", "s.2 unneeded", "s.3 ok"].map(str::to_owned).to_vec()));
    let first = engine.run(&["call", "s", "fail", "{\"who\":\"s.2\"}", "--first"]);
    assert_eq!(first.code, 0, "{first:?}");
    let never = engine.run(&["call", "s", "echo", "--quorum", "4"]);
    assert_eq!(never.code, 1, "{never:?}");
    for (arguments, code, told) in [
        (&["call", "s", "echo", "{bad"][..], 2, "not JSON"),
        (&["call", "t", "echo"], 4, "no service or worker `t`"),
        (&["call", "s.7", "echo"], 4, "s.7"),
        (&["call", "s", "echo", "--quorum", "0"], 2, "quorum"),
        (&["call", "s", "echo", "--one", "--quorum", "1"], 2, "cannot be used"),
    ] {
        let refused = engine.run(arguments);
        assert!(refused.code == code && refused.stderr.contains(told), "{arguments:?}: {refused:?}");
    }
    engine.ok(&["stop", "s"]);
    let nobody = engine.run(&["call", "s", "echo"]);
    assert!(nobody.code == 1 && nobody.stderr.contains("no worker is ready"), "{nobody:?}");
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_death_is_an_outcome_at_once_and_a_last_answer_is_not_lost() {
    let mut engine = engine(2, "");
    let began = Instant::now();
    let died = engine.run(&["call", "s", "die", "{\"who\":\"s.2\"}", "--timeout", "60s", "--json"]);
    assert_eq!((died.code, outcomes(&died)), (1, vec!["s.1 ok".to_owned(), "s.2 died".to_owned()]));
    assert!(began.elapsed() < SOON, "it waited for the deadline");
    engine.ready();
    let mut events = engine.events(1);
    for generation in 2..4 {
        let last = engine.run(&["call", "s.1", "last"]);
        assert_eq!((last.code, last.stdout.as_str()), (0, "s.1 ok bye\n"), "{last:?}");
        events.wait("its successor", SOON, |event| {
            event["kind"] == "worker.ready" && event["worker"] == "s.1" && event["generation"] == generation
        });
    }
    // One that is told to leave meanwhile is replaced, not dead.
    let mut stream = Asking::new(&engine);
    stream.ask(json!({"id": "r", "verb": "call", "args": {"names": ["s.2"], "call": "hang"}, "deadline_ms": 60_000}));
    engine.ok(&["restart", "s"]);
    let reply = stream.reply();
    assert_eq!(reply["content"]["workers"][0]["outcome"], "replaced", "{reply}");
    let closed = engine.run(&["call", "s.1", "close", "--timeout", "60s"]);
    assert!(closed.code == 1 && closed.stdout.contains("closed its command pipe"), "{closed:?}");
    assert!(began.elapsed() < Duration::from_secs(50));
    assert_eq!(engine.down(), 0);
}

/// A worker that is stopped and has unread commands in its pipe dies: it is noticed, replaced, and its askers are told.
#[test]
fn a_killed_worker_with_unread_commands_is_noticed_and_replaced() {
    let mut engine = engine(2, "");
    let worker = engine.workers("s")[0].pid.expect("a process");
    let process = Process::open(worker);
    process.signal(Signal::Stop);
    assert!(process.stopped_within(SOON));
    let mut stream = Asking::new(&engine);
    for n in 0..20 {
        let id = n.to_string();
        stream.ask(json!({"id": id, "verb": "call", "args": {"names": ["s"], "call": "echo"}, "deadline_ms": 60_000}));
    }
    // A question after it is answered: those before have been put.
    stream.ask(json!({"id": "v", "verb": "version"}));
    assert_eq!(stream.reply()["id"], "v");
    process.signal(Signal::Kill);
    for _ in 0..20 {
        let reply = stream.reply();
        let outcomes: Vec<&Value> =
            reply["content"]["workers"].as_array().expect("workers").iter().map(|worker| &worker["outcome"]).collect();
        assert_eq!((outcomes, &reply["code"]), (vec![&json!("died"), &json!("ok")], &json!(1)));
    }
    engine.ready();
    assert_ne!(engine.workers("s")[0].pid, Some(worker));
    assert_eq!(engine.run(&["call", "s", "echo"]).code, 0);
    assert_eq!(engine.down(), 0);
}

#[test]
fn double_and_forged_answers_change_nothing_and_are_counted() {
    let mut engine = engine(2, "");
    let twice = engine.run(&["call", "s", "twice", "--json"]);
    assert_eq!((twice.code, outcomes(&twice).len()), (0, 2));
    assert_eq!(document(&twice)["content"]["workers"][0]["content"], json!(1));
    // One forges answers for the questions after its own, the next of which goes to the other worker.
    let mut stream = Asking::new(&engine);
    stream.ask(json!({"id": "a", "verb": "call", "args": {"names": ["s.1"], "call": "foreign"}, "deadline_ms": 3000}));
    stream.ask(json!({"id": "b", "verb": "call", "args": {"names": ["s.2"], "call": "hang"}, "deadline_ms": 2000}));
    let replies = [stream.reply(), stream.reply()];
    for (reply, id) in replies.iter().zip(["b", "a"]) {
        assert_eq!((&reply["id"], &reply["code"]), (&json!(id), &json!(124)), "{reply}");
    }
    let metrics = document(&engine.run(&["metrics", "--json"]));
    let count = |why: &str| {
        let families = metrics["families"].as_array().expect("families");
        let family = families.iter().find(|family| family["name"] == "evercrew_answers_disregarded_total");
        let samples = family.expect("it")["samples"].as_array().expect("samples").clone();
        samples.iter().find(|sample| sample["labels"]["why"] == why).map_or(0.0, |s| s["value"].as_f64().expect("one"))
    };
    assert!(count("late") >= 2.0, "{metrics}");
    assert!(count("unknown") + count("foreign") >= 40.0, "{metrics}");
    assert_eq!(engine.down(), 0);
}

#[test]
fn each_deadline_is_kept_whatever_others_there_are() {
    let mut engine = engine(1, "");
    let mut stream = Asking::new(&engine);
    let began = Instant::now();
    for (id, ms) in [("long", 8000), ("short", 1000), ("longer", 9000)] {
        stream.ask(json!({"id": id, "verb": "call", "args": {"names": ["s"], "call": "hang"}, "deadline_ms": ms}));
    }
    let first = stream.reply();
    assert_eq!((&first["id"], &first["code"]), (&json!("short"), &json!(124)));
    assert!(began.elapsed() < Duration::from_secs(7), "the earliest deadline is kept, not the latest");
    stream.ask(json!({"id": "c", "verb": "cancel", "args": {"id": "longer"}}));
    let cancelled = [stream.reply(), stream.reply()];
    assert_eq!((&cancelled[0]["id"], &cancelled[1]["id"]), (&json!("longer"), &json!("c")));
    // Who goes takes its questions along.
    drop(stream);
    let mut other = Asking::new(&engine);
    let until = Instant::now() + SOON;
    while other.ask_now(json!({"id": "m", "verb": "metrics"}))["content"]["families"]
        .as_array()
        .expect("families")
        .iter()
        .any(|family| family["name"] == "evercrew_calls_open" && family["samples"][0]["value"] != 0.0)
    {
        assert!(Instant::now() < until, "a task outlives its asker");
    }
    assert_eq!(engine.down(), 0);
}

#[test]
fn several_requests_in_one_task_and_bad_ones_each_with_their_failure() {
    let mut engine = engine(2, "");
    let mut stream = Asking::new(&engine);
    let calls = json!([{"call": "echo", "with": 1}, {"call": "fail"}]);
    let reply = stream.ask_now(json!({"id": "1", "verb": "call", "args": {"names": ["s"], "calls": calls}}));
    let workers = reply["content"]["workers"].as_array().expect("workers");
    let lines: Vec<String> =
        workers.iter().map(|w| format!("{} {} {}", w["name"], w["call"], w["outcome"]).replace('"', "")).collect();
    assert_eq!(lines, ["s.1 echo ok", "s.1 fail failed", "s.2 echo ok", "s.2 fail failed"]);
    for (args, told) in [
        (json!({"names": ["s"]}), "without a verb"),
        (json!({"names": [], "call": "x"}), "no service is named"),
        (json!({"names": ["s"], "call": ""}), "1 to 128 bytes"),
        (json!({"names": ["s"], "call": 7}), "`call` of `call` is a string"),
        (json!({"names": ["s"], "call": "x", "with": "y".repeat(70_000)}), "more than a command pipe takes"),
        (json!({"names": ["s"], "call": "x", "first": true, "quorum": 1}), "exclude each other"),
        (json!({"names": ["s"], "call": "x", "quorum": 0}), "asks for nothing"),
        (json!({"names": ["s"], "calls": [{"with": 1}]}), "has no `call`"),
        (json!({"names": ["s"], "calls": [1]}), "a list of objects"),
    ] {
        let reply = stream.ask_now(json!({"id": "2", "verb": "call", "args": args}));
        assert_eq!((&reply["status"], &reply["code"]), (&json!("failure"), &json!(2)), "{reply}");
        let message = reply["message"].as_str().expect("a message");
        assert!(message.contains(told) && reply["hint"].is_string(), "{reply}");
    }
    assert_eq!(engine.down(), 0);
}

#[test]
fn one_that_floods_or_does_not_read_delays_nobody() {
    let mut engine = engine(3, "");
    assert_eq!(engine.run(&["call", "s.1", "flood"]).code, 0);
    let stopped = Process::open(engine.workers("s")[1].pid.expect("a process"));
    stopped.signal(Signal::Stop);
    assert!(stopped.stopped_within(SOON));
    let mut stream = Asking::new(&engine);
    // Until its pipe is full, and on.
    let with = "x".repeat(30_000);
    for n in 0..60 {
        let args = json!({"names": ["s.2"], "call": "echo", "with": with});
        stream.ask(json!({"id": format!("f{n}"), "verb": "call", "args": args, "deadline_ms": 60_000}));
    }
    let mut full = 0;
    let began = Instant::now();
    for n in 0..200 {
        let id = format!("{n}");
        stream
            .ask(json!({"id": id, "verb": "call", "args": {"names": ["s.3"], "call": "echo"}, "deadline_ms": 60_000}));
        loop {
            let reply = stream.reply();
            if reply["id"] == id {
                assert_eq!(reply["status"], "ok", "{reply}");
                break;
            }
            let message = reply["content"]["workers"][0]["message"].as_str().expect("a message");
            assert!(message.contains("is full"), "{reply}");
            full += 1;
        }
    }
    assert!(full > 0, "its pipe never was full");
    assert!(began.elapsed() < SOON, "200 questions took {:?}", began.elapsed());
    stopped.signal(Signal::Kill);
    assert_eq!(engine.down(), 0);
}

/// A connection for several requests.
pub(crate) struct Asking {
    stream: UnixStream,
    replies: BufReader<UnixStream>,
}

impl Asking {
    pub(crate) fn new(engine: &Engine) -> Self {
        let stream = UnixStream::connect(engine.home().join(".evercrew/control.sock")).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let replies = BufReader::new(stream.try_clone().expect("a second handle"));
        Self { stream, replies }
    }

    pub(crate) fn ask(&mut self, request: Value) {
        self.stream.write_all(format!("{request}\n").as_bytes()).expect("ask");
    }

    pub(crate) fn reply(&mut self) -> Value {
        let mut line = String::new();
        self.replies.read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    pub(crate) fn ask_now(&mut self, request: Value) -> Value {
        self.ask(request);
        self.reply()
    }
}
