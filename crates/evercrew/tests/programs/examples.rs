//! The examples that the documents show.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use serde_json::{Value, json};

use crate::conformance::address;
use crate::example;
use crate::http::{begin, get};

const PATIENCE: Duration = Duration::from_secs(60);
/// In the place of the example's own port.
const ANY_PORT: &str = "address = \"127.0.0.1:0\"\n";

#[test]
fn notes_are_kept_whichever_worker_takes_or_gives_them() {
    let mut engine = Engine::new(&example("notes"), &format!("[listen.web]\n{ANY_PORT}"));
    let database = engine.home().join("notes.db");
    engine = engine.with("NOTES_DB", &database.to_string_lossy());
    engine.start();
    engine.ready();
    let web = address(&engine, "web");
    let keep = |text: &str| {
        let body = json!({"text": text}).to_string();
        begin(web, "POST", "/notes", &body).end().expect("an answer").0
    };
    for number in 0..8 {
        assert_eq!(keep(&format!("note {number}")), 201);
    }
    Process::open(engine.pids("web")[0]).signal(Signal::Kill);
    engine.ok(&["restart", "web"]);
    assert_eq!(keep("the last one"), 201);
    let notes: Vec<Value> = serde_json::from_str(&get(web, "/notes").1).expect("JSON");
    assert_eq!((notes.len(), &notes[8]["text"]), (9, &json!("the last one")));
    // Workers serve on without their manager, and know the next one.
    engine.manager().signal(Signal::Kill);
    assert_eq!(get(web, "/notes").0, 200);
    let asked = engine.ok(&["call", "web", "count", "--json"]);
    let reply: Value = serde_json::from_str(&asked.stdout).expect("JSON");
    let workers = reply["content"]["workers"].as_array().expect("workers");
    let counts: Vec<_> = workers.iter().map(|worker| &worker["content"]).collect();
    assert_eq!(counts, [&json!(9); 4], "{reply}");
    let until = Instant::now() + PATIENCE;
    let mut events = engine.events(0);
    let told = || engine.ok(&["metrics"]).stdout;
    while !told().lines().any(|line| line.starts_with("http_requests_total{service=\"web\"")) {
        assert!(Instant::now() < until, "{}", told());
        events.drain_until(Instant::now() + Duration::from_millis(200));
    }
    assert_eq!(engine.down(), 0);
}

#[test]
fn lines_are_answered_and_a_connection_ends_between_two_of_them() {
    let mut engine = Engine::up(&example("lines"), &format!("[listen.lines]\n{ANY_PORT}"));
    let mut stream = BufReader::new(TcpStream::connect(address(&engine, "lines")).expect("connected"));
    stream.get_ref().set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut line = String::new();
    for word in ["hello\n", "again\n"] {
        line.clear();
        stream.get_mut().write_all(word.as_bytes()).expect("sent");
        stream.read_line(&mut line).expect("an answer");
        assert_eq!(line, word.to_uppercase());
    }
    engine.ok(&["restart", "lines"]);
    line.clear();
    assert_eq!(stream.read_line(&mut line).expect("an orderly end"), 0);
    assert_eq!(engine.down(), 0);
}

#[test]
fn services_of_several_kinds_run_together_and_one_watches() {
    let mut engine = Engine::up(&example("mixed"), &format!("[listen.web]\n{ANY_PORT}"));
    assert_eq!(get(address(&engine, "web"), "/"), (200, "hello\n".to_owned()));
    engine.ok(&["restart", "web"]);
    let until = Instant::now() + PATIENCE;
    let said = |service: &str| engine.ok(&["logs", service, "-n", "1000"]).stdout;
    let mut events = engine.events(0);
    // Each look waits for something else to happen, since the lines take their own way.
    while !(said("observer").contains("rollout.finished web") && said("ticker").contains("tick")) {
        assert!(Instant::now() < until, "{}\n{}", said("observer"), engine.log());
        events.drain_until(Instant::now() + Duration::from_millis(100));
    }
    assert_eq!(engine.down(), 0);
    let log = std::fs::read_to_string(engine.home().join(".evercrew/logs/sweeper.1.log")).expect("its log");
    assert!(log.contains("the last time"), "{log}");
}

#[test]
fn a_program_without_a_file_starts_with_what_was_built_and_its_help_is_the_engines() {
    let home = tempfile::tempdir().expect("a folder");
    let ask = |arguments: &[&str]| {
        let mut program = std::process::Command::new(example("lines"));
        program.args(arguments).current_dir(home.path()).output().expect("it runs")
    };
    let shown = ask(&["config", "show"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("127.0.0.1:8081"), "{shown:?}");
    assert!(String::from_utf8_lossy(&ask(&["--help"]).stdout).contains("restart"));
    assert_eq!(ask(&["status"]).status.code(), Some(3));
}
