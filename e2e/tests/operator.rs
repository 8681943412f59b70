//! What an operator is told: true, in time, and with what to do.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::{Engine, Output};
use serde_json::json;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(10);
const SLEEPER: &str = "[service.sleep]\ncommand = [\"sleep\", \"1000\"]\n";
/// Ready when the file `go` is there.
const GATED: &str = "[service.s]\ncommand = [\"sh\", \"-c\", \"while ! [ -e go ]; do sleep 0.02; done; echo >&5; exec sleep 1000\"]\n\
                     ready = { fd = 5 }\nworkers = 2\nrollout = { settle = \"0s\" }\n";

/// What `restart` says when `meanwhile` is done while its first new worker is not ready.
fn during_a_restart(meanwhile: impl FnOnce(&mut Engine)) -> (Output, Engine) {
    let mut engine = Engine::new(EVERCREW, GATED);
    std::fs::write(engine.home().join("go"), "").expect("open the gate");
    engine.start();
    engine.ready();
    std::fs::remove_file(engine.home().join("go")).expect("close the gate");
    let mut events = engine.events(1);
    let output = std::thread::scope(|scope| {
        let file = engine.home().join("evercrew.toml");
        let restart = scope.spawn(move || {
            let mut command = std::process::Command::new(EVERCREW);
            command.arg("-c").arg(file).args(["restart", "s"]).output().expect("run the binary")
        });
        events.wait("rollout.started", SOON, |event| event["kind"] == "rollout.started");
        events.wait("worker.spawn", SOON, |event| event["kind"] == "worker.spawn");
        meanwhile(&mut engine);
        restart.join().expect("no panic")
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or(-1);
    (Output { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }, engine)
}

#[test]
fn a_restart_that_another_command_ends_says_which_and_nothing_false() {
    let (stopped, mut engine) = during_a_restart(|engine| assert_eq!(engine.run(&["stop", "s", "--now"]).code, 0));
    assert_eq!(stopped.code, 1);
    assert!(stopped.stderr.contains("another command stopped the service"), "{}", stopped.stderr);
    assert!(!stopped.stderr.contains("serve on"), "{}", stopped.stderr);
    assert_eq!(engine.down(), 0);
    assert!(!engine.log().contains("serve on") && !engine.log().contains("serves on"), "{}", engine.log());

    let (downed, engine) = during_a_restart(|engine| assert_eq!(engine.run(&["down", "--now"]).code, 0));
    assert_eq!(downed.code, 1);
    assert!(downed.stderr.contains("stopped") && !downed.stderr.contains("serve on"), "{}", downed.stderr);
    assert!(!engine.log().contains("serve on") && !engine.log().contains("serves on"), "{}", engine.log());

    let (emptied, mut engine) = during_a_restart(|engine| assert_eq!(engine.run(&["scale", "s=0"]).code, 0));
    assert!(!emptied.stderr.contains("every worker was replaced"), "{}", emptied.stderr);
    assert!(emptied.stderr.contains("s is to have no workers"), "{}", emptied.stderr);
    assert_eq!(emptied.code, 0);
    assert_eq!(engine.down(), 0);
}

#[test]
fn what_is_not_done_in_time_is_told_without_too_many() {
    let stubborn = "[service.s]\ncommand = [\"sh\", \"-c\", \"trap : TERM; echo >&5; while :; do sleep 0.05; done\"]\n\
                    ready = { fd = 5 }\nworkers = 4\nstop = { grace = \"30s\" }\n";
    let mut engine = Engine::up(EVERCREW, stubborn);
    let scale = engine.run(&["scale", "s=3", "--timeout", "1s"]);
    assert_eq!(scale.code, 124);
    assert!(scale.stderr.contains("s is ready, 3 of 3 ready, 1 still leaving"), "{}", scale.stderr);
    assert_eq!(engine.run(&["down", "--now"]).code, 0);
    assert_eq!(engine.wait(SOON), 0);
}

#[test]
fn a_timeout_is_kept_against_an_engine_that_does_not_answer() {
    let mut engine = Engine::up(EVERCREW, SLEEPER);
    let (supervisor, manager) = (engine.supervisor(), engine.manager());
    for process in [&supervisor, &manager] {
        process.signal(Signal::Stop);
    }
    assert!(supervisor.stopped_within(SOON) && manager.stopped_within(SOON));
    for arguments in [&["status"][..], &["scale", "sleep=2"], &["events"], &["down"], &["wait", "--ready"]] {
        let started = Instant::now();
        let output = engine.run(&[arguments, &["--timeout", "1s"]].concat());
        assert_eq!(output.code, 124, "{arguments:?}: {}", output.stderr);
        assert!(started.elapsed() < Duration::from_millis(2500), "{arguments:?} took {:?}", started.elapsed());
    }
    for process in [&manager, &supervisor] {
        process.signal(Signal::Cont);
    }
    assert_eq!(engine.down(), 0);
}

#[test]
fn wait_does_not_wait_for_an_engine_that_cannot_come() {
    let engine = Engine::new(EVERCREW, "[service.s]\ncommand = [\"no-such-program\"]\n");
    assert_eq!(engine.run(&["up"]).code, 78);
    let wait = engine.run(&["wait", "--ready"]);
    assert_eq!(wait.code, 78, "{}", wait.stderr);
    assert!(wait.stderr.contains("no-such-program"), "{}", wait.stderr);
    std::fs::remove_file(engine.home().join("evercrew.toml")).expect("remove the file");
    assert_eq!(engine.run(&["wait", "--ready"]).code, 78);
}

#[test]
fn without_a_file_there_is_an_example_and_a_command_that_writes_one() {
    let engine = Engine::new(EVERCREW, SLEEPER);
    std::fs::remove_file(engine.home().join("evercrew.toml")).expect("remove the file");
    let up = engine.run(&["up"]);
    assert_eq!(up.code, 78);
    for told in ["there is no file", "evercrew init", "[service.web]", "command = ["] {
        assert!(up.stderr.contains(told), "{told}: {}", up.stderr);
    }
}

#[test]
fn where_an_engine_listens_and_logs_is_shown_by_up_and_status() {
    let mut engine = Engine::up(
        EVERCREW,
        "[listen.web]\naddress = \"127.0.0.1:0\"\n[listen.local]\naddress = \"unix:run/deep/x.sock\"\n\
         [service.hello]\nbuiltin = \"hello\"\nlisten = [\"web\", \"local\"]\n",
    );
    let status = engine.status();
    let address = status["listeners"][0]["address"].as_str().expect("an address").to_owned();
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
    assert_eq!(status["listeners"][1]["services"], json!(["hello"]));
    let logs = engine.home().join(".evercrew/logs");
    assert_eq!(status["logs"], json!(logs));
    let shown = engine.run(&["status"]).stdout;
    for told in [format!("hello listens on {address}"), format!("output of workers is in {}", logs.display())] {
        assert!(shown.contains(&told), "{told}: {shown}");
        assert!(engine.log().contains(&told), "{told}: {}", engine.log());
    }
    std::net::TcpStream::connect(&address).expect("it listens there");
    UnixStream::connect(engine.home().join("run/deep/x.sock")).expect("its directory was made");
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_worker_is_named_only_as_the_engine_writes_it() {
    let mut engine = Engine::up(EVERCREW, SLEEPER);
    for name in ["sleep.01", "sleep.+1", "sleep.1 ", "sleep.0"] {
        assert_eq!(engine.run(&["restart", name]).code, 4, "{name}");
    }
    for timeout in ["1", ".01", "0.1s", "1 s"] {
        assert_eq!(engine.run(&["status", "--timeout", timeout]).code, 2, "{timeout}");
    }
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_signal_reaches_the_worker_and_is_no_commanded_stop() {
    let mut engine = Engine::new(
        EVERCREW,
        "[service.s]\ncommand = [\"sh\", \"-c\", \"trap 'echo >> got' USR1; echo >&5; while :; do sleep 0.02; done\"]\n\
         ready = { fd = 5 }\nworkers = 2\n",
    );
    engine.start();
    engine.ready();
    let mut events = engine.events(1);
    let sent = engine.ok(&["signal", "s.2", "usr1", "--json"]);
    let sent: serde_json::Value = serde_json::from_str(&sent.stdout).expect("JSON");
    let before = engine.pids("s");
    assert_eq!(sent["content"]["workers"], json!([{"name": "s.2", "pid": before[1]}]));
    let told = events.wait("worker.signalled", SOON, |event| event["kind"] == "worker.signalled");
    assert_eq!((&told["worker"], &told["signal"]), (&json!("s.2"), &json!("SIGUSR1")));
    while std::fs::read(engine.home().join("got")).map_or(0, |got| got.len()) == 0 {
        std::thread::yield_now();
    }
    engine.ok(&["signal", "s", "KILL"]);
    for _ in 0..2 {
        let exit = events.wait("worker.exit", SOON, |event| event["kind"] == "worker.exit");
        assert_eq!((&exit["signal"], &exit["reason"]), (&json!("SIGKILL"), &json!("unasked")));
    }
    engine.ready();
    assert!(engine.workers("s").iter().all(|worker| worker.restarts == 1));
    // Stopped, it stays so: nothing wakes it behind the operator's back.
    engine.ok(&["signal", "s.1", "STOP"]);
    let worker = evercrew_e2e::processes::Process::open(engine.pids("s")[0]);
    assert!(worker.stopped_within(SOON));
    engine.ok(&["signal", "s.1", "USR1"]);
    assert!(worker.stopped_within(SOON));
    engine.ok(&["signal", "s.1", "CONT"]);
    for (arguments, code) in [(["s", "USR3"], 2), (["nobody", "TERM"], 4), (["s.9", "TERM"], 4)] {
        assert_eq!(engine.run(&[&["signal"], &arguments[..]].concat()).code, code, "{arguments:?}");
    }
    engine.ok(&["stop", "s", "--now"]);
    assert_eq!(engine.run(&["signal", "s", "TERM"]).code, 1, "nobody is there");
    let seen = engine.ok(&["events", "--kind", "worker.signalled", "--service", "s", "--json"]).stdout;
    assert_eq!(seen.lines().count(), 6, "{seen}");
    assert_eq!(engine.ok(&["events", "--service", "nobody"]).stdout, "");
    assert_eq!(engine.down(), 0);
}

#[test]
fn the_log_level_is_changed_while_it_runs_and_outlives_the_manager() {
    let mut engine = Engine::up(EVERCREW, SLEEPER);
    assert_eq!(engine.ok(&["log-level"]).stdout, "logger      info\nmanager     info\nsupervisor  info\n");
    assert!(!engine.log().contains("DEBUG") && !engine.log().contains("TRACE"), "{}", engine.log());
    assert!(engine.ok(&["log-level", "trace"]).stdout.contains("manager     trace\n"));
    engine.ok(&["restart", "sleep"]);
    for told in ["DEBUG sleep.1 started", "TRACE Restart {"] {
        assert!(engine.log().contains(told), "{told}: {}", engine.log());
    }
    engine.ok(&["log-level", "FATAL"]);
    let before = engine.log();
    let mut events = engine.events(1);
    engine.manager().signal(Signal::Kill);
    events.wait("engine.manager-started", SOON, |event| event["kind"] == "engine.manager-started");
    assert!(engine.ok(&["log-level", "--json"]).stdout.contains("\"filter\": \"fatal\""));
    assert_eq!(engine.log(), before, "the supervisor's lines go through it too");
    let wrong = engine.run(&["log-level", "loud"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("warn"), "{}", wrong.stderr);
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_dump_shows_the_inside_and_is_written_on_request() {
    let mut engine = Engine::up(EVERCREW, &format!("{SLEEPER}recycle = {{ age = \"6h\" }}\n"));
    engine.ok(&["restart", "sleep"]);
    let dump = engine.ok(&["dump", "--write", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&dump.stdout).expect("JSON");
    for (index, name) in ["supervisor", "manager", "logger"].iter().enumerate() {
        let process = &document["processes"][index];
        assert_eq!(process["name"], *name);
        assert!(process["pid"].as_u64() > Some(1) && process["descriptors"].as_u64() > Some(3), "{process}");
        assert!(process["memory_bytes"].as_u64() > Some(0), "{process}");
    }
    assert!(document["timers"].as_array().is_some_and(|timers| !timers.is_empty()), "{document}");
    assert_eq!(document["queues"]["records_to_supervisor"], 0);
    let decisions = document["decisions"].to_string();
    assert!(decisions.contains("Restart {") && decisions.contains("Spawn {"), "{decisions}");
    let written = dump.stderr.trim().strip_prefix("wrote ").expect("a file").to_owned();
    assert!(written.starts_with(engine.home().join(".evercrew").to_str().expect("text")), "{written}");
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(written).expect("read")).expect("JSON");
    assert_eq!(kept, document);
    let text = engine.ok(&["dump", "--last", "2"]).stdout;
    for told in ["PROCESSES\n  supervisor pid", "QUEUES\n", "SLOTS\n  sleep.1 generation 2", "TIMERS\n", "DECISIONS\n"]
    {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert_eq!(engine.down(), 0);
}
