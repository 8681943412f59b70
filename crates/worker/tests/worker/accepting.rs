//! Accepting: interrupted at once, patient when short of descriptors, and without a change to the shared listener.

use evercrew_core::Signal;
use evercrew_load::Load;
use evercrew_sys::limits::{Limit, Resource};
use evercrew_sys::process::Status;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::time::Duration;

use crate::child::{PATIENCE, Start, listener};
use crate::client::{Client, ask};

#[test]
fn a_thread_that_blocks_in_accept_ends_each_time() {
    let (socket, _) = listener();
    for round in 0..30 {
        socket.set_nonblocking(round % 2 == 0).expect("a flag");
        let mut worker = Start::on(&[&socket]).ready();
        worker.terminate();
        assert_eq!(worker.end(), Status::Code(0));
    }
}

#[test]
fn a_stop_during_the_start_is_a_clean_end() {
    let (socket, _) = listener();
    for round in 0..30 {
        let mut worker = Start::on(&[&socket]).start();
        // Different moments of the start, without a clock.
        for _ in 0..round * 1000 {
            std::hint::spin_loop();
        }
        worker.signal(Signal::Term);
        let status = worker.end();
        assert!(matches!(status, Status::Code(0) | Status::Signal { .. }), "{status:?}");
    }
}

#[test]
fn a_listener_that_a_sibling_made_non_blocking_is_served() {
    let (socket, address) = listener();
    socket.set_nonblocking(false).expect("a flag");
    let _worker = Start::on(&[&socket]).ready();
    assert!(!fcntl_getfl(&socket).expect("flags").contains(OFlags::NONBLOCK), "the worker changed the listener");
    ask(address, "GET", "/");
    assert!(!fcntl_getfl(&socket).expect("flags").contains(OFlags::NONBLOCK), "the worker changed the listener");
    fcntl_setfl(&socket, fcntl_getfl(&socket).expect("flags") | OFlags::NONBLOCK).expect("flags");
    for _ in 0..10 {
        assert!(ask(address, "GET", "/").contains("Hello from Evercrew"));
    }
    let mut second = Start::on(&[&socket]).ready();
    second.terminate();
    assert_eq!(second.end(), Status::Code(0));
}

#[test]
fn siblings_share_the_connections() {
    let (socket, address) = listener();
    let workers: Vec<_> = (0..4).map(|_| Start::on(&[&socket]).ready()).collect();
    let load = Load::builder(address).fresh(4).requests(400).duration(PATIENCE).pids();
    let report = load.start_thread().expect("a load").finish();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.servers.len(), workers.len(), "{report}");
    let least = report.servers.values().map(|server| server.answers).min();
    assert!(least >= Some(20), "{report}");
}

#[test]
fn without_descriptors_it_pauses_and_goes_on() {
    let (socket, address) = listener();
    let limit = Limit { resource: Resource::OpenFiles, soft: 32, hard: 32 };
    let mut worker = Start { limits: vec![limit], ..Start::on(&[&socket]) }.ready();
    let mut first = Client::connect(address);
    first.get("/");
    let mut crowd: Vec<_> = (0..40).map(|_| Client::connect(address)).collect();
    let line = worker.line();
    assert!(line.contains("accepting pauses"), "{line}");
    let before = worker.cpu_time();
    // Those that it has are served meanwhile, and it does not burn the time.
    assert!(first.get("/slow?ms=1500").contains("Hello from Evercrew"));
    let burnt = worker.cpu_time() - before;
    assert!(burnt < Duration::from_millis(500), "{burnt:?} of processor time in 1.5 s of shortage");
    let mut last = crowd.pop().expect("forty");
    drop(crowd);
    assert!(last.get("/").contains("Hello from Evercrew"));
}

#[test]
fn a_lasting_shortage_is_told_and_nobody_is_turned_away_once_it_has_passed() {
    for nonblocking in [false, true] {
        let (socket, address) = listener();
        socket.set_nonblocking(nonblocking).expect("a flag");
        let limit = Limit { resource: Resource::OpenFiles, soft: 32, hard: 32 };
        let _worker = Start { limits: vec![limit], ..Start::on(&[&socket]) }.answers().ready();
        let mut held = Vec::new();
        let told = loop {
            let mut client = Client::connect(address);
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let answer = client.answer();
            if !answer.starts_with("HTTP/1.1 200 ") {
                break answer;
            }
            held.push(client);
            assert!(held.len() < 32, "more connections than descriptors");
        };
        assert!(held.len() > 5, "{} connections of 32 descriptors", held.len());
        assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("\r\nconnection: close\r\n"), "{told}");
        // The one after it is told as well: the descriptor in reserve is there again.
        let next = ask(address, "GET", "/");
        assert!(next.starts_with("HTTP/1.1 503 "), "{next}");
        for client in &mut held {
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            assert!(client.rest().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")));
        }
        for _ in 0..held.len() {
            let answer = ask(address, "GET", "/");
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
    }
}
