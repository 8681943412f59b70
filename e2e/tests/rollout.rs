//! Rollouts: bad code is stopped at its first worker, long connections hold up nobody, and operators lead.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::programs::free_port;
use evercrew_e2e::{Engine, Events};
use serde_json::Value;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(30);

/// A program that does what the file `behaviour` beside it says when it starts.
const APP: &str = r#"#!/bin/sh
case "$(cat behaviour)" in
exits) echo "no module named app" >&2; exit 1 ;;
silent) echo "waiting for a database"; exec sleep 1000 ;;
dies) echo ready; sleep 1; echo "fell over" >&2; exit 3 ;;
slow*) sleep "$(cut -d' ' -f2 behaviour)"; echo ready; exec sleep 1000 ;;
*) echo ready; exec sleep 1000 ;;
esac
"#;

/// An engine with `[service.web]` of `workers` such programs; `more` are keys of it.
fn app(workers: u32, more: &str) -> Engine {
    let mut engine = Engine::new(
        EVERCREW,
        &format!(
            "[service.web]\ncommand = [\"./app\"]\nworkers = {workers}\nready = {{ output = \"^ready\" }}\n{more}\n"
        ),
    );
    engine.script("app", APP);
    behave(engine.home(), "well");
    engine.start();
    engine.ready();
    engine
}

fn behave(home: &Path, how: &str) {
    std::fs::write(home.join("behaviour"), how).expect("write the behaviour");
}

fn of_kind<'a>(events: &'a Events, kind: &str) -> Vec<&'a Value> {
    events.seen().filter(|event| event["kind"] == kind).collect()
}

/// Who serves; those that were told to leave may still be there.
fn ready(engine: &Engine) -> Vec<u32> {
    let workers = engine.workers("web");
    workers.iter().filter(|worker| worker.state == "ready").filter_map(|worker| worker.pid).collect()
}

/// `rollout-status` or `rollout-history`.
fn rollouts(engine: &Engine, what: &str) -> Vec<Value> {
    let output = engine.ok(&["rollout", what, "--json"]);
    let content: Value = serde_json::from_str(&output.stdout).expect("JSON");
    content["rollouts"].as_array().expect("a list").clone()
}

#[test]
fn new_code_that_fails_stops_at_the_first_worker_and_the_next_good_one_works() {
    let engine = app(2, "ready_timeout = \"2s\"\nrollout = { settle = \"1500ms\" }");
    let before = engine.pids("web");
    for (how, words) in [("exits", "no module named app"), ("silent", "waiting for a database"), ("dies", "fell over")]
    {
        behave(engine.home(), how);
        let mut events = engine.events(1);
        events.drain_until(Instant::now() + Duration::from_millis(200));
        let spawned = of_kind(&events, "worker.spawn").len();
        let output = engine.run(&["restart", "web"]);
        assert_eq!(output.code, 1, "{how}: {}", output.stderr);
        assert!(output.stderr.contains(words), "{how}: its own words: {}", output.stderr);
        assert_eq!(ready(&engine), before, "{how}: every old worker serves");
        let stopped = events.wait("rollout.stopped", SOON, |event| event["kind"] == "rollout.stopped");
        let told = stopped["words"].as_array().expect("words").iter().any(|line| line == words);
        assert!(told && stopped["worker"] == "web.1", "{how}: {stopped}");
        assert_eq!(of_kind(&events, "worker.spawn").len(), spawned + 1, "{how}: one worker was tried");
        assert!(engine.log().contains(words), "{how}");
    }
    behave(engine.home(), "well");
    engine.ok(&["restart", "web"]);
    assert!(ready(&engine).iter().all(|pid| !before.contains(pid)));
    let history = rollouts(&engine, "history");
    let outcomes: Vec<_> = history.iter().map(|rollout| rollout["outcome"].as_str().unwrap_or("")).collect();
    assert_eq!(outcomes, ["finished", "stopped", "stopped", "stopped"]);
    assert!(history[1]["words"][0] == "ready" && history[1]["reason"] == "exit code 3", "{}", history[1]);
    assert!(history[0]["by"].as_str().is_some_and(|by| by.starts_with("restart by uid")), "{}", history[0]);
}

