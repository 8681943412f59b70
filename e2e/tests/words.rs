//! Command pipes: words to workers, answers from them, and signals where words do not arrive.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::{Engine, Events};
use serde_json::{Value, json};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);

/// Answers each word, leaves by those that ask for it, and does not leave by TERM.
const OBEDIENT: &str = r#"#!/bin/sh
trap 'echo TERM' TERM
echo ready
echo noise >&3
while read -r word <&3; do
    echo "{\"id\":1,\"status\":\"ok\",\"message\":\"did $word\",\"content\":[2]}" >&3
    case $word in GRACEFUL_STOP | IMMEDIATE_STOP | DETACH) exit 7 ;; esac
done
"#;

/// An engine with one worker of this script, which prints `ready`; `more` are further keys.
fn engine(script: &str, more: &str) -> Engine {
    let mut engine = Engine::new(EVERCREW, "");
    let script = engine.script("program.sh", script);
    engine.configure(&format!(
        "[service.s]\ncommand = [{script:?}]\ncommand_pipe = true\nready = {{ output = \"^ready\" }}\n{more}"
    ));
    engine.start();
    engine.ready();
    engine
}

/// The first event that fits, after the one of number `since`: a worker's last answer is told before its exit or after.
fn after(events: &mut Events, since: u64, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let fits = |event: &Value| event["seq"].as_u64().is_some_and(|seq| seq > since) && fits(event);
    if let Some(event) = events.seen().find(|event| fits(event)) {
        return event.clone();
    }
    events.wait(what, SOON, fits)
}

fn answered(events: &mut Events, since: u64, word: &str) -> u64 {
    let message = format!("did {word}");
    let event =
        after(events, since, word, |event| event["kind"] == "worker.answered" && event["message"] == message.as_str());
    event["seq"].as_u64().expect("a number")
}

fn exit(events: &mut Events, since: u64) -> Value {
    after(events, since, "an exit", |event| event["kind"] == "worker.exit")
}

#[test]
fn words_are_told_and_answered_also_after_the_death_of_a_manager() {
    let mut engine = engine(OBEDIENT, "");
    let mut events = engine.events(1);
    let told = engine.ok(&["signal", "s", "RELOAD"]);
    assert!(told.stderr.contains("RELOAD sent to 1 worker"), "{}", told.stderr);
    let first = answered(&mut events, 0, "RELOAD");
    let answer = events.seen().find(|event| event["seq"] == first).expect("the answer");
    assert_eq!((&answer["id"], &answer["status"], &answer["content"]), (&json!(1), &json!("ok"), &json!([2])));
    assert!(events.seen().any(|event| event["kind"] == "worker.noise" && event["worker"] == "s.1"));
    engine.manager().signal(Signal::Kill);
    engine.ok(&["wait", "--ready", "s"]);
    let mut events = engine.events(first);
    engine.ok(&["signal", "s.1", "graceful_restart"]);
    answered(&mut events, first, "GRACEFUL_RESTART");
    engine.ok(&["dump"]);
    let dumped = answered(&mut events, first, "DUMP");
    let changed = std::fs::read_to_string(engine.home().join("evercrew.toml")).expect("the configuration");
    engine.configure(&format!("{changed}start_delay = \"1ms\"\n"));
    engine.ok(&["reload"]);
    let reloaded = answered(&mut events, dumped, "RELOAD");
    engine.ok(&["restart", "s", "--detach"]);
    answered(&mut events, reloaded, "DETACH");
    let left = exit(&mut events, reloaded);
    assert_eq!(left["code"], 7);
    engine.ok(&["stop", "s"]);
    answered(&mut events, reloaded, "GRACEFUL_STOP");
    let stopped = exit(&mut events, left["seq"].as_u64().expect("a number"));
    assert_eq!(stopped["code"], 7, "it left by the word");
    assert_eq!(engine.run(&["signal", "s", "GRACEFUL_STOPS"]).code, 2);
    assert_eq!(engine.down(), 0);
    assert!(!engine.log().contains("TERM"), "no signal was sent beside a word");
}

#[test]
fn a_stop_that_begins_with_quit_says_so() {
    let mut engine = engine(OBEDIENT, "stop = { signal = \"QUIT\", grace = \"30s\" }\n");
    let mut events = engine.events(1);
    engine.ok(&["stop", "s"]);
    answered(&mut events, 0, "IMMEDIATE_STOP");
    assert_eq!(engine.down(), 0);
}

#[test]
fn who_never_reads_is_stopped_by_what_follows() {
    let stop = "stop = [{ signal = \"TERM\", for = \"100ms\" }, { signal = \"INT\", for = \"60s\" }]\n";
    let mut engine = engine("#!/bin/sh\necho ready\nexec sleep 1000\n", stop);
    let mut events = engine.events(1);
    engine.ok(&["restart", "s"]);
    let first = exit(&mut events, 0);
    assert_eq!(first["signal"], "SIGINT", "the first step is a word that nobody reads");
    // Until nothing fits any more: then the signal is what is left.
    let mut stream = UnixStream::connect(engine.home().join(".evercrew/control.sock")).expect("connect");
    let mut replies = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut told = 0;
    let refusal = loop {
        stream
            .write_all(b"{\"id\":\"1\",\"verb\":\"signal\",\"args\":{\"names\":[\"s\"],\"signal\":\"DUMP\"}}\n")
            .expect("ask");
        let mut line = String::new();
        replies.read_line(&mut line).expect("an answer");
        let reply: Value = serde_json::from_str(&line).expect("JSON");
        if reply["status"] != "ok" {
            break reply["message"].to_string();
        }
        told += 1;
    };
    assert!(told > 10 && refusal.contains("does not read its command pipe, which is full"), "{told}: {refusal}");
    engine.ok(&["stop", "s"]);
    assert_eq!(exit(&mut events, first["seq"].as_u64().expect("a number"))["signal"], "SIGTERM");
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_closed_pipe_takes_no_words_and_costs_nothing() {
    let mut engine = engine("#!/bin/sh\nexec 3>&-\necho ready\nexec sleep 1000\n", "");
    let mut events = engine.events(1);
    let refused = engine.run(&["signal", "s", "RELOAD"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("s.1 has closed its command pipe"), "{}", refused.stderr);
    let (manager, supervisor) = (engine.manager(), engine.supervisor());
    let before = (manager.voluntary_switches(), supervisor.voluntary_switches());
    events.drain_until(Instant::now() + Duration::from_secs(2));
    let woken = (manager.voluntary_switches() - before.0, supervisor.voluntary_switches() - before.1);
    assert!(woken.0 < 20 && woken.1 < 20, "woken {woken:?} times in two seconds at the end of the pipe");
    engine.ok(&["stop", "s"]);
    assert_eq!(exit(&mut events, 0)["signal"], "SIGTERM", "where no word can be told the signal is sent");
    assert_eq!(engine.down(), 0);
}

#[test]
fn who_has_no_pipe_is_not_told() {
    let mut engine = Engine::up(EVERCREW, "[service.s]\ncommand = [\"sleep\", \"1000\"]\n");
    let refused = engine.run(&["signal", "s", "DUMP"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("s.1 has no command pipe") && refused.stderr.contains("command_pipe = true"));
    assert_eq!(engine.run(&["signal", "s", "DUMP", "--group"]).code, 2);
    assert_eq!(engine.down(), 0);
}
