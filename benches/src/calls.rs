//! How long questions to workers take, on an open connection and with many workers.
//!
//! **What it does.** Starts the release binary (or the one its first argument names) with workers that answer at once, which
//! this program itself is, and prints percentiles of `status` and `call`, how exact deadlines are, how soon a death is
//! told, and `status` while somebody deaf follows a flood of events. `cargo build --release && cargo run --release -p evercrew-benches --bin calls`; `-- BINARY 1000` sets the most
//! workers.
//!
//! **Where to start.** `main`, a line a figure.
//!
//! **What it must never know.** A bound: it measures, SPECIFICATION and a reader judge.
//!
//! **How it is tested.** By its reader; the same questions carry the end-to-end tests in `calls.rs`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::workspace;
use evercrew_worker::Commands;
use serde_json::{Value, json};

/// The variable that makes this program a worker.
const PIPE: &str = "EVERCREW_COMMAND_FD";

fn main() {
    if std::env::var_os(PIPE).is_some() {
        return work();
    }
    let binary = std::env::args().nth(1).map_or_else(|| workspace().join("target/release/evercrew"), Into::into);
    let binary = binary.to_str().unwrap_or_default();
    let most: u32 = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(1000);
    for workers in [2, 100, most] {
        let engine = engine(binary, workers);
        let mut asking = Asking::new(&engine);
        let rounds = if workers > 100 { 200 } else { 2000 };
        let call = json!({"id": "1", "verb": "call", "args": {"names": ["s"], "call": "echo"}});
        if workers == 2 {
            percentiles("status of 2 workers", 2000, || asking.ask(&json!({"id": "1", "verb": "status"})));
            percentiles("version", 2000, || asking.ask(&json!({"id": "1", "verb": "version"})));
        }
        percentiles(&format!("call of {workers} workers"), rounds, || asking.ask(&call));
        if workers == 2 {
            deadlines(&engine);
            deaths(&engine);
            deaf(&engine);
        }
    }
}

/// Answers `echo` at once, and `hang` never: one worker whose handler does not return answers nothing after it either.
fn work() {
    let (ended, end) = std::sync::mpsc::channel::<()>();
    let commands = Commands::new().on("echo", |_| Ok(Value::Null)).on("hang", move |_| {
        let _ = &ended;
        std::thread::park();
        Ok(Value::Null)
    });
    let Ok(Some(_pipe)) = commands.start() else { return };
    println!("ready");
    // The handlers go at end of file.
    let _ = end.recv();
}

fn engine(binary: &str, workers: u32) -> Engine {
    let own = std::env::current_exe().expect("this program");
    Engine::up(
        binary,
        &format!(
            "[log]\nterminal = false\n[service.s]\ncommand = [{own:?}]\nworkers = {workers}\ncommand_pipe = true\n\
             ready = {{ output = \"^ready\" }}\nstart_limit = false\nstop = {{ grace = \"100ms\" }}\n"
        ),
    )
}

/// Two deadlines together: by how much each is missed.
fn deadlines(engine: &Engine) {
    let mut asking = Asking::new(engine);
    let began = Instant::now();
    for ms in [5000, 200] {
        let request =
            json!({"id": ms.to_string(), "verb": "call", "args": {"names": ["s"], "call": "hang"}, "deadline_ms": ms});
        asking.send(&request);
    }
    for _ in 0..2 {
        let reply = asking.reply();
        let ms: u64 = reply["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or(0);
        println!("deadline of {ms} ms: {:.1} ms late", (began.elapsed().as_secs_f64() * 1000.0) - ms as f64);
    }
}

/// From the kill of a worker that was asked to the answer that says so.
fn deaths(engine: &Engine) {
    let mut found: Vec<Duration> = Vec::new();
    for _ in 0..10 {
        engine.ready();
        let mut asking = Asking::new(engine);
        let request =
            json!({"id": "1", "verb": "call", "args": {"names": ["s.1"], "call": "hang"}, "deadline_ms": 60_000});
        asking.send(&request);
        asking.send(&json!({"id": "2", "verb": "version"}));
        asking.reply();
        let process = Process::open(engine.pids("s")[0]);
        let killed = Instant::now();
        process.signal(Signal::Kill);
        let reply = asking.reply();
        assert_eq!(reply["content"]["workers"][0]["outcome"], "died", "{reply}");
        found.push(killed.elapsed());
        let mut events = engine.events(1);
        events.worker("worker.ready", "s.1", Duration::from_secs(30));
    }
    print("a death is told after", found);
}

/// `status` of others under a flood of events that somebody follows and never reads.
fn deaf(engine: &Engine) {
    let mut follower = Asking::new(engine);
    follower.send(&json!({"id": "1", "verb": "events", "args": {"follow": true, "since": 1}}));
    let (mut flood, mut other) = (Asking::new(engine), Asking::new(engine));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let events = scope.spawn(|| {
            let mut events = 0;
            while !done.load(Relaxed) {
                for _ in 0..50 {
                    flood.send(&json!({"id": "1", "verb": "log-level", "args": {"filter": "fatal"}}));
                }
                (0..50).for_each(|_| drop(flood.reply()));
                events += 100;
            }
            events
        });
        percentiles("status under a flood of events", 2000, || other.ask(&json!({"id": "1", "verb": "status"})));
        done.store(true, Relaxed);
        println!("events meanwhile: {}", events.join().unwrap_or(0));
    });
}

fn percentiles(what: &str, rounds: usize, mut once: impl FnMut()) {
    for _ in 0..rounds / 10 {
        once();
    }
    let times = (0..rounds).map(|_| {
        let began = Instant::now();
        once();
        began.elapsed()
    });
    print(what, times.collect());
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    println!("{what}: p50 {:.0} µs, p99 {:.0} µs, max {:.0} µs ({} times)", at(0.5), at(0.99), at(1.0), times.len());
}

struct Asking(UnixStream, BufReader<UnixStream>);

impl Asking {
    fn new(engine: &Engine) -> Self {
        let stream = UnixStream::connect(engine.home().join(".evercrew/control.sock")).expect("connect");
        let reader = BufReader::new(stream.try_clone().expect("a second handle"));
        Self(stream, reader)
    }

    fn send(&mut self, request: &Value) {
        self.0.write_all(format!("{request}\n").as_bytes()).expect("ask");
    }

    fn reply(&mut self) -> Value {
        let mut line = String::new();
        self.1.read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).expect("JSON")
    }

    fn ask(&mut self, request: &Value) {
        self.send(request);
        let reply = self.reply();
        assert_eq!(reply["status"], "ok", "{reply}");
    }
}
