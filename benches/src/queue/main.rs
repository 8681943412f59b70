//! What the queue server carries: every line of "figures to hold" of the queue.
//!
//! **What it does.** Starts the release binary with a queue server, and loads it over its protocol from one thread.
//! `cargo build --release && cargo run --release -p evercrew-benches --bin queue -- [SCENE…] [--relaxed]`; without a
//! scene all are played with `durability = "sync"`, and those that it matters for with `relaxed` too; at the end stands a
//! table of all. The store lies in the temporary directory (`TMPDIR`), which should be on a disk.
//!
//! **Where to start.** `SCENES`.
//!
//! **What it must never know.** Whether a figure is good: it measures, the table says beside it what is wanted, a reader judges.
//!
//! **How it is tested.** By its reader.

mod crew;
mod latency;
mod roles;
mod server;
mod table;
mod throughput;
mod volume;

use server::Server;
use table::Table;

/// Plays a scene with this durability.
type Scene = fn(&str, &mut Table);

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

/// Those that an answer's wait for the disk is part of.
const OF_THE_DISK: [&str; 5] = ["push", "alone", "bulk", "work", "wake"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let relaxed = arguments.iter().any(|argument| argument == "--relaxed");
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let all = wanted.is_empty() && !relaxed;
    let mut table = Table::default();
    for durability in ["sync", "relaxed"] {
        let is_played = all || relaxed == (durability == "relaxed");
        for (name, scene) in SCENES.iter().filter(|_| is_played) {
            let is_meant = if all {
                durability == "sync" || OF_THE_DISK.contains(name)
            } else {
                wanted.is_empty() || wanted.iter().any(|wanted| wanted == name)
            };
            if is_meant {
                println!("# {name}, durability {durability}");
                scene(durability, &mut table);
            }
        }
    }
    table.print();
}
