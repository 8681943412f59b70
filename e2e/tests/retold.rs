//! What a manager knows and takes with it when it is killed: told again, or kept apart.

use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::{Engine, volume};

use crate::EVERCREW;
use crate::kill::managers_die;

const SOON: Duration = Duration::from_secs(20);
/// Says that it is ready, in three ways, once the file `go` is there.
const WORKER: &str = r#"#!/usr/bin/env python3
import os, socket, sys, time
while not os.path.exists("go"):
    time.sleep(0.01)
if sys.argv[1] == "notify":
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
elif sys.argv[1] == "fd":
    os.write(5, b"\n")
else:
    os.write(1, b"up\n")
time.sleep(1000)
"#;

#[test]
fn readiness_that_a_killed_manager_has_read_is_not_lost() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return println!("SKIP no python3");
    }
    for round in 0..volume(40) {
        let mut engine = Engine::new(EVERCREW, "");
        let script = engine.script("worker.py", WORKER);
        let service = |name: &str, ready: &str| {
            format!(
                "[service.{name}]\ncommand = [{script:?}, {name:?}]\nworkers = 5\nready = {ready}\nready_timeout = \"15s\"\n"
            )
        };
        let services =
            [service("notify", "\"notify\""), service("fd", "{ fd = 5 }"), service("line", "{ output = \"up\" }")];
        engine.configure(&services.concat());
        engine.start();
        let mut events = engine.events(1);
        for _ in 0..15 {
            events.wait("a spawn", SOON, |event| event["kind"] == "worker.spawn");
        }
        let manager = engine.manager();
        manager.signal(Signal::Stop);
        assert!(manager.stopped_within(SOON));
        std::fs::write(engine.home().join("go"), "").expect("write");
        // Their words wait by then; the manager goes on for a moment that differs from round to round.
        let waits = Instant::now() + Duration::from_millis(150);
        spin_until(waits);
        manager.signal(Signal::Cont);
        spin_until(Instant::now() + Duration::from_micros(300 * round as u64));
        manager.signal(Signal::Kill);
        engine.ready();
        for name in ["notify", "fd", "line"] {
            for worker in engine.workers(name) {
                assert_eq!((worker.restarts, worker.generation), (0, 1), "round {round}: {} was lost", worker.name);
            }
        }
        assert_eq!(engine.down(), 0);
    }
}

fn spin_until(at: Instant) {
    while Instant::now() < at {
        std::thread::yield_now();
    }
}

#[test]
fn what_operators_asked_for_outlives_a_state_that_managers_die_of() {
    let mut engine = Engine::up(
        EVERCREW,
        "[service.a]\ncommand = [\"sleep\", \"1000\"]\n[service.b]\ncommand = [\"sleep\", \"1000\"]\n\
         [service.c]\ncommand = [\"sleep\", \"1000\"]\n",
    );
    engine.ok(&["scale", "a=3"]);
    engine.ok(&["stop", "b"]);
    let before = engine.pids("a");
    let mut events = engine.events(1);
    managers_die(&engine, &mut events, 2..5);
    assert!(engine.log().contains("starts from the inventory alone"), "{}", engine.log());
    engine.ready();
    assert_eq!(engine.pids("a"), before, "no worker was touched");
    let status = engine.status();
    let service = |index: usize, key: &str| status["services"][index][key].clone();
    assert_eq!(
        (service(0, "wanted"), service(1, "state"), service(2, "state")),
        (3.into(), "stopped".into(), "ready".into())
    );
    engine.ok(&["start", "b"]);
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_commanded_end_outlives_a_state_that_managers_die_of() {
    let slow =
        "[service.slow]\ncommand = [\"sh\", \"-c\", \"trap 'sleep 3; exit 0' TERM; while :; do sleep 0.1; done\"]\n";
    let mut engine = Engine::up(EVERCREW, slow);
    let mut events = engine.events(1);
    std::thread::scope(|scope| {
        let down = scope.spawn(|| engine.run(&["down"]));
        events.worker("worker.draining", "slow.1", SOON);
        managers_die(&engine, &mut events, 2..5);
        assert_eq!(down.join().expect("no panic").code, 0);
    });
    assert_eq!(engine.wait(SOON), 0);
    assert!(engine.log().contains("from the inventory alone"), "{}", engine.log());
}
