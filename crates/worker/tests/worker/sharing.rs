//! Who takes which connection.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;

use evercrew_load::Load;

use crate::child::{PATIENCE, Start, Worker, listener};
use crate::client::{Client, ask};

/// What both kinds of listener hold.
const KINDS: [bool; 2] = [false, true];

/// Workers on a listener that is non-blocking or not.
fn crew(count: usize, nonblocking: bool) -> (Vec<Worker>, SocketAddr) {
    let (socket, address) = listener();
    socket.set_nonblocking(nonblocking).expect("a flag");
    ((0..count).map(|_| Start::on(&[&socket]).answers().start()).collect(), address)
}

fn ready(workers: &[Worker]) {
    workers.iter().for_each(|worker| drop(worker.message("READY", |message| message.ready)));
}

#[test]
fn handlers_that_hold_their_worker_are_spread_over_all() {
    KINDS.into_iter().for_each(hold);
}

fn hold(nonblocking: bool) {
    let (workers, address) = crew(8, nonblocking);
    ready(&workers);
    let mut rounds = Vec::new();
    for _ in 0..5 {
        let ask = |_| thread::spawn(move || ask(address, "GET", "/block?ms=1000"));
        let answers: Vec<_> = [(); 8].map(ask).into_iter().map(|answer| answer.join().expect("an answer")).collect();
        let pids: BTreeSet<_> = answers.iter().map(|answer| answer.rsplit("\r\n\r\n").next()).collect();
        rounds.push(pids.len());
    }
    // A client that the machine lets say its first word late, a millisecond after it connected, may share a worker.
    let whole = rounds.iter().filter(|workers| **workers == 8).count();
    assert!(whole >= 3 && rounds.iter().all(|workers| *workers >= 7), "workers that took part, by round: {rounds:?}");
}

#[test]
fn short_requests_are_shared_evenly() {
    KINDS.into_iter().for_each(share);
}

fn share(nonblocking: bool) {
    let requests = if std::env::var_os("EVERCREW_LONG").is_some() { 10_000 } else { 2_000 };
    let (workers, address) = crew(8, nonblocking);
    ready(&workers);
    let load = Load::builder(address).fresh(1).requests(requests).duration(PATIENCE).pids();
    let report = load.start_thread().expect("a load").finish();
    assert!(report.is_clean(), "{report}");
    let shares: Vec<_> = report.servers.values().map(|server| server.answers).collect();
    let (least, most) = (shares.iter().min().expect("eight"), shares.iter().max().expect("eight"));
    assert!(shares.len() == 8 && *most <= least * 2, "{shares:?}");
}

#[test]
fn a_connection_wakes_hardly_anybody_but_who_takes_it() {
    KINDS.into_iter().for_each(wake);
}

fn wake(nonblocking: bool) {
    let (workers, address) = crew(64, nonblocking);
    ready(&workers);
    let mut rounds = Vec::new();
    for _ in 0..11 {
        let before: Vec<_> = workers.iter().map(switches).collect();
        let mut client = Client::connect(address);
        client.get("/pid");
        let woken = workers.iter().zip(&before).filter(|(worker, before)| switches(worker) != **before).count();
        rounds.push(woken);
        // The next one waits until this one's end was seen.
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.rest().expect("a close in good order");
    }
    // Workers also wake by their own clocks; most rounds see nothing of that, and a herd would be in all of them.
    rounds.sort_unstable();
    assert!(rounds[5] <= 2, "so many of 64 workers woke, by round: {rounds:?}");
}

/// How often the threads of a worker have gone to sleep.
fn switches(worker: &Worker) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", worker.pid())).expect("it lives");
    let of = |path: std::path::PathBuf| {
        let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    tasks.map(|task| of(task.expect("a thread").path())).sum()
}
