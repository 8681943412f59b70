//! What the queue server carries: every line of "figures to hold" of the queue.
//!
//! **What it does.** Starts the release binary with a queue server, and loads it over its protocol from one thread.
//! `cargo build --release && cargo run --release -p evercrew-benches --bin queue -- [SCENE…] [--relaxed]`; without a
//! scene all are played. The store lies in the temporary directory (`TMPDIR`), which should be on a disk.
//!
//! **Where to start.** `SCENES`.
//!
//! **What it must never know.** A bound: it measures, SPECIFICATION and a reader judge.
//!
//! **How it is tested.** By its reader.

mod crew;
mod latency;
mod roles;
mod server;
mod throughput;
mod volume;

use server::Server;

/// Plays a scene with this durability.
type Scene = fn(&str);

/// Each scene with its name.
const SCENES: [(&str, Scene); 11] = [
    ("push", throughput::push_over_64_connections),
    ("alone", throughput::push_over_one_connection),
    ("bulk", throughput::push_hundreds),
    ("work", throughput::push_fetch_acknowledge),
    ("wake", latency::wake),
    ("late", latency::late),
    ("retried", latency::retried),
    ("idle", latency::idle),
    ("claim", volume::claim_beside_a_million),
    ("memory", volume::memory_of_queued_jobs),
    ("restart", volume::restart_with_a_million),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let durability = if arguments.iter().any(|argument| argument == "--relaxed") { "relaxed" } else { "sync" };
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    println!("durability {durability}");
    for (name, scene) in SCENES {
        if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name) {
            scene(durability);
        }
    }
}
