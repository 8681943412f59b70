//! Limits and deadlines of connections, and what is told about requests.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use evercrew_sys::process::Status;

use crate::child::{PATIENCE, Start, Worker, listener};
use crate::client::{Client, ask};

fn start(http: &'static str) -> (Worker, SocketAddr) {
    let (socket, address) = listener();
    (Start::on(&[&socket]).answers().variable("EVERCREW_HTTP", http).ready(), address)
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

/// What comes until the server closes, and after how long.
fn rest(client: &mut Client) -> (String, Duration) {
    let begin = Instant::now();
    (client.rest().expect("a close in good order"), begin.elapsed())
}

#[test]
fn a_head_has_its_size_and_its_count() {
    let (_worker, address) = start(r#"{"head_size":2000,"target_size":500,"header_count":10}"#);
    let long = |length: usize| "a".repeat(length);
    let table = [
        (get(&format!("A: {}\r\n", long(1500))), 200),
        (get(&format!("A: {}\r\n", long(2000))), 431),
        (get(&"A: b\r\n".repeat(9)), 200),
        (get(&"A: b\r\n".repeat(10)), 431),
        (get("").replace("/ ", &format!("/{} ", long(400))), 200),
        (get("").replace("/ ", &format!("/{} ", long(500))), 414),
    ];
    for (request, expected) in table {
        let mut client = Client::connect(address);
        client.send(&request);
        if expected == 200 {
            assert!(client.answer().starts_with("HTTP/1.1 200 "));
            continue;
        }
        let (answer, _) = rest(&mut client);
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{expected}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[test]
fn a_head_that_drips_is_ended_by_its_time_and_a_silent_connection_by_another() {
    let (_worker, address) = start(r#"{"head_time":1000,"idle":2000}"#);
    let [mut dripping, mut silent, mut kept] = std::array::from_fn(|_| Client::connect(address));
    kept.get("/");
    dripping.send("GET / HTTP/1.1\r\nHo");
    let (answer, took) = rest(&mut dripping);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(took >= Duration::from_millis(1000), "{took:?}");
    // Nothing was asked, so nothing is answered.
    assert_eq!(rest(&mut silent).0, "");
    assert_eq!(rest(&mut kept).0, "");
}

#[test]
fn a_body_that_comes_too_slowly_is_ended_and_a_slow_service_is_not() {
    let (_worker, address) = start(r#"{"body_grace":500,"body_rate":1000}"#);
    let mut slow = Client::connect(address);
    slow.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    let mut waiting = Client::connect(address);
    waiting.send("POST /wait?ms=2500 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
    let (answer, _) = rest(&mut slow);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    let (answer, _) = rest(&mut waiting);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_client_that_takes_nothing_is_reset_and_one_that_takes_a_little_is_not() {
    let (worker, address) = start(r#"{"write_stall":1000}"#);
    let mut taking = Client::connect(address);
    taking.send("GET /bytes?n=20000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut stalled = Client::connect(address);
    stalled.send("GET /bytes?n=50000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut bytes = vec![0; 500_000];
    // Far longer in all than the stall may take; each read takes something.
    let begin = Instant::now();
    let mut taken = 0;
    while begin.elapsed() < Duration::from_secs(3) {
        taken += taking.stream.read(&mut bytes[..20_000]).expect("an open connection");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    taken += taking.stream.read_to_end(&mut Vec::new()).expect("a whole answer");
    assert!(taken > 20_000_000, "{taken}");
    // What the kernel holds of it can still be read, then comes the reset.
    let mut all = Vec::new();
    let error = stalled.stream.read_to_end(&mut all).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    assert!(all.len() < 50_000_000);
    drop(worker);
}

#[test]
fn a_connection_ends_after_its_requests_and_says_so() {
    let (_worker, address) = start(r#"{"requests":3}"#);
    let mut client = Client::connect(address);
    for _ in 0..2 {
        assert!(!client.get("/").contains("connection: close"));
    }
    client.send(&get("").repeat(3));
    let (answer, _) = rest(&mut client);
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 1, "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
}

#[test]
fn an_address_has_its_number_of_connections() {
    let (_worker, address) = start(r#"{"per_address":3}"#);
    let mut clients: Vec<_> = (0..3).map(|_| Client::connect(address)).collect();
    clients.iter_mut().for_each(|client| drop(client.get("/")));
    let mut fourth = Client::connect(address);
    fourth.send(&get(""));
    let (answer, _) = rest(&mut fourth);
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("too many connections from this address"),
        "{answer}"
    );
    drop(clients.pop());
    // The place is free once the worker has seen the end of the third.
    let begin = Instant::now();
    while !ask(address, "GET", "/").starts_with("HTTP/1.1 200 ") {
        assert!(begin.elapsed() < PATIENCE, "the place of a closed connection stays taken");
    }
}

#[test]
fn a_worker_at_its_limit_takes_none_and_its_sibling_does() {
    let (socket, address) = listener();
    let limited = Start::on(&[&socket]).answers().variable("EVERCREW_HTTP", r#"{"connections":2}"#).ready();
    let mut clients: Vec<_> = (0..2).map(|_| Client::connect(address)).collect();
    clients.iter_mut().for_each(|client| drop(client.get("/")));
    let mut third = Client::connect(address);
    third.send(&get(""));
    third.stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a socket option");
    let error = third.stream.read(&mut [0]).expect_err("it waits in the queue");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    third.stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    let sibling = Start::on(&[&socket]).answers().ready();
    let answer = third.answer();
    assert!(answer.ends_with(&format!("\r\n\r\n{}\n", sibling.pid())), "{answer}");
    for _ in 0..20 {
        assert!(ask(address, "GET", "/").ends_with(&format!("\r\n\r\n{}\n", sibling.pid())));
    }
    drop(limited);
}

#[test]
fn requests_are_written_down_except_those_about_health() {
    let (socket, address) = listener();
    let (reader, writer) = evercrew_sys::pipe::pair().expect("a pipe");
    let http = r#"{"access_log":"{method} {target} {status} {bytes} {user_agent}"}"#;
    let mut start = Start::on(&[&socket]).answers().variable("EVERCREW_HTTP", http);
    start.output = Some(writer);
    let mut worker = start.ready();
    let mut client = Client::connect(address);
    client.get("/healthz");
    client.send("GET /bytes?n=5 HTTP/1.1\r\nHost: a\r\nUser-Agent: a\"b\r\n\r\n");
    client.answer();
    client.get("/other");
    worker.terminate();
    drop(client);
    assert_eq!(worker.end(), Status::Code(0));
    let mut lines = BufReader::new(File::from(reader)).lines().map(|line| line.expect("text"));
    assert_eq!(lines.next().as_deref(), Some("GET /bytes?n=5 200 5 a\\\"b"));
    assert!(lines.next().is_some_and(|line| line.starts_with("GET /other 200 ")));
    assert_eq!(lines.next(), None);
}

#[test]
fn a_log_that_nobody_reads_stops_no_request() {
    let (socket, address) = listener();
    let (reader, writer) = evercrew_sys::pipe::pair().expect("a pipe");
    let mut start = Start::on(&[&socket]).answers().variable("EVERCREW_HTTP", r#"{"access_log":"json"}"#);
    start.output = Some(writer);
    let _worker = start.ready();
    let mut client = Client::connect(address);
    let agent = "a".repeat(2000);
    // More than pipe and queue hold together.
    for _ in 0..900 {
        client.send(&get(&format!("User-Agent: {agent}\r\n")));
        assert!(client.answer().starts_with("HTTP/1.1 200 "));
    }
    drop(reader);
}

#[test]
fn limits_that_are_none_end_the_start() {
    let (socket, _) = listener();
    for wrong in ["{", r#"{"access_log":"{nothing}"}"#] {
        let mut worker = Start::on(&[&socket]).variable("EVERCREW_HTTP", wrong).start();
        assert_eq!(worker.end(), Status::Code(78));
        assert!(worker.line().contains("EVERCREW_HTTP"));
    }
}

#[test]
fn an_early_refusal_arrives_though_the_client_goes_on_sending() {
    let (_worker, address) = start(r#"{"body_size":1000}"#);
    for _ in 0..5 {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.write_all(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n").expect("it reads");
        stream.write_all(&vec![b'a'; 3_000_000]).expect("it reads out what is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a close in good order");
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}
