//! What rollouts, reloads and scalings add to the latency of those who are served.
//!
//! **What it does.** Puts built-in workers under a steady open loop on kept and new connections and measures quiet
//! stretches and stretches full of operations in turn, so that what else the machine does hits both alike.
//! `cargo build --release && cargo run --release -p evercrew-benches --bin latency [BINARY [REQUESTS A SECOND]]`.
//!
//! **Where to start.** `main`; docs/measurements/rollouts.md has the last figures.
//!
//! **What it must never know.** A bound: it measures, a reader judges.
//!
//! **How it is tested.** By its reader; what the operations may not cost holds `operations.rs` of the end-to-end tests.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use evercrew_e2e::Engine;
use evercrew_e2e::programs::{free_port, workspace};
use evercrew_load::{Load, Report};

const PAIRS: usize = 10;
const STRETCH: Duration = Duration::from_secs(6);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().map_or_else(|| workspace().join("target/release/evercrew"), Into::into);
    let rate = arguments.next().and_then(|rate| rate.parse().ok()).unwrap_or(300.0);
    let port = free_port();
    let text = |round: usize| {
        format!(
            "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\nbuiltin = \"hello\"\nlisten = [\"web\"]\n\
             workers = 2\nrollout = {{ settle = \"100ms\" }}\nenv = {{ ROUND = \"{round}\" }}\n"
        )
    };
    let engine = Engine::up(binary.to_str().unwrap_or_default(), &text(0));
    let stretch = |busy: &mut dyn FnMut()| {
        let load = Load::builder(SocketAddr::from(([127, 0, 0, 1], port))).rate(rate).keep_alive(64).fresh(64);
        let load = load.duration(STRETCH).start_thread().expect("start the load");
        busy();
        load.finish()
    };
    let (mut quiet, mut busy, mut operations, mut clean) = (Vec::new(), Vec::new(), 0, true);
    for _ in 0..PAIRS {
        let calm = stretch(&mut || ());
        let full = stretch(&mut || {
            let until = Instant::now() + STRETCH;
            while Instant::now() < until {
                match operations % 3 {
                    0 => engine.ok(&["restart", "web"]),
                    1 => engine.ok(&["scale", if operations % 2 == 0 { "web=2" } else { "web=4" }]),
                    _ => {
                        engine.configure(&text(operations));
                        engine.ok(&["reload"])
                    }
                };
                operations += 1;
            }
        });
        clean &= calm.is_clean() && full.is_clean();
        quiet.push(calm);
        busy.push(full);
    }
    println!("{PAIRS} pairs of {STRETCH:?} at {rate} requests a second, {operations} operations, failures: {}", !clean);
    show("due to answered, quiet", &quiet, |report| report.latency.p99);
    show("due to answered, operations", &busy, |report| report.latency.p99);
    show("begun to answered, quiet", &quiet, |report| report.service.p99);
    show("begun to answered, operations", &busy, |report| report.service.p99);
}

fn show(what: &str, reports: &[Report], p99: impl Fn(&Report) -> Duration) {
    let mut times: Vec<Duration> = reports.iter().map(p99).collect();
    times.sort();
    println!(
        "p99 {what}: least {:.2?}, median {:.2?}, most {:.2?}",
        times[0],
        times[times.len() / 2],
        times[times.len() - 1]
    );
}
