//! Deadlines on real processes: who is found silent, when signals come, and time in which nobody may be blamed.
//!
//! Bounds here are a second or more; `figures` measures what is below.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::moments::Moments;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::{apps, free_port, program};
use evercrew_e2e::{Engine, Events};
use serde_json::Value;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

/// uvicorn (or node) as the service `name` with one worker that beats from its event loop, silent after two seconds.
fn event_loop(name: &str, program: &str, port: u16) -> String {
    let apps = apps().display().to_string();
    let command = match program.rsplit('/').next() {
        Some("node") => format!("[{program:?}, \"{apps}/server.js\"]"),
        _ => format!("[{program:?}, \"--app-dir\", {apps:?}, \"asgi:app\", \"--fd\", \"3\", \"--no-access-log\"]"),
    };
    let notifier = format!("{} {apps}/notifier.py", program.replace("/node", "/python"));
    format!(
        "[listen.{name}]\naddress = \"127.0.0.1:{port}\"\n[service.{name}]\ncommand = {command}\nlisten = [\"{name}\"]\n\
         env = {{ NOTIFIER = {notifier:?} }}\nready = \"notify\"\n\
         heartbeat = {{ interval = \"500ms\", timeout = \"2s\" }}\n"
    )
}

#[test]
fn a_stopped_or_spinning_event_loop_is_found_within_its_timeout_and_a_second() {
    let (Some(uvicorn), Some(node), Some(_)) = (program("uvicorn"), program("node"), program("python")) else { return };
    let names = ["uvicorn-stopped", "uvicorn-spinning", "node-stopped", "node-spinning"];
    let ports = names.map(|_| free_port());
    let services: String = names
        .iter()
        .zip(ports)
        .map(|(name, port)| event_loop(name, if name.starts_with("node") { &node } else { &uvicorn }, port))
        .collect();
    let mut engine = Engine::up(EVERCREW, &services);
    let healthy = Instant::now();
    let first = engine.status();
    std::thread::scope(|scope| {
        for (name, port) in names.iter().zip(ports) {
            let engine = &engine;
            scope.spawn(move || is_found(engine, name, port));
        }
    });
    assert!(healthy.elapsed() > 2 * SECOND, "all beat until they are hurt");
    assert_eq!(first["manager"]["pid"], engine.status()["manager"]["pid"]);
    assert_eq!(engine.down(), 0);
}

/// Hurts the service's only worker and waits for it to be found.
fn is_found(engine: &Engine, name: &str, port: u16) {
    let worker = format!("{name}.1");
    let mut events = engine.events(1);
    let ready = events.worker("worker.ready", &worker, SOON);
    let hurt = Instant::now();
    let asked = if name.ends_with("spinning") {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream.write_all(b"GET /spin HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("ask");
        Some(stream)
    } else {
        Process::open(pid(&ready)).signal(Signal::Stop);
        None
    };
    let lost = events.worker("worker.heartbeat-lost", &worker, 3 * SECOND);
    let found = hurt.elapsed();
    assert!(found < 3 * SECOND, "{worker} was found after {found:?}");
    assert!(found > SECOND, "{worker} was found after {found:?}, before its timeout");
    assert!(lost["silent_seconds"].as_f64() >= Some(2.0), "{lost}");
    let exit = events.worker("worker.exit", &worker, SECOND);
    assert_eq!((exit["signal"].as_str(), exit["reason"].as_str()), (Some("SIGKILL"), Some("heartbeat")));
    events.worker("worker.ready", &worker, SOON);
    drop(asked);
}

fn pid(event: &Value) -> u32 {
    event["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a pid")
}

#[test]
fn every_step_of_a_ladder_comes_in_its_order_and_never_early() {
    let Some(python) = program("python") else { return };
    let mut engine = Engine::new(EVERCREW, "");
    let moments = Moments::below(engine.home());
    let stop = "[{ signal = \"TERM\", repeat = \"300ms\", increment = \"200ms\", for = \"1500ms\" }, \
                { signal = \"QUIT\", repeat = \"200ms\", increment = \"100ms\", for = \"600ms\" }, \
                { signal = \"USR1\", for = \"400ms\" }]";
    engine.configure(&moments.service("s", &python, stop));
    engine.start();
    engine.ready();
    engine.ok(&["stop", "s"]);
    let plan =
        [("TERM", 0), ("TERM", 300), ("TERM", 800), ("QUIT", 1500), ("QUIT", 1700), ("QUIT", 2000), ("USR1", 2100)];
    let noted = moments.noted();
    let names: Vec<&str> = noted.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, plan.map(|(name, _)| name), "{noted:?}");
    for ((name, at), (_, planned)) in noted.iter().zip(plan) {
        // The first one may itself have come late.
        let planned = Duration::from_millis(planned);
        assert!(*at < planned + SECOND && planned < *at + SECOND, "{name} at {at:?} instead of {planned:?}");
    }
    let exit = engine.events(1).wait("exit", SOON, |event| event["kind"] == "worker.exit");
    assert_eq!((exit["signal"].as_str(), exit["reason"].as_str()), (Some("SIGKILL"), Some("stop")));
    assert_eq!(engine.down(), 0);
}

