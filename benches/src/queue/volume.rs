//! What a million jobs that nobody asks for cost those that are asked for.

use std::time::{Duration, Instant};

use evercrew_core::Signal;

use crate::Server;
use crate::crew::{Crew, greeted};
use crate::roles::{Pusher, Worker};
use crate::server::{print_rate, print_times};
use crate::table::Table;

const MILLION: u64 = 1_000_000;

/// Fetch and acknowledge, with nothing beside and with 400,000 scheduled, 300,000 dead and 300,000 done jobs.
pub(crate) fn claim_beside_a_million(durability: &str, table: &mut Table) {
    let mut server = Server::start(durability);
    let alone = claim(&mut server, "with nothing beside");
    let far = ",\"at\":\"2099-01-01T00:00:00Z\"";
    fill(&server, 300_000, far);
    assert_eq!(server.ask("MUTATE {\"cmd\":\"kill\",\"target\":\"scheduled\",\"filter\":{\"regexp\":\"*\"}}"), "+OK");
    fill(&server, 400_000, far);
    fill(&server, 300_000, "");
    work(&server, 300_000);
    let info = server.info();
    println!("beside: {}", info["faktory"]["sets"]);
    let beside = claim(&mut server, "beside 400,000 scheduled, 300,000 dead, 300,000 done");
    table.note(durability, "claim", format!("{:.2}", beside / alone));
    server.end();
}

/// The rate of the best of three rounds.
fn claim(server: &mut Server, beside: &str) -> f64 {
    let jobs = 20_000;
    let mut best = 0.0_f64;
    for round in 1..=3 {
        fill(server, jobs, "");
        let before = server.used();
        let workers = work(server, jobs);
        let after = server.used();
        best = best.max(print_rate(&format!("claims {beside}, round {round}"), jobs, before, after).jobs);
        let mut fetches: Vec<Duration> = workers.into_iter().flat_map(|worker| worker.fetches).collect();
        print_times("FETCH, to its job", &mut fetches);
    }
    best
}

fn fill(server: &Server, jobs: u64, more: &str) {
    let roles = (0..4).map(|_| Pusher::new(1000, jobs / 4, more)).collect();
    let mut crew = Crew::connect(server.address, roles, |_| None);
    crew.begin();
    crew.run(None);
}

fn work(server: &Server, jobs: u64) -> Vec<Worker> {
    let workers = (0..20).map(|_| Worker::new(jobs / 20)).collect();
    let mut crew = Crew::connect(server.address, workers, |place| Some(format!("worker-{place:04}")));
    crew.begin();
    crew.run(None);
    crew.into_roles()
}

/// What queued jobs take in memory: where tables are full, and where they have just grown.
pub(crate) fn memory_of_queued_jobs(durability: &str, table: &mut Table) {
    let mut most = 0;
    for jobs in [900_000, MILLION, 1_900_000] {
        let mut server = Server::start(durability);
        let empty = server.process().resident_kib();
        fill(&server, jobs, "");
        let text = server.info()["evercrew"]["text_bytes"].as_u64().unwrap_or(0);
        let what = format!("after {jobs} pushes");
        most = most.max(print_memory(&what, jobs, server.process().resident_kib(), empty, text));
        server.end();
    }
    table.note(durability, "memory", most.to_string());
}

/// A million queued jobs: what they take in memory, and how soon the next server answers after a kill.
pub(crate) fn restart_with_a_million(durability: &str, table: &mut Table) {
    let mut latest = 0.0_f64;
    let mut server = Server::start(durability);
    let empty = server.process().resident_kib();
    fill(&server, MILLION, "");
    let process = server.process();
    let text = server.info()["evercrew"]["text_bytes"].as_u64().unwrap_or(0);
    let file = std::fs::metadata(server.store()).map_or(0, |store| store.len());
    print_memory("after a million pushes", MILLION, process.resident_kib(), empty, text);
    println!("the store has {} MiB", file >> 20);
    for round in 1..=3 {
        let killed = Instant::now();
        server.process().signal(Signal::Kill);
        // The listener is the engine's: who comes waits in its queue until the next server answers.
        let mut first = greeted(server.address, Some("first-worker"));
        let greeted_after = killed.elapsed();
        assert!(crate::crew::ask(&mut first, "FETCH default").contains("jid"));
        let fetched_after = killed.elapsed().as_secs_f64() * 1e3;
        latest = latest.max(fetched_after);
        println!(
            "round {round}: greeted {:.0} ms and a job fetched {fetched_after:.0} ms after the kill",
            greeted_after.as_secs_f64() * 1e3,
        );
        server.reconnect();
        let text = server.info()["evercrew"]["text_bytes"].as_u64().unwrap_or(0);
        let each = print_memory("after the restart", MILLION, server.process().resident_kib(), empty, text);
        table.note(durability, "restart.memory", each.to_string());
    }
    table.note(durability, "restart", format!("{latest:.0}"));
    server.end();
}

fn print_memory(when: &str, jobs: u64, resident: u64, empty: u64, text: u64) -> u64 {
    let each = (resident * 1024).saturating_sub(60 << 20).saturating_sub(text) / jobs;
    println!(
        "{when}: {} MiB resident ({} MiB when empty), {} MiB of it payloads: 60 MiB and {each} bytes for each job beyond its payload",
        resident >> 10,
        empty >> 10,
        text >> 20
    );
    each
}
