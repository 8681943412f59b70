//! A stop finishes what is begun and loses nothing.

use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_load::Load;
use evercrew_sys::process::Status;

use crate::child::{PATIENCE, Start, listener};
use crate::client::{Client, ask};

#[test]
fn an_idle_connection_may_speak_once_more() {
    let (socket, address) = listener();
    let mut worker = Start::on(&[&socket]).ready();
    let mut client = Client::connect(address);
    let before = client.get("/healthz");
    assert!(!before.contains("connection: close"), "{before}");
    worker.terminate();
    client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answer = client.rest().expect("a close in good order");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("draining\n"), "{answer}");
    assert_eq!(worker.end(), Status::Code(0));
    // The kernel's queue is not the worker's: it goes on.
    Client::connect(address);
}

#[test]
fn a_running_request_has_its_whole_answer() {
    let (socket, address) = listener();
    let mut worker = Start::on(&[&socket]).ready();
    let mut slow = Client::connect(address);
    // Accepted before the stop, by the answer that it had.
    slow.get("/pid");
    slow.send("GET /slow?ms=800 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // The worker has read the request above once it answers this later one.
    ask(address, "GET", "/");
    worker.terminate();
    let waiting = Client::connect(address);
    let answer = slow.rest().expect("a close in good order");
    assert!(answer.contains("Hello from Evercrew") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(worker.end(), Status::Code(0));
    // The connection that came during the drain waited for the successor.
    let _successor = Start::on(&[&socket]).ready();
    let mut waiting = waiting;
    assert!(waiting.get("/").contains("Hello from Evercrew"));
}

#[test]
fn silent_clients_and_half_requests_are_ended_by_the_grace() {
    let (socket, address) = listener();
    let mut worker = Start::on(&[&socket]).ready();
    let [mut idle, mut half, mut begun, mut slow] = std::array::from_fn(|_| Client::connect(address));
    idle.get("/");
    half.get("/");
    half.send("GET / HTTP/1.1\r\nHo");
    begun.send("GET / HT");
    slow.get("/");
    slow.send("GET /slow?ms=8000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ask(address, "GET", "/");
    let begin = Instant::now();
    worker.terminate();
    assert_eq!(idle.rest().expect("a close in good order"), "");
    let kept = begin.elapsed();
    assert!(kept >= Duration::from_secs(4), "an idle connection is kept for a while, not {kept:?}");
    assert!(kept < Duration::from_millis(6900), "an idle connection is closed when its grace ends, not after {kept:?}");
    // How these are closed is their own affair: they never finished their request.
    let _ = (half.rest(), begun.rest());
    let answer = slow.rest().expect("a close in good order");
    assert!(answer.contains("Hello from Evercrew"), "a request may take longer than the grace: {answer}");
    assert_eq!(worker.end(), Status::Code(0));
    assert!(begin.elapsed() < Duration::from_secs(25), "it ended by itself after {:?}", begin.elapsed());
}

#[test]
fn quit_ends_at_once_even_during_a_drain() {
    let (socket, address) = listener();
    let mut worker = Start::on(&[&socket]).ready();
    let mut slow = Client::connect(address);
    slow.get("/");
    slow.send("GET /slow?ms=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ask(address, "GET", "/");
    worker.terminate();
    let begin = Instant::now();
    worker.signal(Signal::Quit);
    assert_eq!(worker.end(), Status::Code(0));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn workers_replaced_under_load_lose_nothing() {
    let (socket, address) = listener();
    let mut workers: Vec<_> = (0..2).map(|_| Start::on(&[&socket]).ready()).collect();
    let load = Load::builder(address)
        .rate(400.0)
        .keep_alive(8)
        .fresh(8)
        .duration(PATIENCE * 10)
        .expect_prefix("Hello from Evercrew\n")
        .pids()
        .start_thread()
        .expect("a load");
    let rounds = if std::env::var_os("EVERCREW_LONG").is_some() { 100 } else { 6 };
    for _ in 0..rounds {
        let answers = load.report().ok;
        assert!(load.wait_answers(answers + 100, PATIENCE), "{}", load.report());
        let mut old = workers.remove(0);
        workers.push(Start::on(&[&socket]).ready());
        old.terminate();
        assert_eq!(old.end(), Status::Code(0));
    }
    let report = load.stop();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.idle_closes, report.idle_resets), (0, 0), "{report}");
    assert_eq!(report.servers.len(), rounds + 2, "{report}");
}
