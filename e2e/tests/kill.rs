//! kill -9 of every part of the engine: the service goes on, or nothing of it is left.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::free_port;
use evercrew_e2e::{Engine, Events, volume};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(10);

fn hello(port: u16, workers: u32) -> String {
    format!(
        r#"
[listen.web]
address = "127.0.0.1:{port}"
[service.web]
builtin = "hello"
listen = ["web"]
workers = {workers}
backoff = {{ min = "0s", max = "0s", stable = "0s" }}
start_limit = false
"#
    )
}

/// One request over a new connection; the pid that answered.
fn ask(port: u16) -> u32 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    stream.set_read_timeout(Some(SOON)).expect("set a timeout");
    stream.write_all(b"GET /pid HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").expect("send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a whole answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.rsplit("\r\n\r\n").next().and_then(|body| body.trim().parse().ok()).expect("a pid")
}

fn replaced(engine: &Engine, events: &mut Events, worker: &str, pid: u32) {
    Process::open(pid).signal(Signal::Kill);
    let exit = events.worker("worker.exit", worker, SOON);
    assert_eq!((exit["signal"].as_str(), exit["reason"].as_str()), (Some("SIGKILL"), Some("unasked")));
    events.worker("worker.ready", worker, SOON);
    assert!(!engine.pids("web").contains(&pid));
}

#[test]
fn the_service_goes_on_without_its_manager_and_the_next_one_replaces_what_dies() {
    let port = free_port();
    let engine = Engine::up(EVERCREW, &hello(port, 2));
    let before = engine.pids("web");
    let manager = engine.manager();
    let mut events = engine.events(1);
    manager.signal(Signal::Kill);
    assert!(before.contains(&ask(port)), "a worker of before answers");
    let killed = Instant::now();
    let status = engine.status();
    assert!(killed.elapsed() < Duration::from_secs(1), "status took {:?}", killed.elapsed());
    assert_eq!(status["manager"]["generation"], 2);
    assert_eq!(engine.pids("web"), before, "no worker was touched");
    events.wait("takeover", SOON, |event| event["kind"] == "engine.manager-started");
    replaced(&engine, &mut events, "web.1", before[0]);
    assert_eq!(engine.pids("web")[1], before[1]);
}

#[test]
fn a_manager_killed_over_and_over_costs_no_worker() {
    let port = free_port();
    let engine = Engine::up(EVERCREW, &hello(port, 2));
    let before = engine.workers("web");
    let mut events = engine.events(1);
    for round in 2..2 + volume(120) {
        engine.manager().signal(Signal::Kill);
        events
            .wait("takeover", SOON, |event| event["kind"] == "engine.manager-started" && event["generation"] == round);
        ask(port);
    }
    let after = engine.workers("web");
    assert_eq!(before.iter().map(|w| w.pid).collect::<Vec<_>>(), after.iter().map(|w| w.pid).collect::<Vec<_>>());
    assert_eq!(after.iter().map(|w| w.restarts).sum::<u64>(), 0);
    replaced(&engine, &mut events, "web.2", before[1].pid.expect("a pid"));
}

