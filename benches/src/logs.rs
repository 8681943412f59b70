//! What the logger carries: bytes a second of one and of eight writers, processor time for each MiB, and what a flood
//! does to others.
//!
//! **What it does.** Starts the release binary with workers that write without end, looks how far their files are after
//! some seconds, and asks for `status` meanwhile. `cargo build --release && cargo run --release -p evercrew-benches --bin logs`.
//!
//! **Where to start.** `main`, a line a figure.
//!
//! **What it must never know.** A bound: it measures, SPECIFICATION and a reader judge.
//!
//! **How it is tested.** By its reader.

use std::time::{Duration, Instant};

use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::workspace;

const TIME: Duration = Duration::from_secs(10);

fn main() {
    let binary = workspace().join("target/release/evercrew");
    let binary = std::env::var("EVERCREW_BINARY").unwrap_or_else(|_| binary.display().to_string());
    let short = "yes 2026-01-31 GET /some/path 200 0.001 a line as an access log has it, of one hundred bytes or so.";
    flood(&binary, "1 writer, lines of 96 bytes, text", short, 1, "");
    flood(&binary, "1 writer, lines of 96 bytes, JSON", short, 1, "format = \"json\"\n");
    flood(&binary, "1 writer, lines of 96 bytes, compressed", short, 1, "compress = true\n");
    flood(&binary, "8 writers, lines of 96 bytes, text", short, 8, "");
    let long = "s=$(head -c 65000 /dev/zero | tr '\\\\0' x); yes $s";
    flood(&binary, "1 writer, lines of 65,000 bytes, text", long, 1, "");
}

fn flood(binary: &str, what: &str, script: &str, workers: u32, log: &str) {
    let compress = if log.contains("compress") { "" } else { "compress = false\n" };
    let mut engine = Engine::up(
        binary,
        &format!(
            "[log]\nterminal = false\nmax_size = \"64MiB\"\nkeep = 1\n{compress}{log}\
             [service.w]\ncommand = [\"sh\", \"-c\", \"exec 2>&1; {script}\"]\nworkers = {workers}\n\
             [service.other]\ncommand = [\"sleep\", \"1000\"]\n"
        ),
    );
    let children = engine.supervisor().children();
    let logger = children.into_iter().filter_map(Process::try_open).find(|process| process.title().contains("logger"));
    let logger = logger.expect("a logger");
    let written = || io_written(logger.pid);
    let (bytes, cpu, began) = (written(), logger.cpu(), Instant::now());
    let mut status = Vec::new();
    while began.elapsed() < TIME {
        let asked = Instant::now();
        engine.run(&["status", "other"]);
        status.push(asked.elapsed());
        assert!(!logger.gone_within(Duration::from_millis(100)), "the logger is gone");
    }
    let mib = (written() - bytes) as f64 / f64::from(1 << 20);
    let (used, seconds) = (logger.cpu() - cpu, began.elapsed().as_secs_f64());
    status.sort();
    println!(
        "{what}: {:.0} MiB/s written, {:.2} ms of processor time a MiB; `status` of another service: median {:.1?}, max {:.1?}",
        mib / seconds,
        used.as_secs_f64() * 1000.0 / mib.max(0.001),
        status[status.len() / 2],
        status[status.len() - 1],
    );
    engine.run(&["down", "--now"]);
    engine.wait(Duration::from_secs(60));
}

/// Bytes that a process has written, to files and elsewhere.
fn io_written(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|number| number.parse().ok()).unwrap_or_default()
}
