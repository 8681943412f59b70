//! The engine's own figures: how soon a death is noticed and mended, what it costs to be idle, how it carries many.
//!
//! **What it does.** Starts the release binary in a directory of its own, does each thing several times and prints
//! median, 95th percentile and maximum. `cargo build --release && cargo run --release -p evercrew-benches --bin figures`.
//!
//! **Where to start.** `main`, a line a figure.
//!
//! **What it must never know.** A bound: it measures, SPECIFICATION and a reader judge.
//!
//! **How it is tested.** By its reader; the same waits carry the end-to-end tests.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::{free_port, workspace};
use evercrew_e2e::{Engine, Events};

const SOON: Duration = Duration::from_secs(30);
const ROUNDS: usize = 200;

fn main() {
    let binary = workspace().join("target/release/evercrew");
    let binary = binary.to_str().unwrap_or_default();
    deaths(binary, "sleep", "[service.s]\ncommand = [\"sleep\", \"1000\"]\n");
    let port = free_port();
    let hello =
        format!("[listen.l]\naddress = \"127.0.0.1:{port}\"\n[service.s]\nbuiltin = \"hello\"\nlisten = [\"l\"]\n");
    deaths(binary, "builtin hello", &hello);
    managers(binary);
    supervisors(binary);
    many(binary);
    idle(binary);
}

fn endless(configuration: &str, workers: u32) -> String {
    let backoff = "backoff = { min = \"0s\", max = \"0s\", stable = \"0s\" }\nstart_limit = false";
    format!("{configuration}workers = {workers}\n{backoff}\n")
}

/// Death of a worker, to its event, to the exec and to the readiness of the next.
fn deaths(binary: &str, what: &str, configuration: &str) {
    let engine = Engine::up(binary, &endless(configuration, 2));
    let mut events = engine.events(1);
    let mut pid = engine.pids("s")[0];
    let (mut noticed, mut executed, mut ready) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let process = Process::open(pid);
        let began = Instant::now();
        process.signal(Signal::Kill);
        events.worker("worker.exit", "s.1", SOON);
        noticed.push(began.elapsed());
        events.worker("worker.spawn", "s.1", SOON);
        executed.push(began.elapsed());
        let event = events.worker("worker.ready", "s.1", SOON);
        ready.push(began.elapsed());
        pid = event["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a pid");
    }
    show(&format!("{what}: kill -9 to worker.exit seen by a client"), noticed);
    show(&format!("{what}: kill -9 to the replacement's exec"), executed);
    show(&format!("{what}: kill -9 to the replacement ready"), ready);
}

/// Death of a manager, to an answer of the next.
fn managers(binary: &str) {
    let engine = Engine::up(binary, "[service.s]\ncommand = [\"sleep\", \"1000\"]\nworkers = 4\n");
    let mut events = engine.events(1);
    let mut times = Vec::new();
    for round in 2..32 {
        let manager = engine.manager();
        let began = Instant::now();
        manager.signal(Signal::Kill);
        assert_eq!(engine.status()["manager"]["generation"], round);
        times.push(began.elapsed());
        events.wait("takeover", SOON, |event| event["generation"] == round);
        // Six seconds alive reset the manager's backoff; this figure is that of a first death.
        events.drain_until(Instant::now() + Duration::from_millis(5100));
        if times.len() >= 10 {
            break;
        }
    }
    show("manager: kill -9 to the answer of `status` (its own process included)", times);
}

/// Death of the supervisor, to no process left.
fn supervisors(binary: &str) {
    let mut times = Vec::new();
    for _ in 0..20 {
        let mut engine = Engine::up(
            binary,
            "[service.s]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; sleep 1000 & wait\"]\nworkers = 4\n",
        );
        let supervisor = engine.supervisor();
        let began = Instant::now();
        supervisor.signal(Signal::Kill);
        assert!(engine.nothing_left_within(SOON));
        times.push(began.elapsed());
        engine.wait(SOON);
    }
    show("supervisor: kill -9 to no process of the engine left", times);
}

/// A thousand workers.
fn many(binary: &str) {
    let mut engine = Engine::new(binary, "[service.s]\ncommand = [\"sleep\", \"1000\"]\nworkers = 1000\n");
    let began = Instant::now();
    engine.start();
    engine.ready();
    println!("1000 workers: up to all ready: {:.2?}", began.elapsed());
    let (manager, supervisor) = (engine.manager(), engine.supervisor());
    let (cpu, since) = (manager.cpu() + supervisor.cpu(), Instant::now());
    assert!(!manager.gone_within(Duration::from_secs(10)));
    let used = manager.cpu() + supervisor.cpu() - cpu;
    println!("1000 workers: CPU of manager and supervisor in 10 idle s: {used:.2?} of {:.2?}", since.elapsed());
    println!("1000 workers: RSS manager {} KiB, supervisor {} KiB", manager.resident_kib(), supervisor.resident_kib());
    let mut status = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        engine.status();
        status.push(began.elapsed());
    }
    show("1000 workers: `evercrew status --json`", status);
    let began = Instant::now();
    engine.down();
    println!("1000 workers: down to all gone: {:.2?}", began.elapsed());
}

/// Four workers of the builtin without heartbeat, and nothing to do.
fn idle(binary: &str) {
    let port = free_port();
    let configuration = format!(
        "[listen.l]\naddress = \"127.0.0.1:{port}\"\n[service.s]\ncommand = [\"sleep\", \"1000\"]\nlisten = [\"l\"]\nworkers = 4\n"
    );
    let engine = Engine::up(binary, &configuration);
    let (manager, supervisor) = (engine.manager(), engine.supervisor());
    drop(TcpStream::connect(("127.0.0.1", port)));
    let mut events: Events = engine.events(1);
    events.drain_until(Instant::now() + Duration::from_secs(2));
    drop(events);
    let switches = || manager.voluntary_switches() + supervisor.voluntary_switches();
    assert!(!manager.gone_within(Duration::from_secs(1)));
    let before = switches();
    assert!(!manager.gone_within(Duration::from_secs(30)));
    println!("4 workers: wakeups of manager and supervisor in 30 idle s: {}", switches() - before);
    println!("4 workers: RSS manager {} KiB, supervisor {} KiB", manager.resident_kib(), supervisor.resident_kib());
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    println!("{what}: median {:.2?}, p95 {:.2?}, max {:.2?} ({} runs)", at(0.5), at(0.95), at(1.0), times.len());
}