#[test]
fn an_immediate_stop_does_not_wait_for_the_ladder_that_has_begun() {
    let Some(python) = program("python") else { return };
    let mut engine = Engine::new(EVERCREW, "");
    let moments = Moments::below(engine.home());
    let stop = "[{ signal = \"TERM\", repeat = \"15s\", increment = \"10s\", for = \"600s\" }, \
                { signal = \"QUIT\", repeat = \"10s\", increment = \"10s\", for = \"600s\" }]";
    engine.configure(&moments.service("s", &python, stop));
    engine.start();
    engine.ready();
    let up = engine.supervisor();
    up.signal(Signal::Term);
    assert!(moments.wait(1, SOON), "TERM reaches the worker");
    let began = Instant::now();
    up.signal(Signal::Quit);
    assert!(up.gone_within(Duration::from_millis(1500)), "QUIT after TERM: not gone after {:?}", began.elapsed());
    assert_eq!(engine.wait(SOON), 0);
    assert_eq!(moments.noted().len(), 1, "nothing but KILL followed");
}

/// A foreign worker and two of our own, all silent after three seconds.
fn beating(python: &str, port: u16) -> String {
    let script = apps().join("beats.py");
    let heartbeat = "heartbeat = { interval = \"500ms\", timeout = \"3s\" }\n";
    format!(
        "[listen.l]\naddress = \"127.0.0.1:{port}\"\n\
         [service.own]\nbuiltin = \"hello\"\nlisten = [\"l\"]\nworkers = 2\n{heartbeat}env = {{ LD_PRELOAD = \"\" }}\n\
         [service.foreign]\ncommand = [{python:?}, {script:?}]\nready = \"notify\"\n{heartbeat}env = {{ LD_PRELOAD = \"\" }}\n"
    )
}

/// Whatever ended, or was said to hang.
fn blamed(events: &Events) -> Vec<&Value> {
    let kinds = ["worker.heartbeat-lost", "worker.exit", "worker.ready-timeout", "engine.manager-started"];
    events.seen().filter(|event| kinds.iter().any(|kind| event["kind"] == *kind)).collect()
}

