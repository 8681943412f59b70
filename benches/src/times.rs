//! How exactly deadlines are kept on real processes: silence found, signals of a ladder sent, an immediate stop done.
//!
//! **What it does.** Starts the release binary (or the one its first argument names) with programs under test and prints
//! by how much each moment missed its number.
//! `cargo xtask programs && cargo build --release && cargo run --release -p evercrew-benches --bin times`.
//!
//! **Where to start.** `main`, a line a figure.
//!
//! **What it must never know.** A bound: it measures, SPECIFICATION and a reader judge.
//!
//! **How it is tested.** By its reader; the same programs carry the end-to-end tests in `times.rs`.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::moments::Moments;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::{apps, free_port, program, workspace};

const SOON: Duration = Duration::from_secs(30);
const ROUNDS: usize = 20;
const TIMEOUT: Duration = Duration::from_secs(2);

fn main() {
    let binary = std::env::args().nth(1).map_or_else(|| workspace().join("target/release/evercrew"), Into::into);
    let binary = binary.to_str().unwrap_or_default();
    let (Some(python), Some(uvicorn), Some(node)) = (program("python"), program("uvicorn"), program("node")) else {
        return;
    };
    let apps = apps().display().to_string();
    let asgi = format!("[{uvicorn:?}, \"--app-dir\", {apps:?}, \"asgi:app\", \"--fd\", \"3\", \"--no-access-log\"]");
    silence(binary, &python, "uvicorn", &asgi);
    silence(binary, &python, "node", &format!("[{node:?}, \"{apps}/server.js\"]"));
    ladder(binary, &python);
    immediate(binary, &python);
}

/// A stopped and a spinning event loop, to the event: how long after the timeout, counted from the last moment at which
/// it can have beaten.
fn silence(binary: &str, python: &str, what: &str, command: &str) {
    let port = free_port();
    let notifier = format!("{python} {}/notifier.py", apps().display());
    let engine = Engine::up(
        binary,
        &format!(
            "[listen.l]\naddress = \"127.0.0.1:{port}\"\n[service.s]\ncommand = {command}\nlisten = [\"l\"]\n\
             ready = \"notify\"\nenv = {{ NOTIFIER = {notifier:?} }}\nstart_limit = false\n\
             backoff = {{ min = \"0s\", max = \"0s\", stable = \"0s\" }}\n\
             heartbeat = {{ interval = \"100ms\", timeout = \"{}s\" }}\n",
            TIMEOUT.as_secs()
        ),
    );
    for spins in [false, true] {
        let mut events = engine.events(1);
        let mut found = Vec::new();
        for _ in 0..ROUNDS.min(10) {
            let pid = engine.pids("s")[0];
            let began = Instant::now();
            let _asked = if spins {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
                stream.write_all(b"GET /spin HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("ask");
                Some(stream)
            } else {
                Process::open(pid).signal(Signal::Stop);
                None
            };
            events.wait("lost", SOON, |event| event["kind"] == "worker.heartbeat-lost" && event["pid"] == pid);
            found.push(began.elapsed());
            events.wait("ready", SOON, |event| event["kind"] == "worker.ready" && event["pid"] != pid);
        }
        show(&format!("{what} {}: found after, timeout 2 s", if spins { "spins" } else { "is stopped" }), found);
    }
}

/// The moments of a ladder's signals, as the worker noted them, against their numbers.
fn ladder(binary: &str, python: &str) {
    let stop = "[{ signal = \"TERM\", repeat = \"300ms\", increment = \"200ms\", for = \"8s\" }, \
                { signal = \"QUIT\", repeat = \"200ms\", increment = \"200ms\", for = \"8s\" }]";
    let repeated = |from: u64, gap: u64| {
        let mut next = (from, gap);
        std::iter::from_fn(move || {
            let at = next.0;
            next = (at + next.1, next.1 + 200);
            (at < from + 8000).then_some(Duration::from_millis(at))
        })
    };
    let plan: Vec<Duration> = repeated(0, 300).chain(repeated(8000, 200)).collect();
    let (mut missed, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let mut engine = Engine::new(binary, "");
        let moments = Moments::below(engine.home());
        engine.configure(&moments.service("s", python, stop));
        engine.start();
        engine.ready();
        let worker = Process::open(engine.pids("s")[0]);
        let began = Instant::now();
        engine.supervisor().signal(Signal::Term);
        assert!(worker.gone_within(SOON));
        ends.push(began.elapsed().abs_diff(Duration::from_secs(16)));
        let noted = moments.noted();
        assert_eq!(noted.len(), plan.len(), "{noted:?}");
        missed.extend(noted.iter().zip(&plan).map(|((_, at), planned)| at.abs_diff(*planned)));
        engine.wait(SOON);
    }
    show(&format!("ladder of {} signals in 16 s: missed its number by", plan.len()), missed);
    show("ladder: KILL missed its number by", ends);
}

/// TERM, then QUIT while the worker is in the first of ten minutes, to the end of the engine.
fn immediate(binary: &str, python: &str) {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut engine = Engine::new(binary, "");
        let moments = Moments::below(engine.home());
        engine.configure(&moments.service("s", python, "{ signal = \"TERM\", grace = \"600s\" }"));
        engine.start();
        engine.ready();
        let up = engine.supervisor();
        up.signal(Signal::Term);
        assert!(moments.wait(1, SOON));
        let began = Instant::now();
        up.signal(Signal::Quit);
        assert!(up.gone_within(SOON));
        times.push(began.elapsed());
        engine.wait(SOON);
    }
    show("QUIT after TERM: to the end of the engine", times);
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    println!("{what}: median {:.2?}, p95 {:.2?}, max {:.2?} ({} runs)", at(0.5), at(0.95), at(1.0), times.len());
}