#[test]
fn what_scale_and_stop_set_outlives_the_manager() {
    let port = free_port();
    let mut engine =
        Engine::new(EVERCREW, &format!("{}\n[service.other]\ncommand = [\"sleep\", \"1000\"]\n", hello(port, 1)));
    engine.start();
    engine.ready();
    engine.ok(&["scale", "web=3"]);
    engine.ok(&["stop", "other"]);
    let before = engine.pids("web");
    engine.manager().signal(Signal::Kill);
    engine
        .events(1)
        .wait("takeover", SOON, |event| event["kind"] == "engine.manager-started" && event["generation"] == 2);
    let status = engine.status();
    assert_eq!(status["services"][0]["wanted"], 3);
    assert_eq!(status["services"][1]["state"], "stopped");
    assert_eq!(engine.pids("web"), before);
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_stopped_manager_is_replaced_once_it_owes_an_acknowledgement_for_five_seconds() {
    let port = free_port();
    let engine = Engine::up(EVERCREW, &hello(port, 2));
    let pids = engine.pids("web");
    let manager = engine.manager();
    manager.signal(Signal::Stop);
    assert!(!manager.gone_within(Duration::from_millis(5500)), "an idle manager is never touched");
    Process::open(pids[0]).signal(Signal::Kill);
    let owed = Instant::now();
    assert!(manager.gone_within(Duration::from_secs(9)), "it owes the exit of web.1");
    assert!(owed.elapsed() >= Duration::from_millis(4900), "{:?}", owed.elapsed());
    let mut events = engine.events(1);
    events.wait("takeover", SOON, |event| event["kind"] == "engine.manager-started" && event["generation"] == 2);
    events.worker("worker.ready", "web.1", SOON);
    assert_eq!(engine.pids("web")[1], pids[1]);
}

/// Each manager ends by itself as soon as it has taken over; those that follow are of these generations.
pub(crate) fn managers_die(engine: &Engine, events: &mut Events, generations: std::ops::Range<u64>) {
    for generation in generations {
        // A trap is no kill from outside: nobody else's doing. (The runtime swallows a SEGV that no access caused.)
        engine.manager().signal(Signal::Trap);
        events.wait("takeover", SOON, |event| {
            event["kind"] == "engine.manager-started" && event["generation"] == generation
        });
    }
}

#[test]
fn managers_that_keep_dying_on_a_state_are_followed_by_one_without_it() {
    let port = free_port();
    let mut engine = Engine::up(EVERCREW, &hello(port, 2));
    let before = engine.pids("web");
    let mut events = engine.events(1);
    managers_die(&engine, &mut events, 2..5);
    assert!(engine.log().contains("starts from the inventory alone"), "{}", engine.log());
    assert_eq!(engine.pids("web"), before, "no worker was touched");
    assert_eq!(engine.status()["services"][0]["state"], "ready");
    replaced(&engine, &mut events, "web.1", before[0]);
    assert_eq!(engine.down(), 0);
}

/// A worker with a grandchild in its group; both ignore TERM.
const STUBBORN: &str = "#!/bin/sh\ntrap '' TERM\nsleep 1000 &\necho up\nwhile :; do wait; done\n";

#[test]
fn without_its_supervisor_nothing_is_left_within_a_second_and_the_next_up_works() {
    let port = free_port();
    let mut engine = Engine::new(EVERCREW, "");
    let script = engine.script("stubborn.sh", STUBBORN);
    let configuration = format!(
        "{}\n[service.stubborn]\ncommand = [{script:?}]\nworkers = 2\nstop = {{ grace = \"500ms\" }}\n",
        hello(port, 2)
    );
    engine.configure(&configuration);
    engine.start();
    engine.ready();
    assert!(engine.processes().len() >= 7, "workers, grandchildren and logger: {:?}", engine.processes());
    let manager = engine.manager();
    engine.supervisor().signal(Signal::Kill);
    let killed = Instant::now();
    assert!(engine.nothing_left_within(Duration::from_millis(1200)), "left: {:?}", engine.processes());
    assert!(manager.gone_within(Duration::from_millis(1200).saturating_sub(killed.elapsed())));
    engine.wait(SOON);
    std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    engine.start();
    engine.ready();
    ask(port);
    assert_eq!(engine.down(), 0);
}

/// A worker whose child leaves its group: only its environment tells whose it is.
const ESCAPING: &str = "#!/bin/sh\nsetsid sleep 1000 &\necho up\nexec sleep 1000\n";

#[test]
fn when_supervisor_and_manager_die_at_once_the_next_up_ends_the_leftovers_first() {
    let mut engine = Engine::new(EVERCREW, "");
    let script = engine.script("escaping.sh", ESCAPING);
    engine.configure(&format!("[service.escaping]\ncommand = [{script:?}]\nworkers = 2\n"));
    engine.start();
    engine.ready();
    let (manager, supervisor) = (engine.manager(), engine.supervisor());
    manager.signal(Signal::Stop);
    supervisor.signal(Signal::Kill);
    manager.signal(Signal::Kill);
    assert!(supervisor.gone_within(SOON) && manager.gone_within(SOON));
    engine.wait(SOON);
    let left: Vec<Process> = engine.processes().into_iter().filter_map(Process::try_open).collect();
    assert!(!left.is_empty(), "the escaped children live on");
    engine.start();
    engine.ready();
    for process in left {
        assert!(process.gone_within(Duration::ZERO), "process {} outlived the next up", process.pid);
    }
    assert!(engine.log().contains("left behind"), "{}", engine.log());
    assert_eq!(engine.down(), 0);
}

#[test]
fn descendants_that_left_their_group_end_with_the_engine() {
    let mut engine = Engine::new(EVERCREW, "");
    let script = engine.script("escaping.sh", ESCAPING);
    engine.configure(&format!("[service.escaping]\ncommand = [{script:?}]\nworkers = 2\n"));
    engine.start();
    engine.ready();
    let escaped: Vec<Process> = engine.processes().into_iter().filter_map(Process::try_open).collect();
    assert_eq!(engine.down(), 0);
    assert!(escaped.len() >= 4);
    for process in escaped {
        assert!(process.gone_within(Duration::ZERO), "process {} outlived the engine", process.pid);
    }
}

#[test]
fn thousands_of_deaths_leave_nothing_behind_in_the_engine() {
    let port = free_port();
    let engine = Engine::up(EVERCREW, &hello(port, 4));
    let (manager, supervisor) = (engine.manager(), engine.supervisor());
    let mut events = engine.events(1);
    let mut pids: Vec<Option<u32>> = vec![None; 4];
    for (slot, pid) in engine.pids("web").into_iter().enumerate() {
        pids[slot] = Some(pid);
    }
    let mut kill = |rounds: usize, events: &mut Events| {
        for round in 0..rounds {
            let slot = round % 4;
            Process::open(pids[slot].expect("a pid")).signal(Signal::Kill);
            let name = format!("web.{}", slot + 1);
            events.worker("worker.exit", &name, SOON);
            let ready = events.worker("worker.ready", &name, SOON);
            pids[slot] = ready["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        }
    };
    let measure = || {
        let of = |p: &Process| (p.descriptors(), p.threads(), p.zombies());
        (of(&manager), of(&supervisor), manager.anonymous_kib(), supervisor.anonymous_kib())
    };
    kill(volume(1000), &mut events);
    let before = measure();
    kill(volume(9000), &mut events);
    let after = measure();
    assert_eq!(before.0, after.0, "manager: descriptors, threads, zombies");
    assert_eq!(before.1, after.1, "supervisor: descriptors, threads, zombies");
    assert!(after.3 <= before.3 + 256, "supervisor grew from {} to {} KiB", before.3, after.3);
    // The ring of events fills up to its bound; beyond it nothing may grow.
    assert!(after.2 <= before.2 + 8192, "manager grew from {} to {} KiB", before.2, after.2);
    ask(port);
}

#[test]
fn with_cgroup2_what_left_its_group_ends_with_its_worker() {
    let writable = evercrew_sys::cgroup::own().is_ok_and(|own| {
        let probe = own.join(format!("evercrew-test-{}", std::process::id()));
        std::fs::create_dir(&probe).and_then(|()| std::fs::remove_dir(&probe)).is_ok()
    });
    if !writable {
        return println!("SKIP no cgroup2 that can be written to");
    }
    let mut engine = Engine::new(EVERCREW, "");
    let script = engine.script("escaping.sh", ESCAPING);
    engine.configure(&format!("[service.escaping]\ncommand = [{script:?}]\nready = {{ output = \"up\" }}\n"));
    engine.start();
    engine.ready();
    let mut events = engine.events(1);
    let worker = Process::open(engine.pids("escaping")[0]);
    let group = std::fs::read_to_string(format!("/proc/{}/cgroup", worker.pid)).expect("its cgroups");
    let group = group.lines().find_map(|line| line.strip_prefix("0::")).expect("a cgroup2").to_owned();
    let others = |pid: &u32| {
        let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        *pid != worker.pid && own.lines().any(|line| line == format!("0::{group}"))
    };
    let escaped: Vec<Process> = engine.processes().into_iter().filter(others).filter_map(Process::try_open).collect();
    assert!(!escaped.is_empty(), "the script has started its child before it is ready");
    worker.signal(Signal::Kill);
    events.worker("worker.exit", "escaping.1", SOON);
    for process in escaped {
        assert!(process.gone_within(SOON), "process {} outlived its worker", process.pid);
    }
    assert_eq!(engine.down(), 0);
    let instance = std::fs::read_to_string(engine.home().join(".evercrew/instance")).expect("the instance");
    let base = evercrew_sys::cgroup::own().expect("ours").join(format!("evercrew-{}", instance.trim()));
    assert!(!base.exists(), "{} was left behind", base.display());
}

#[test]
fn a_manager_that_cannot_start_ends_nothing_and_the_next_one_takes_over() {
    let port = free_port();
    let mut engine = Engine::up(EVERCREW, &hello(port, 2));
    let (before, supervisor) = (engine.pids("web"), engine.supervisor());
    let limit = |files: &str| {
        let pid = supervisor.pid.to_string();
        let set = std::process::Command::new("prlimit").args(["--pid", &pid, files]).status();
        set.is_ok_and(|status| status.success())
    };
    if !limit("--nofile=12:20000") {
        return println!("SKIP no prlimit, or not permitted to use it");
    }
    engine.manager().signal(Signal::Kill);
    // Without descriptors no manager comes up; the workers do not notice.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        assert!(before.contains(&ask(port)));
    }
    assert!(supervisor.lives(), "{}", engine.log());
    assert!(limit("--nofile=20000:20000"));
    let mut events = engine.events(1);
    events.wait("takeover", SOON, |event| event["kind"] == "engine.manager-started");
    assert_eq!(engine.pids("web"), before, "no worker was touched");
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_stop_that_was_acknowledged_is_not_forgotten_with_the_state() {
    let slow =
        "[service.slow]\ncommand = [\"sh\", \"-c\", \"trap 'sleep 3; exit 0' TERM; while :; do sleep 0.1; done\"]\n";
    let mut engine = Engine::up(EVERCREW, slow);
    let mut events = engine.events(1);
    engine.supervisor().signal(Signal::Term);
    events.worker("worker.draining", "slow.1", SOON);
    managers_die(&engine, &mut events, 2..6);
    assert_eq!(engine.wait(SOON), 0);
    assert!(engine.log().contains("from the inventory alone"), "{}", engine.log());
    assert!(engine.nothing_left_within(Duration::ZERO));
}
