//! What the worker answers.

use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};

use crate::child::{Start, listener};
use crate::client::{Client, ask};

#[test]
fn each_path_has_its_answer() {
    let (socket, address) = listener();
    let worker = Start::on(&[&socket]).ready();
    let pid = worker.pid();
    let root = ask(address, "GET", "/");
    assert!(root.starts_with("HTTP/1.1 200 OK\r\n"), "{root}");
    assert!(root.ends_with(&format!("\r\n\r\nHello from Evercrew\nworker web.1\npid {pid}\n")), "{root}");
    assert!(ask(address, "GET", "/pid").ends_with(&format!("\r\n\r\n{pid}\n")));
    assert!(ask(address, "GET", "/healthz").ends_with("\r\n\r\nok\n"));
    assert!(ask(address, "GET", "/slow?ms=5").contains("Hello from Evercrew"));
    assert!(ask(address, "GET", "/slow?ms=60001").starts_with("HTTP/1.1 400 "));
    assert!(ask(address, "GET", "/other").starts_with("HTTP/1.1 404 "));
    assert!(ask(address, "POST", "/other").starts_with("HTTP/1.1 404 "));
    let refused = ask(address, "DELETE", "/");
    assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("\r\nallow: GET, HEAD\r\n"), "{refused}");
}

#[test]
fn head_is_get_without_the_body() {
    let (socket, address) = listener();
    let _worker = Start::on(&[&socket]).ready();
    let body = ask(address, "GET", "/").split_once("\r\n\r\n").expect("a head").1.to_owned();
    let head = ask(address, "HEAD", "/");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
}

#[test]
fn a_connection_serves_many_requests_and_pipelined_ones() {
    let (socket, address) = listener();
    let worker = Start::on(&[&socket]).ready();
    let mut client = Client::connect(address);
    for _ in 0..3 {
        assert!(client.get("/pid").ends_with(&format!("\r\n\r\n{}\n", worker.pid())));
    }
    client.send(&"GET /pid HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(5));
    for _ in 0..5 {
        assert!(client.answer().starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn too_large_a_head_is_refused() {
    let (socket, address) = listener();
    let _worker = Start::on(&[&socket]).ready();
    let mut client = Client::connect(address);
    client.send(&format!("GET / HTTP/1.1\r\nHost: localhost\r\nA: {}\r\n\r\n", "a".repeat(70 * 1024)));
    let answer = client.rest().expect("a close in good order");
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[test]
fn an_early_answer_arrives_although_its_request_was_not_read() {
    let (socket, address) = listener();
    let _worker = Start::on(&[&socket]).ready();
    let body = "x".repeat(256 * 1024);
    for _ in 0..20 {
        let mut client = Client::connect(address);
        let length = body.len();
        client.send(&format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        // A close with unread input would be a reset, which may overtake the answer.
        let answer = client.rest().expect("a close in good order");
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.ends_with("only GET and HEAD\n"), "{answer}");
    }
}

#[test]
fn every_inherited_listener_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("web.sock");
    let unix = UnixListener::bind(&path).expect("a socket file");
    let (tcp, address) = listener();
    let worker = match TcpListener::bind("[::1]:0") {
        Ok(v6) => {
            let worker = Start::on(&[&tcp, &unix, &v6]).ready();
            assert!(ask(v6.local_addr().expect("its address"), "GET", "/").contains("Hello"));
            worker
        }
        Err(_) => Start::on(&[&tcp, &unix]).ready(),
    };
    let expected = format!("\r\n\r\n{}\n", worker.pid());
    assert!(ask(address, "GET", "/pid").ends_with(&expected));
    let mut client = Client { stream: UnixStream::connect(&path).expect("it listens") };
    assert!(client.get("/pid").ends_with(&expected));
}
