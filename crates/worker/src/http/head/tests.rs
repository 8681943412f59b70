use super::super::refusal::Refusal;
use super::*;

const LIMITS: Limits = Limits { size: 1024, target: 200, count: 5 };

fn head(text: &str) -> Result<Option<(Framing, bool)>, Refusal> {
    Ok(Reader::default().read(text.as_bytes(), LIMITS)?.map(|head| {
        assert_eq!(head.length, text.len(), "{text:?}");
        (head.framing, head.last)
    }))
}

fn fields(fields: &str) -> Result<Option<(Framing, bool)>, Refusal> {
    head(&format!("POST /a?b HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

#[test]
fn framing_and_the_end_of_a_connection_are_read() {
    let nothing = Framing::Length(0);
    assert_eq!(fields(""), Ok(Some((nothing, false))));
    assert_eq!(fields("content-LENGTH:  12 \r\n"), Ok(Some((Framing::Length(12), false))));
    assert_eq!(fields("Transfer-Encoding: Chunked\r\n"), Ok(Some((Framing::Chunked, false))));
    assert_eq!(fields("Connection: a, Close\r\n"), Ok(Some((nothing, true))));
    assert_eq!(fields("Expect: 100-continue\r\n"), Ok(Some((nothing, false))));
    assert_eq!(fields("X: \u{e9}\tb\r\n"), Ok(Some((nothing, false))));
    assert_eq!(head("GET / HTTP/1.0\r\n\r\n"), Ok(Some((nothing, true))));
    assert_eq!(head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), Ok(Some((nothing, false))));
    assert_eq!(head("\r\n\r\nGET http://a:1/ HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Some((nothing, false))));
    assert_eq!(head("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n"), Ok(Some((nothing, false))));
    assert_eq!(head("GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
}

#[test]
fn what_two_readers_may_read_differently_is_malformed() {
    for text in [
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Host: b\r\n",
        "A: b\r\n folded\r\n",
        "A: b\n",
        "A: b\rc\r\n",
        "A: b\0c\r\n",
        "A b\r\n",
        ": b\r\n",
        "A\u{e9}: b\r\n",
    ] {
        assert!(matches!(fields(text), Err(Refusal::Malformed(_))), "{text:?}: {:?}", fields(text));
    }
    for text in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n A: b\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert!(matches!(head(text), Err(Refusal::Malformed(_))), "{text:?}: {:?}", head(text));
    }
}

#[test]
fn every_other_refusal_has_its_own_kind() {
    assert_eq!(head("GET / HTTP/2.0\r\n"), Err(Refusal::Version));
    assert_eq!(head("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Err(Refusal::Version));
    assert_eq!(fields("Transfer-Encoding: gzip, chunked\r\n"), Err(Refusal::Coding));
    assert_eq!(fields("Expect: 200-ok\r\n"), Err(Refusal::Expectation));
    assert_eq!(fields("A: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n"), Err(Refusal::HeaderCount));
    let long = |length| "a".repeat(length);
    assert_eq!(fields(&format!("A: {}\r\n", long(1000))), Err(Refusal::HeadSize));
    assert_eq!(head(&format!("GET / HTTP/1.1\r\nA: {}", long(1100))), Err(Refusal::HeadSize));
    assert_eq!(head(&format!("GET /{} HTTP/1.1\r\n", long(200))), Err(Refusal::TargetSize));
    assert_eq!(head(&format!("GET /{}", long(300))), Err(Refusal::TargetSize));
    assert_eq!(head(&"\r\n".repeat(600)), Err(Refusal::TargetSize));
}

#[test]
fn limits_are_exact() {
    let rest = "GET / HTTP/1.1\r\nHost: a\r\nA: \r\n\r\n".len();
    let sized = |size: usize| head(&format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "a".repeat(size - rest)));
    assert!(sized(1024).is_ok());
    assert_eq!(sized(1025), Err(Refusal::HeadSize));
    let line = |length: usize| head(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length - 14)));
    assert!(line(200).is_ok());
    assert_eq!(line(201), Err(Refusal::TargetSize));
}
