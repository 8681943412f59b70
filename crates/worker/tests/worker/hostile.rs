//! What clients send that mean no good, and what each is told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::child::{PATIENCE, Start, listener};
use crate::client::Client;

/// Sends these bytes and shows everything that comes back until the server closes.
fn tell(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    // The server may have refused it before the last byte.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("a close in good order");
    String::from_utf8(answer).expect("UTF-8")
}

/// A request that a reader of the smuggled bytes would take for one of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// The status of every answer.
fn statuses(answers: &str) -> Vec<u16> {
    let lines = answers.split("HTTP/1.").skip(1).filter_map(|part| part.get(2..5)?.parse().ok());
    lines.collect()
}

/// The head of a POST with these fields.
fn post(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

#[test]
fn each_attempt_has_its_answer() {
    let (socket, address) = listener();
    let _worker = Start::on(&[&socket]).answers().variable("EVERCREW_HTTP", r#"{"body_size":100000}"#).ready();
    let chunked = post("Transfer-Encoding: chunked\r\n");
    let table: Vec<(&str, Vec<u8>, &[u16])> = [
        ("length, then chunks", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n", &[400][..]),
        ("chunks, then length", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n") + "0\r\n\r\n", &[400]),
        ("two lengths", post("Content-Length: 0\r\nContent-Length: 44\r\n"), &[400]),
        ("two equal lengths", post("Content-Length: 0\r\nContent-Length: 0\r\n"), &[400]),
        ("a list of lengths", post("Content-Length: 0, 0\r\n"), &[400]),
        ("a length with a sign", post("Content-Length: +0\r\n"), &[400]),
        ("a length in hexadecimal", post("Content-Length: 0x0\r\n"), &[400]),
        ("a length below zero", post("Content-Length: -1\r\n"), &[400]),
        ("a length beyond all numbers", post("Content-Length: 18446744073709551616\r\n"), &[400]),
        ("a space before the colon", post("Content-Length : 44\r\n"), &[400]),
        ("a tab before the colon", post("Transfer-Encoding\t: chunked\r\n"), &[400]),
        ("a vertical tab in the coding", post("Transfer-Encoding: \x0bchunked\r\n"), &[400]),
        ("an unknown coding", post("Transfer-Encoding: xchunked\r\n"), &[400]),
        ("a coding behind chunked", post("Transfer-Encoding: chunked, gzip\r\n"), &[400]),
        ("a coding before chunked", post("Transfer-Encoding: gzip, chunked\r\n"), &[501]),
        ("chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), &[400]),
        ("chunked and identity", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), &[400]),
        ("chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), &[400]),
        ("a bare line feed", "GET / HTTP/1.1\nHost: a\n\n".to_owned(), &[400]),
        ("one bare line feed", "GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n".to_owned(), &[400]),
        ("a bare carriage return", "GET / HTTP/1.1\r\nHost: a\r\nA: b\rC: d\r\n\r\n".to_owned(), &[400]),
        ("a folded header", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n".to_owned(), &[400]),
        ("a header that begins with a space", "GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_owned(), &[400]),
        ("a zero byte in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n".to_owned(), &[400]),
        ("a zero byte in a name", "GET / HTTP/1.1\r\nHost: a\r\nA\0: b\r\n\r\n".to_owned(), &[400]),
        ("a zero byte in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), &[400]),
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned(), &[400]),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(), &[400]),
        ("a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned(), &[400]),
        ("no host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n".to_owned(), &[200]),
        ("an absolute target", "GET http://b/id HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(), &[200]),
        ("a target that is none", "GET b/id HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), &[400]),
        ("a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), &[400]),
        ("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), &[400]),
        ("a method that is none", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), &[400]),
        ("HTTP/0.9", "GET /\r\n".to_owned(), &[400]),
        ("HTTP/2 without having agreed on it", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), &[505]),
        ("HTTP/3.0", "GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), &[505]),
        ("a version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n".to_owned(), &[400]),
        ("an expectation", post("Expect: a miracle\r\n"), &[417]),
        ("a TLS hello", "\x16\x03\x01\x02\n\n\r\n\r\n".to_owned(), &[400]),
        ("blank lines in front", format!("\r\n\r\n{SMUGGLED}"), &[200]),
        ("too long a body, told beforehand", post("Content-Length: 100001\r\n") + "a", &[413]),
        ("too long a body, in chunks", chunked.replace("POST /", "POST /upload") + "186a1\r\na", &[413]),
    ]
    .into_iter()
    .map(|(what, request, expected)| (what, (request + SMUGGLED).into_bytes(), expected))
    .collect();
    for (what, bytes, expected) in table {
        let answer = tell(address, &bytes);
        let single = expected == [200] && !answer.contains("connection: close") && statuses(&answer) == [200, 200];
        assert!(statuses(&answer) == expected || single, "{what}: {answer}");
        if expected != [200] {
            assert!(answer.contains("\r\nconnection: close\r\n"), "{what}: {answer}");
        }
    }
}

#[test]
fn a_body_whose_chunks_are_wrong_is_refused_where_it_goes_wrong() {
    let (socket, address) = listener();
    let _worker = Start::on(&[&socket]).answers().ready();
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "x\r\n",
        "\r\n",
        "-5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\nhello\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloworld\r\n",
        "5\r\nhello\r\n00000000000000000\r\n\r\n",
        "ffffffffffffffff1\r\nhello",
        "5;a=\0b\r\nhello\r\n",
        "5;a\nb\r\nhello\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\nA: b\n\r\n",
    ] {
        let answer = tell(address, format!("{head}{body}{SMUGGLED}").as_bytes());
        assert_eq!(statuses(&answer), [400], "{body:?}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{body:?}: {answer}");
    }
    let answer = tell(address, format!("{head}5;ext=1\r\nhello\r\n0\r\nA: b\r\n\r\n{SMUGGLED}").as_bytes());
    assert_eq!(statuses(&answer), [200, 200], "{answer}");
    assert!(answer.contains("\r\n\r\n5\n"), "{answer}");
}

#[test]
fn what_was_right_before_is_answered_before_what_is_wrong() {
    let (socket, address) = listener();
    let _worker = Start::on(&[&socket]).answers().ready();
    let good = "GET /wait?ms=50 HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = tell(address, format!("{good}{good}GET / HTTP/1.1\r\n\r\n{SMUGGLED}").as_bytes());
    assert_eq!(statuses(&answer), [200, 200, 400], "{answer}");
}

#[test]
fn the_host_of_an_absolute_target_is_the_one_that_counts() {
    let (socket, address) = listener();
    let _worker = Start::on(&[&socket]).answers().variable("EVERCREW_HTTP", r#"{"request_id":true}"#).ready();
    let mut client = Client::connect(address);
    client.send("GET http://b:1/id HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine-1\r\n\r\n");
    let answer = client.answer();
    assert!(answer.ends_with("\r\n\r\nmine-1 b:1\n") && answer.contains("\r\nx-request-id: mine-1\r\n"), "{answer}");
    client.send("GET /id HTTP/1.1\r\nHost: a\r\nX-Request-Id: \"no good\"\r\n\r\n");
    let answer = client.answer();
    let id = answer.split("x-request-id: ").nth(1).expect("an identity")[..32].to_owned();
    assert!(answer.ends_with(&format!("\r\n\r\n{id} a\n")), "{answer}");
}

#[test]
fn a_head_in_single_bytes_is_read_like_any_other() {
    let (socket, address) = listener();
    let _worker = Start::on(&[&socket]).answers().ready();
    let mut client = Client::connect(address);
    client.stream.set_nodelay(true).expect("a socket option");
    for _ in 0..3 {
        for byte in "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".chars() {
            client.send(&byte.to_string());
        }
        assert!(client.answer().ends_with("\r\n\r\n3\n"));
    }
}

#[test]
fn a_client_that_closed_its_sending_side_has_its_answers() {
    let (socket, address) = listener();
    let _worker = Start::on(&[&socket]).answers().ready();
    for _ in 0..20 {
        assert_eq!(statuses(&tell(address, b"GET /wait?ms=20 HTTP/1.1\r\nHost: a\r\n\r\n")), [200]);
        assert_eq!(statuses(&tell(address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")), [200]);
    }
    // Half a request is none, and half a body has no answer to wait for.
    assert_eq!(tell(address, b"GET / HTTP/1.1\r\nHos"), "");
    tell(address, b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc");
}