#[test]
fn a_step_of_the_wall_clock_kills_nobody() {
    let (Some(python), Some(faketime)) = (program("python"), program("faketime")) else { return };
    let mut engine = Engine::new(EVERCREW, &beating(&python, free_port()));
    let clock = engine.home().join("clock");
    let set = |offset: &str| {
        std::fs::write(clock.with_extension("new"), offset).expect("write the offset");
        std::fs::rename(clock.with_extension("new"), &clock).expect("put it in place");
    };
    set("+0\n");
    engine = engine
        .through(&[&faketime])
        .with("FAKETIME_TIMESTAMP_FILE", &clock.display().to_string())
        .with("FAKETIME_NO_CACHE", "1")
        .with("FAKETIME_DISABLE_SHM", "1")
        .with("DONT_FAKE_MONOTONIC", "1");
    engine.start();
    engine.ready();
    let before = (engine.pids("own"), engine.pids("foreign"), engine.manager().pid);
    let mut events = engine.events(1);
    let year = |event: &Value| event["at"].as_str().and_then(|at| at[..4].parse::<u32>().ok()).expect("a year");
    let mut years = vec![year(&events.worker("worker.ready", "own.2", SOON))];
    for (step, wanted) in [("+400d\n", "own=3"), ("-800d\n", "own=4")] {
        set(step);
        engine.ok(&["scale", wanted]);
        let worker = wanted.replace('=', ".");
        years.push(year(&events.worker("worker.ready", &worker, SOON)));
        // A whole timeout passes under the new clock.
        events.drain_until(Instant::now() + Duration::from_millis(3500));
    }
    assert!(years[1] > years[0] && years[2] < years[0], "the engine did not see the clock step: {years:?}");
    assert_eq!(blamed(&events), Vec::<&Value>::new());
    let own = engine.pids("own")[..2].to_vec();
    assert_eq!((own, engine.pids("foreign"), engine.manager().pid), before);
    assert_eq!(engine.down(), 0);
}

/// Which of an engine's processes: supervisor, manager, logger, workers.
type Order = [usize; 4];

#[test]
fn an_engine_that_stood_still_blames_nobody_whatever_stopped_or_went_on_first() {
    let Some(python) = program("python") else { return };
    let orders: [(Order, Order); 6] = [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([3, 2, 1, 0], [3, 2, 1, 0]),
        ([3, 0, 1, 2], [1, 0, 2, 3]),
        ([1, 0, 3, 2], [3, 0, 2, 1]),
        ([0, 3, 2, 1], [1, 3, 2, 0]),
        ([2, 1, 0, 3], [0, 2, 3, 1]),
    ];
    // Longer than the heartbeat's timeout, and around it, where a standstill can least be told from a late worker.
    let pauses = match std::env::var_os("EVERCREW_LONG") {
        Some(_) => [60_000; 6],
        None => [2_600, 2_900, 3_200, 3_600, 4_100, 8_000],
    };
    std::thread::scope(|scope| {
        for ((stop, go), pause) in orders.into_iter().zip(pauses) {
            let python = &python;
            scope.spawn(move || stands_still(python, Duration::from_millis(pause), stop, go));
        }
    });
}

fn stands_still(python: &str, pause: Duration, stop: Order, go: Order) {
    let mut engine = Engine::up(EVERCREW, &beating(python, free_port()));
    let mut events = engine.events(1);
    let cmdline = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let supervisor = engine.supervisor();
    let logger = supervisor.children().into_iter().find(|pid| cmdline(pid).contains("logger")).expect("a logger");
    let before = (engine.manager().pid, engine.pids("own"), engine.pids("foreign"));
    let workers = [before.1.as_slice(), &before.2].concat().into_iter().map(Process::open).collect();
    let parts: [Vec<Process>; 4] = [vec![supervisor], vec![engine.manager()], vec![Process::open(logger)], workers];
    let each = |order: Order, signal| order.into_iter().flat_map(|part| &parts[part]).for_each(|p| p.signal(signal));
    each(stop, Signal::Stop);
    for process in parts.iter().flatten() {
        assert!(process.stopped_within(SOON));
    }
    assert!(!parts[0][0].gone_within(pause), "the supervisor lives");
    each(go, Signal::Cont);
    // Two timeouts, in which whoever was to be blamed would be.
    events.drain_until(Instant::now() + 6 * SECOND);
    let what = format!("{pause:?}, stopped in the order {stop:?}, continued in the order {go:?}");
    assert_eq!(blamed(&events), Vec::<&Value>::new(), "{what}");
    assert_eq!((engine.manager().pid, engine.pids("own"), engine.pids("foreign")), before, "{what}");
    assert!(Process::try_open(logger).is_some_and(|logger| logger.lives()), "{what}: the logger is gone");
    assert_eq!(engine.down(), 0);
}