#[test]
fn no_worker_leaves_before_its_successor_is_ready_whatever_its_boot_takes() {
    let long = if std::env::var_os("EVERCREW_LONG").is_some() { "slow 10" } else { "slow 0.5" };
    for how in ["slow 0", "slow 1", long] {
        let engine = app(2, "rollout = { settle = \"100ms\" }");
        behave(engine.home(), how);
        engine.ok(&["restart", "web"]);
        let mut events = engine.events(1);
        events.wait("rollout.finished", SOON, |event| event["kind"] == "rollout.finished");
        for slot in ["web.1", "web.2"] {
            let about = |kind: &str| {
                let of = |event: &&Value| event["kind"] == kind && event["worker"] == slot;
                events.seen().filter(of).filter_map(|event| event["seq"].as_u64()).max()
            };
            assert!(about("worker.ready") < about("worker.draining"), "{how}: {slot}");
        }
    }
}

#[test]
fn a_rollout_that_is_not_done_in_time_is_paused_and_outlives_the_manager() {
    let engine = app(3, "rollout = { settle = \"1500ms\" }");
    let before = engine.pids("web");
    let output = engine.run(&["restart", "web", "--timeout", "2s"]);
    assert_eq!(output.code, 124, "{}", output.stderr);
    assert!(output.stderr.contains("rollout resume web"), "{}", output.stderr);
    let mut events = engine.events(1);
    // The second one was under way and goes on to its end.
    events.wait("two of three", SOON, |event| event["kind"] == "rollout.progress" && event["done"] == 2);
    engine.manager().signal(Signal::Kill);
    let status = rollouts(&engine, "status");
    assert_eq!((status.len(), &status[0]["outcome"], &status[0]["done"]), (1, &"paused".into(), &2.into()));
    assert_eq!(ready(&engine).iter().filter(|pid| before.contains(pid)).count(), 1, "one old worker is left");
    engine.ok(&["rollout", "resume", "web"]);
    events.wait("rollout.finished", SOON, |event| event["kind"] == "rollout.finished");
    let history = rollouts(&engine, "history");
    assert_eq!((&history[0]["outcome"], &history[0]["done"]), (&"finished".into(), &3.into()), "{history:#?}");
    let refused = engine.run(&["rollout", "pause"]);
    assert_eq!(refused.code, 1, "nothing to pause: {}", refused.stderr);
}

#[test]
fn undo_of_a_restart_keeps_the_old_workers_and_says_what_it_cannot_bring_back() {
    let engine = app(3, "rollout = { settle = \"1500ms\" }");
    let before = engine.pids("web");
    assert_eq!(engine.run(&["restart", "web", "--timeout", "500ms"]).code, 124);
    let output = engine.ok(&["rollout", "undo", "web"]);
    assert!(output.stderr.contains("on disk"), "{}", output.stderr);
    assert_eq!(rollouts(&engine, "status").len(), 0);
    assert_eq!(ready(&engine), before);
    assert_eq!(rollouts(&engine, "history")[0]["outcome"], "undone");
    let refused = engine.run(&["rollout", "undo", "web"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("put the files back"), "{}", refused.stderr);
}

#[test]
fn where_it_is_asked_for_a_failure_pauses_and_the_repaired_code_goes_on() {
    let engine = app(2, "rollout = { settle = \"100ms\", on_failure = \"pause\" }");
    let before = engine.pids("web");
    behave(engine.home(), "exits");
    let output = engine.run(&["restart", "web"]);
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("is paused") && output.stderr.contains("no module named app"), "{}", output.stderr);
    assert_eq!(ready(&engine), before);
    behave(engine.home(), "well");
    let mut events = engine.events(1);
    engine.ok(&["rollout", "resume"]);
    events.wait("rollout.finished", SOON, |event| event["kind"] == "rollout.finished");
    assert!(ready(&engine).iter().all(|pid| !before.contains(pid)));
}

