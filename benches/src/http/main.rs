//! What a request costs the server: our built-in worker beside nginx, hyper alone and granian.
//!
//! **What it does.** Asks each server in turn for so many requests over 64 connections, kept or new for each, and takes
//! the processor time of its processes from the kernel. Rounds are interleaved; it prints medians, and the ratio of ours
//! to each other round by round with its 95 % interval. nginx is that of `cargo xtask programs`; granian is looked for
//! on the PATH. `cargo build --release && cargo run --release -p evercrew-benches --bin http [ROUNDS] [REQUESTS]`
//!
//! **Where to start.** `main`; `pump.rs` is the client, `peers.rs` how each server is run.
//!
//! **What it must never know.** A bound: it measures, docs/measurements/http.md and a reader judge.
//!
//! **How it is tested.** By its reader. The client counts every answer to the byte and ends when one is missing.

mod peers;
mod pump;
mod series;

use peers::Peer;
use pump::{Connections, Pump};
use series::Series;

/// Connections at once.
const LANES: usize = 64;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("serve-hyper") {
        return peers::serve_hyper(arguments.next().expect("a port").parse().expect("a port"));
    }
    let rounds: usize = first.map_or(12, |text| text.parse().expect("a number of rounds"));
    let requests: u64 = arguments.next().map_or(100_000, |text| text.parse().expect("a number of requests"));
    let only: Vec<String> = arguments.collect();
    for connections in [Connections::Kept, Connections::New] {
        let requests = if connections == Connections::Kept { requests } else { requests / 5 };
        let mut all: Vec<Series> = Vec::new();
        for round in 0..rounds {
            for (place, peer) in Peer::all(&only).into_iter().enumerate() {
                if all.len() <= place {
                    all.push(Series::new(peer.name));
                }
                let running = peer.start();
                let pump = Pump { port: running.port, lanes: LANES, connections };
                // Caches and buffers grow first.
                pump.run(requests / 20);
                let before = running.cpu();
                let took = pump.run(requests);
                all[place].add(running.cpu() - before, requests, &took);
            }
            eprintln!("{connections:?}: round {} of {rounds}", round + 1);
        }
        println!("\n{requests} requests over {LANES} {connections:?} connections, {rounds} rounds\n");
        series::print(&all);
    }
}
