//! `before_start`: what runs to success before the first worker of a generation.

use std::path::Path;
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::free_port;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);

/// An engine whose service `web` runs `before` first, each command a script that writes down that it ran, who it is and
/// what it was given, and then does what it is asked to.
fn engine(before: &[&str], more: &str) -> Engine {
    let engine = Engine::new(EVERCREW, "");
    let script = engine.script(
        "step.sh",
        "#!/bin/sh\necho \"$1 $EVERCREW_WORKER ${LISTEN_FDS:-none} ${NOTIFY_SOCKET:-none} $A\" >> ran\necho \"says $1\"\neval \"$2\"\n",
    );
    let commands: Vec<String> =
        before.iter().enumerate().map(|(index, what)| format!("[{script:?}, \"{}\", {what:?}]", index + 1)).collect();
    let port = free_port();
    engine.configure(&format!(
        "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\ncommand = [\"sleep\", \"1000\"]\nworkers = 2\n\
         listen = [\"web\"]\nenv = {{ A = \"b\" }}\nbefore_start = [{}]\nrollout = {{ settle = \"100ms\" }}\n{more}",
        commands.join(", ")
    ));
    engine
}

/// Which commands ran, in order.
fn ran(home: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(home.join("ran")).unwrap_or_default();
    text.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn commands_run_in_order_once_for_each_generation() {
    let mut engine = engine(&["sleep 0.1", "true"], "");
    engine.start();
    engine.ready();
    assert_eq!(ran(engine.home()), ["1", "2"]);
    let first = std::fs::read_to_string(engine.home().join("ran")).expect("they ran");
    assert_eq!(first.lines().next(), Some("1 web.before none none b"));
    assert!(engine.log().contains("web.before | says 1"), "its output is captured like a worker's");
    assert_eq!(engine.workers("web").len(), 2, "nothing is shown of it any more");

    engine.ok(&["scale", "web=3"]);
    let mut events = engine.events(1);
    Process::open(engine.pids("web")[0]).signal(Signal::Kill);
    events.wait("a restart", SOON, |event| event["kind"] == "worker.ready" && event["generation"] == 2);
    engine.ok(&["restart", "web.2"]);
    engine.manager().signal(Signal::Kill);
    events.wait("takeover", SOON, |event| event["kind"] == "engine.manager-started");
    engine.ready();
    assert_eq!(ran(engine.home()), ["1", "2"], "none of these begins a generation");

    engine.ok(&["restart", "web"]);
    assert_eq!(ran(engine.home()), ["1", "2", "1", "2"]);
    engine.ok(&["stop", "web"]);
    engine.ok(&["start", "web"]);
    assert_eq!(ran(engine.home()).len(), 6);
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_failure_at_the_first_start_is_told_and_bounded() {
    let mut engine = engine(
        &["true", "exit 7"],
        "backoff = { min = \"10ms\", max = \"30s\" }\nstart_limit = { count = 3, within = \"10s\" }\n",
    );
    engine.start();
    let wait = engine.run(&["wait", "--ready", "--timeout", "30s"]);
    assert_eq!(wait.code, 1, "{}", wait.stderr);
    assert_eq!(ran(engine.home()), ["1", "2", "2", "2"], "what succeeded is not run again");
    let row = &engine.workers("web")[0];
    assert_eq!((row.name.as_str(), row.state.as_str()), ("web.before", "failed"));
    assert_eq!(row.json["last_exit"]["code"], 7);
    let failed = engine.events(1).worker("service.before-start-failed", "web.before", SOON);
    assert_eq!((failed["code"].as_u64(), failed["rollout"].as_bool()), (Some(7), Some(false)));
    assert!(engine.log().contains("(before_start) ended with exit code 7"));
    let script = engine.home().join("step.sh");
    std::fs::write(script, "#!/bin/sh\ntrue\n").expect("mend it");
    engine.ok(&["start", "web"]);
    assert_eq!(engine.workers("web").len(), 2);
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_failure_in_a_rollout_leaves_the_old_generation_and_says_why() {
    let mut engine = engine(&["test ! -e bad || exit 9"], "");
    engine.start();
    engine.ready();
    let before = engine.pids("web");
    std::fs::write(engine.home().join("bad"), "").expect("write");
    let restart = engine.run(&["restart", "web"]);
    assert_eq!(restart.code, 1);
    assert!(restart.stderr.contains("web.before: exit code 9"), "{}", restart.stderr);
    assert!(restart.stderr.contains("says 1"), "its last words: {}", restart.stderr);
    assert!(restart.stderr.contains("old workers serve on"), "{}", restart.stderr);
    assert_eq!(engine.pids("web"), before);
    assert_eq!(engine.run(&["status"]).code, 0);
    std::fs::remove_file(engine.home().join("bad")).expect("mend it");
    engine.ok(&["restart", "web"]);
    assert_ne!(engine.pids("web"), before);
    assert_eq!(engine.down(), 0);
}

#[test]
fn one_that_hangs_is_ended_by_its_time() {
    let mut engine = engine(&["exec sleep 1000"], "ready_timeout = \"300ms\"\nunrecoverable_exit_codes = [1]\n");
    engine.start();
    let failed = engine.events(1).worker("service.before-start-failed", "web.before", SOON);
    assert_eq!(failed["reason"], "ready-timeout");
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_stop_ends_it_at_once() {
    for stop in ["stop", "term"] {
        let mut engine = engine(&["exec sleep 1000"], "");
        engine.start();
        let spawned = engine.events(1).worker("worker.spawn", "web.before", SOON);
        let process = Process::open(u32::try_from(spawned["pid"].as_u64().expect("a pid")).expect("a pid"));
        if stop == "stop" {
            engine.ok(&["stop", "web"]);
            assert!(process.gone_within(Duration::ZERO));
            assert_eq!(engine.down(), 0);
        } else {
            engine.supervisor().signal(Signal::Term);
            assert_eq!(engine.wait(SOON), 0);
        }
        assert_eq!(ran(engine.home()), ["1"], "{stop}");
        assert!(engine.nothing_left_within(Duration::ZERO));
    }
}

#[test]
fn one_that_runs_while_the_manager_dies_goes_on_and_is_not_run_twice() {
    let mut engine = engine(&["while test ! -e go; do sleep 0.05; done", "true"], "");
    engine.start();
    let mut events = engine.events(1);
    let spawned = events.worker("worker.spawn", "web.before", SOON);
    for generation in 2..4 {
        engine.manager().signal(Signal::Kill);
        events.wait("takeover", SOON, |event| {
            event["generation"] == generation && event["kind"] == "engine.manager-started"
        });
    }
    let row = &engine.workers("web")[0];
    assert_eq!((row.name.as_str(), row.state.as_str()), ("web.before", "starting"));
    assert_eq!(row.json["pid"], spawned["pid"], "it is the same");
    std::fs::write(engine.home().join("go"), "").expect("let it go on");
    engine.ready();
    assert_eq!(ran(engine.home()), ["1", "2"]);
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_program_that_cannot_be_executed_is_told_like_a_failure() {
    let mut engine = engine(&["true"], "start_limit = { count = 1, within = \"10s\", then = \"give-up\" }\n");
    engine.script("step.sh", "#!/no/such/interpreter\n");
    engine.start();
    let failed = engine.events(1).worker("service.before-start-failed", "web.before", SOON);
    assert_eq!(failed["reason"], "spawn-failed");
    assert_eq!(engine.down(), 0);
}
