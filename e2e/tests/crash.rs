//! Workers that die, never get ready, or cannot be started at all.

use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use serde_json::Value;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(10);

fn count(events: &evercrew_e2e::Events, kind: &str, worker: &str) -> usize {
    events.seen().filter(|event| event["kind"] == kind && event["worker"] == worker).count()
}

#[test]
fn a_crash_loop_is_bounded_and_the_rest_serves() {
    let mut engine = Engine::new(
        EVERCREW,
        "[service.crash]\ncommand = [\"false\"]\nbackoff = { min = \"100ms\", max = \"2s\", stable = \"10s\" }\n\
         [service.fine]\ncommand = [\"sleep\", \"1000\"]\n",
    );
    engine.start();
    let began = Instant::now();
    let mut events = engine.events(1);
    let failed = events.worker("worker.failed", "crash.1", SOON);
    assert!(failed["retry_seconds"].as_f64().is_some_and(|retry| retry > 0.0 && retry <= 2.5), "{failed}");
    assert_eq!(count(&events, "worker.exit", "crash.1"), 5, "five starts in ten seconds are allowed");
    assert!(began.elapsed() < SOON);
    events.worker("worker.spawn", "crash.1", SOON);
    let status = engine.status();
    assert_eq!(status["services"][0]["state"], "failed");
    assert_eq!(status["services"][1]["state"], "ready");
    assert_eq!(engine.run(&["status"]).code, 1);
    assert_eq!(engine.run(&["wait", "--ready", "crash"]).code, 1, "a failed service is not waited for");
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_program_that_dies_soon_after_it_was_ready_still_backs_off() {
    let mut engine = Engine::new(
        EVERCREW,
        "[service.short]\ncommand = [\"sleep\", \"0.2\"]\nstart_limit = false\n\
         backoff = { min = \"200ms\", max = \"5s\", stable = \"10s\" }\n",
    );
    engine.start();
    let mut events = engine.events(1);
    let mut waits = Vec::new();
    for _ in 0..3 {
        let backoff = events.worker("worker.backoff", "short.1", SOON);
        waits.push(backoff["wait_seconds"].as_f64().expect("seconds"));
    }
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0]), "it does not back off: {waits:?}");
    assert_eq!(engine.down(), 0);
}

/// Serves the first time, and does what `broken` says once that file is there.
fn deployable(engine: &Engine, broken: &str) -> String {
    let home = engine.home().display();
    let text = format!("#!/bin/sh\nif [ -e {home}/broken ]; then {broken}; fi\necho >&5\nexec sleep 1000\n");
    engine.script("deploy.sh", &text).display().to_string()
}

/// Those that serve; one that was replaced or failed may still be on its way out.
fn ready(engine: &Engine) -> Vec<u32> {
    engine.workers("web").iter().filter(|worker| worker.state == "ready").filter_map(|worker| worker.pid).collect()
}

#[test]
fn a_bad_deploy_stops_at_its_first_worker_and_the_old_ones_serve_on() {
    for (broken, reason) in [
        ("exit 1", "exit code 1"),
        ("exec sleep 1000", "not ready in time"),
        ("echo >&5; sleep 0.3; exit 3", "exit code 3"),
    ] {
        let mut engine = Engine::new(EVERCREW, "");
        let script = deployable(&engine, broken);
        engine.configure(&format!(
            "[service.web]\ncommand = [{script:?}]\nworkers = 3\nready = {{ fd = 5 }}\nready_timeout = \"1s\"\n\
             rollout = {{ settle = \"1s\" }}\n"
        ));
        engine.start();
        engine.ready();
        let before = engine.pids("web");
        std::fs::write(engine.home().join("broken"), "").expect("break it");
        let output = engine.run(&["restart", "web"]);
        assert_eq!(output.code, 1, "{broken}: {}", output.stderr);
        assert!(output.stderr.contains(reason), "{broken}: {}", output.stderr);
        assert_eq!(ready(&engine), before, "{broken}: the old ones serve");
        std::fs::remove_file(engine.home().join("broken")).expect("mend it");
        engine.ok(&["restart", "web"]);
        let after = ready(&engine);
        assert!(after.len() == 3 && after.iter().all(|pid| !before.contains(pid)), "{broken}: all were replaced");
        assert_eq!(engine.down(), 0);
    }
}