#[test]
fn without_grace_all_workers_are_replaced_at_once() {
    let engine = app(3, "rollout = { settle = \"100ms\" }\nstop = { grace = \"10m\" }");
    let before = engine.pids("web");
    engine.ok(&["restart", "web", "--now"]);
    let after = engine.workers("web");
    assert!(after.iter().all(|worker| worker.restarts == 0 && worker.pid.is_some_and(|pid| !before.contains(&pid))));
}

/// Two own workers, whose connections have four seconds once their worker was replaced.
fn hello(draining: u32) -> (Engine, u16) {
    let port = free_port();
    let engine = Engine::up(
        EVERCREW,
        &format!(
            "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\nbuiltin = \"hello\"\nlisten = [\"web\"]\n\
             workers = 2\nrollout = {{ settle = \"100ms\", drain = \"4s\", max_draining = {draining} }}\n"
        ),
    );
    (engine, port)
}

/// Requests that take ten times as long as their worker may drain.
fn long_requests(port: u16, count: usize) -> Vec<TcpStream> {
    let one = |_| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream.write_all(b"GET /slow?ms=40000 HTTP/1.1\r\nHost: t\r\n\r\n").expect("send");
        stream
    };
    (0..count).map(one).collect()
}

fn ends_within(mut stream: TcpStream, patience: Duration) {
    stream.set_read_timeout(Some(patience)).expect("set a timeout");
    match stream.read(&mut [0; 512]) {
        Ok(0) => {}
        Ok(_) => panic!("an answer long before its time"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the connection lives on"),
    }
}

#[test]
fn five_rollouts_with_long_connections_leave_bounded_generations_each_ended_at_its_deadline() {
    let (engine, port) = hello(2);
    let mut streams = Vec::new();
    for round in 0..5 {
        streams.extend(long_requests(port, 8));
        engine.ok(&["restart", "web", "--timeout", "60s"]);
        let workers = engine.workers("web");
        let draining = workers.iter().filter(|worker| worker.state == "draining");
        let mut generations: Vec<u64> = draining.map(|worker| worker.generation).collect();
        generations.sort_unstable();
        generations.dedup();
        assert!(generations.len() <= 2, "round {round}: {workers:#?}");
        assert_eq!(workers.iter().filter(|worker| worker.state == "ready").count(), 2, "round {round}");
    }
    for stream in streams {
        ends_within(stream, Duration::from_secs(20));
    }
    let mut events = engine.events(1);
    events.wait("rollout.finished", SOON, |event| event["kind"] == "rollout.finished");
    engine.ok(&["restart", "web"]);
}

#[test]
fn detached_the_old_set_finishes_and_holds_up_nothing() {
    let (engine, port) = hello(0);
    let old = engine.pids("web");
    let streams = long_requests(port, 16);
    engine.ok(&["restart", "web", "--detach", "--timeout", "3s"]);
    let draining: Vec<u32> = engine
        .workers("web")
        .iter()
        .filter(|worker| worker.state == "draining")
        .filter_map(|worker| worker.pid)
        .collect();
    assert!(!draining.is_empty() && draining.iter().all(|pid| old.contains(pid)), "{draining:?} of {old:?}");
    engine.ok(&["restart", "web", "--now", "--timeout", "10s"]);
    for stream in streams {
        ends_within(stream, Duration::from_secs(20));
    }
}

#[test]
fn several_services_roll_at_once_each_with_its_own_progress() {
    let engine = Engine::up(
        EVERCREW,
        "[service.web]\ncommand = [\"sleep\", \"1000\"]\nworkers = 2\nrollout = { settle = \"300ms\" }\n\
         [service.api]\ncommand = [\"sleep\", \"1000\"]\nrollout = { settle = \"300ms\" }\n",
    );
    let output = engine.ok(&["restart", "web", "api"]);
    for line in ["web 1 of 2", "web 2 of 2", "api 1 of 1"] {
        assert!(output.stderr.lines().any(|told| told == line), "{line}: {}", output.stderr);
    }
    let mut events = engine.events(1);
    for _ in 0..2 {
        events.wait("rollout.finished", SOON, |event| event["kind"] == "rollout.finished");
    }
    let order: Vec<_> = events
        .seen()
        .filter(|event| event["kind"] == "rollout.started" || event["kind"] == "rollout.finished")
        .filter_map(|event| event["kind"].as_str())
        .collect();
    assert_eq!(order, ["rollout.started", "rollout.started", "rollout.finished", "rollout.finished"]);
}

#[test]
fn undo_returns_to_the_settings_before_the_last_change_and_again_back() {
    let text = |mode: &str| {
        format!(
            "[service.web]\ncommand = [\"sh\", \"-c\", \"echo mode $MODE; exec sleep 1000\"]\n\
             env = {{ MODE = \"{mode}\" }}\nready = {{ output = \"^mode\" }}\nrollout = {{ settle = \"100ms\" }}\n"
        )
    };
    let mut engine = Engine::new(EVERCREW, &text("old"));
    engine.start();
    engine.ready();
    engine.configure(&text("new"));
    engine.ok(&["reload"]);
    let mode = |engine: &Engine| {
        let environment = std::fs::read_to_string(format!("/proc/{}/environ", ready(engine)[0])).expect("a process");
        environment.split('\0').find_map(|pair| pair.strip_prefix("MODE=").map(str::to_owned)).expect("MODE")
    };
    assert_eq!(mode(&engine), "new");
    engine.ok(&["rollout", "undo", "web"]);
    assert_eq!(mode(&engine), "old");
    engine.manager().signal(Signal::Kill);
    engine.ok(&["rollout", "undo", "web"]);
    assert_eq!(mode(&engine), "new", "what was undone is known to the next manager too");
    assert_eq!(rollouts(&engine, "history")[0]["outcome"], "finished");
}

#[test]
fn under_watch_changed_files_replace_the_workers_that_they_concern() {
    let mut engine = Engine::new(
        EVERCREW,
        "[service.web]\ncommand = [\"sleep\", \"1000\"]\ndirectory = \"web\"\nwatch = [\"**/*.py\"]\n\
         rollout = { settle = \"100ms\" }\n[service.api]\ncommand = [\"sleep\", \"1000\"]\ndirectory = \"api\"\n",
    );
    let web = engine.home().join("web");
    std::fs::create_dir_all(web.join("node_modules")).expect("make a directory");
    std::fs::create_dir(engine.home().join("api")).expect("make a directory");
    engine.start_with(&["--watch"]);
    engine.ready();
    let mut events = engine.events(1);
    let rolled = |events: &mut Events| {
        events.wait("rollout.finished", SOON, |event| event["kind"] == "rollout.finished")["service"].clone()
    };
    events.wait("engine.watching", SOON, |event| event["kind"] == "engine.watching");
    std::fs::write(web.join("notes.txt"), "x").expect("write");
    std::fs::write(web.join("node_modules/a.py"), "x").expect("write");
    std::fs::write(web.join("app.py"), "x").expect("write");
    assert_eq!(rolled(&mut events), "web");
    std::fs::create_dir_all(web.join("deep/er")).expect("make directories");
    assert_eq!(rolled(&mut events), "web", "a directory that appears may bring files");
    std::fs::write(web.join("deep/er/app.py"), "x").expect("write");
    assert_eq!(rolled(&mut events), "web", "and is watched from then on");
    engine.manager().signal(Signal::Kill);
    events.wait("engine.watching", SOON, |event| event["kind"] == "engine.watching");
    std::fs::write(web.join("app.py"), "y").expect("write");
    assert_eq!(rolled(&mut events), "web", "also under the next manager");
    assert!(events.seen().all(|event| event["kind"] != "rollout.started" || event["service"] == "web"));
    assert_eq!(rollouts(&engine, "history")[0]["by"], "changed files");
}
