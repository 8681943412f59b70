use super::super::head::Limits;
use super::super::refusal::Refusal;
use super::*;

const LIMITS: Limits = Limits { size: 1024, target: 200, count: 5 };

/// Shows `bytes` in pieces of these sizes, again and again; what passed, and why nothing more did.
fn pass(bytes: &[u8], pieces: &[usize]) -> (Vec<u8>, Option<Refused>, u32) {
    let mut gate = Gate::new(LIMITS, Some(1000));
    let (mut passed, mut pending, mut rest) = (Vec::new(), Vec::new(), bytes);
    for size in pieces.iter().cycle() {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        rest = after;
        pending.extend_from_slice(piece);
        let step = gate.admit(&pending);
        passed.extend(pending.drain(..step.admitted));
        if step.refused.is_some() || rest.is_empty() {
            return (passed, step.refused, gate.heads());
        }
    }
    unreachable!("it has pieces");
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn any_pieces_pass_alike() {
    let body = "5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n";
    let sized = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n1234567";
    let good = format!("{GET}{CHUNKED}{body}{sized}\r\n{GET}");
    let refused = |end: &str| format!("{good}{end}");
    let in_body = |refusal| Some(Refused { refusal, in_body: true });
    let in_head = |refusal| Some(Refused { refusal, in_body: false });
    let streams = [
        (good.clone(), good.len(), None),
        (refused("GET / HTTP/1.1\r\nHost"), good.len(), None),
        (refused("GET / HTTP/1.1\n"), good.len(), in_head(Refusal::Malformed("a line ends without CR LF"))),
        (
            refused(&format!("{CHUNKED}5\r\nhelloX\r\n")),
            good.len() + CHUNKED.len() + 8,
            in_body(Refusal::Malformed("a chunk is longer than its size")),
        ),
        (refused(&format!("{CHUNKED}3e9\r\n")), good.len() + CHUNKED.len(), in_body(Refusal::BodySize)),
        (refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"), good.len(), in_head(Refusal::BodySize)),
    ];
    for (stream, passes, expected) in streams {
        for piece in [1, 2, 3, 7, 16, 61, 4096] {
            let (passed, refused, _) = pass(stream.as_bytes(), &[piece]);
            assert_eq!((passed.len(), refused), (passes, expected), "pieces of {piece}: {stream:?}");
            assert!(stream.as_bytes().starts_with(&passed));
        }
        let (passed, refused, _) = pass(stream.as_bytes(), &[1, 13, 2, 40, 5]);
        assert_eq!((passed.len(), refused), (passes, expected), "{stream:?}");
    }
}

#[test]
fn nothing_passes_behind_a_last_request() {
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut gate = Gate::new(LIMITS, None);
    let stream = format!("{GET}{last}{GET}");
    assert_eq!(gate.admit(stream.as_bytes()), Step { admitted: GET.len() + last.len(), refused: None });
    assert!(gate.is_finished());
    assert_eq!((gate.heads(), gate.admit(GET.as_bytes())), (2, Step { admitted: 0, refused: None }));
}

#[test]
fn malformed_chunks_are_refused() {
    for body in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "+5\r\n",
        "0x5\r\n",
        " 5\r\n",
        "5 \r\n",
        "5\n",
        "5\r",
        "5;\0\r\n",
        "fffffffffffffffff\r\n",
        "0\r\nT : x\r\n",
        "0\r\n fold\r\n",
        "0\r\nT: x\n",
        &format!("5;{}", "a".repeat(300)),
    ] {
        let stream = format!("{CHUNKED}{body}\r\n\r\n");
        let (_, refused, _) = pass(stream.as_bytes(), &[4096]);
        let refused = refused.unwrap_or_else(|| panic!("{body:?} passes"));
        assert!(refused.in_body && matches!(refused.refusal, Refusal::Malformed(_)), "{body:?}: {refused:?}");
    }
}