#[test]
fn one_worker_that_never_gets_ready_leaves_the_service_running() {
    let mut engine = Engine::new(EVERCREW, "");
    let script = deployable(&engine, "exec sleep 1000");
    engine.configure(&format!(
        "[service.web]\ncommand = [{script:?}]\nworkers = 2\nready = {{ fd = 5 }}\nready_timeout = \"1s\"\n"
    ));
    engine.start();
    engine.ready();
    let before = engine.pids("web");
    std::fs::write(engine.home().join("broken"), "").expect("break it");
    let mut events = engine.events(1);
    Process::open(before[0]).signal(Signal::Kill);
    let exit = events
        .wait("the ready timeout", SOON, |event| event["kind"] == "worker.exit" && event["reason"] == "ready-timeout");
    assert_eq!(exit["worker"], "web.1");
    assert_eq!(engine.status()["services"][0]["state"], "degraded");
    assert!(engine.pids("web").contains(&before[1]));
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_program_that_is_gone_fails_with_its_reason_and_leaves_one_supervisor_and_one_manager() {
    let mut engine = Engine::new(EVERCREW, "");
    let script = engine.script("worker.sh", "#!/bin/sh\nexec sleep 1000\n");
    engine.configure(&format!("[service.web]\ncommand = [{script:?}]\nworkers = 2\n"));
    engine.start();
    engine.ready();
    let (manager, supervisor) = (engine.manager(), engine.supervisor());
    std::fs::remove_file(&script).expect("remove the program");
    let mut events = engine.events(1);
    for pid in engine.pids("web") {
        Process::open(pid).signal(Signal::Kill);
    }
    let failed = |event: &Value| event["kind"] == "worker.exit" && event["reason"] == "spawn-failed";
    events.wait("the failed start", SOON, failed);
    assert!(engine.log().contains("cannot be started"), "{}", engine.log());
    assert!(engine.log().contains("No such file"), "{}", engine.log());
    assert!(manager.lives() && supervisor.lives());
    // A child whose exec failed is gone as soon as it said so; manager and logger stay.
    let others = supervisor.children().into_iter().filter(|pid| *pid != manager.pid).filter_map(Process::try_open);
    let staying = others.filter(|process| !process.gone_within(Duration::from_millis(500))).count();
    assert_eq!(staying, 1, "the logger alone: {:?}", supervisor.children());
    engine.script("worker.sh", "#!/bin/sh\nexec sleep 1000\n");
    engine.ok(&["restart", "web"]);
    engine.ready();
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_silent_worker_is_killed_and_its_silence_told() {
    let port = evercrew_e2e::programs::free_port();
    let mut engine = Engine::up(
        EVERCREW,
        &format!(
            "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\nbuiltin = \"hello\"\nlisten = [\"web\"]\n\
             workers = 2\nheartbeat = {{ interval = \"200ms\", timeout = \"1s\" }}\n"
        ),
    );
    let pids = engine.pids("web");
    let mut events = engine.events(1);
    Process::open(pids[0]).signal(Signal::Stop);
    let lost = events.worker("worker.heartbeat-lost", "web.1", SOON);
    let silent = lost["silent_seconds"].as_f64().expect("seconds");
    assert!((1.0..2.0).contains(&silent), "{silent}");
    let exit = events.worker("worker.exit", "web.1", SOON);
    assert_eq!(exit["reason"], "heartbeat");
    events.worker("worker.ready", "web.1", SOON);
    assert_eq!(engine.pids("web")[1], pids[1]);
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_program_that_is_gone_costs_little_even_without_any_backoff() {
    let mut engine = Engine::new(EVERCREW, "");
    let script = engine.script("worker.sh", "#!/bin/sh\nexec sleep 1000\n");
    engine.configure(&format!(
        "[service.web]\ncommand = [{script:?}]\nbackoff = {{ min = \"0s\", max = \"0s\", stable = \"0s\" }}\nstart_limit = false\n"
    ));
    engine.start();
    engine.ready();
    std::fs::remove_file(&script).expect("remove the program");
    let mut events = engine.events(1);
    Process::open(engine.pids("web")[0]).signal(Signal::Kill);
    events.drain_until(Instant::now() + Duration::from_secs(2));
    let tries = count(&events, "worker.exit", "web.1");
    assert!((5..=25).contains(&tries), "{tries} tries in two seconds");
    assert_eq!(engine.run(&["status"]).code, 1);
    engine.script("worker.sh", "#!/bin/sh\nexec sleep 1000\n");
    events.worker("worker.ready", "web.1", SOON);
    assert_eq!(engine.down(), 0);
}
