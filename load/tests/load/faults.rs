//! Each fault, made on purpose, is counted exactly once and in its class.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::server::Act::{Answer, AnswerAfter, Ignore, ResetUnread, Say, SayAndClose, SayAndReset};
use crate::server::{ANNOUNCED, Act, BODY, Server, start_unix};
use evercrew_load::{Builder, Connection, Fault, Load, Report, Target};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};

/// Long enough for everything that is expected to come.
const PATIENCE: Duration = Duration::from_secs(30);

fn load(target: impl Into<Target>) -> Builder {
    Load::builder(target).expect_body(BODY).timeout(PATIENCE).late(PATIENCE).duration(2 * PATIENCE)
}

fn run(builder: Builder) -> Report {
    builder.start_thread().expect("a load").finish()
}

/// Plays one connection for each entry and sends as many requests as there are acts, over kept connections.
fn play(script: &[&[Act]]) -> Report {
    let server = Server::start(script.iter().map(|acts| acts.to_vec()).collect());
    let count = script.iter().map(|acts| acts.len() as u64).sum();
    let report = run(load(server.address).keep_alive(1).requests(count));
    server.finish();
    assert_eq!(report.sent, count, "{report}");
    assert_eq!(report.ok + report.failed(), count, "{report}");
    report
}

/// The classes of a report, as text.
fn classes(report: &Report) -> String {
    let classes: Vec<_> = report.failures.iter().map(|(failure, count)| format!("{failure} {count}")).collect();
    classes.join(", ")
}

#[test]
fn right_answers_are_no_failures() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n3\r\nlo\n\r\n0\r\n\r\n";
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
    let report = play(&[&[Answer, Say(chunked), Say(interim), Answer]]);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.ok, report.connections, report.late), (4, 1, 0));
    let to_the_end = "HTTP/1.1 200 OK\r\n\r\nhello\n";
    assert!(play(&[&[SayAndClose(to_the_end)]]).is_clean());
}

#[test]
fn an_announced_close_is_no_failure() {
    let report = play(&[&[Answer, ANNOUNCED], &[ANNOUNCED], &[Answer]]);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.announced_closes, report.connections, report.idle_closes), (2, 3, 0));
}

#[test]
fn resets_are_told_apart() {
    let part = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhel";
    assert_eq!(classes(&play(&[&[SayAndReset("")]])), "reset/new 1");
    assert_eq!(classes(&play(&[&[ResetUnread]])), "reset/new 1");
    assert_eq!(classes(&play(&[&[SayAndReset(part)]])), "reset_midway/new 1");
    assert_eq!(classes(&play(&[&[SayAndReset("HTTP/1.1 2")]])), "reset_midway/new 1");
    assert_eq!(classes(&play(&[&[Answer, SayAndReset("")]])), "reset/reused 1");
    assert_eq!(classes(&play(&[&[Answer, SayAndReset(part)]])), "reset_midway/reused 1");
}

#[test]
fn early_ends_are_told_apart() {
    let part = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello";
    let chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n";
    assert_eq!(classes(&play(&[&[SayAndClose("")]])), "closed/new 1");
    assert_eq!(classes(&play(&[&[Answer, SayAndClose("")]])), "closed/reused 1");
    assert_eq!(classes(&play(&[&[SayAndClose(part)]])), "short/new 1");
    assert_eq!(classes(&play(&[&[SayAndClose(chunk)]])), "short/new 1");
    assert_eq!(classes(&play(&[&[Answer, SayAndClose("HTTP/1.1 200 OK\r\n")]])), "short/reused 1");
}

#[test]
fn wrong_answers_are_wrong() {
    for wrong in [
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhellO\n",
        "HTTP/1.1 503 No\r\nContent-Length: 6\r\n\r\nhello\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\nmore",
        "HTTP/1.1 200 OK\nContent-Length: 6\n\nhello\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "220 mail.example ESMTP\r\n",
    ] {
        assert_eq!(classes(&play(&[&[SayAndClose(wrong)]])), "wrong/new 1", "{wrong:?}");
        assert_eq!(classes(&play(&[&[Answer, SayAndClose(wrong)]])), "wrong/reused 1", "{wrong:?}");
    }
}

#[test]
fn a_silent_server_is_a_timeout() {
    let server = Server::start(vec![vec![Answer, Ignore], vec![Answer]]);
    let report = run(load(server.address).requests(3).timeout(Duration::from_secs(1)));
    server.finish();
    assert_eq!(classes(&report), "timeout/reused 1", "{report}");
    assert_eq!(report.ok, 2);
    assert!(report.largest_gap >= Duration::from_secs(1), "{report}");
}

#[test]
fn a_late_answer_is_counted_apart() {
    let server = Server::start(vec![vec![Answer, AnswerAfter(Duration::from_millis(1500)), Answer]]);
    let report = run(load(server.address).requests(3).late(Duration::from_secs(1)));
    server.finish();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.ok, report.late), (3, 1), "{report}");
    assert!(report.latency.max >= Duration::from_millis(1500), "{report}");
}

#[test]
fn the_open_loop_counts_from_the_intended_moment() {
    let delay = Duration::from_millis(500);
    let mut acts = vec![AnswerAfter(delay)];
    acts.resize(40, Answer);
    let server = Server::start(vec![acts]);
    let report = run(load(server.address).rate(100.0).requests(40).keep_alive(1));
    server.finish();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.sent, report.unsent), (40, 0));
    // All forty fell due within 400 ms, while the only connection waited for 500: none was early, most were late.
    assert!(report.latency.p50 >= Duration::from_millis(100), "{report}");
    assert!(report.latency.max >= delay && report.largest_gap >= delay, "{report}");
    assert!(report.service.p50 < report.latency.p50, "{report}");
}

/// A bound port that nobody listens on; it is kept from being given to others.
fn bound_only() -> (OwnedFd, SocketAddr) {
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&fd, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
    let address = getsockname(&fd).expect("its name").try_into().expect("an internet address");
    (fd, address)
}

#[test]
fn refusals_are_counted_and_do_not_spin() {
    let (_port, address) = bound_only();
    let report = run(load(address).requests(5));
    assert_eq!(classes(&report), "refused/new 5", "{report}");
    assert_eq!((report.ok, report.connections), (0, 0));
    assert!(!report.is_clean());
    assert!(report.elapsed >= Duration::from_millis(50), "{report}");
    assert_eq!(report.examples.len(), 5);
    let folder = tempfile::tempdir().expect("a folder");
    let report = run(load(Target::Unix(folder.path().join("nobody.sock"))).requests(1));
    assert_eq!(classes(&report), "refused/new 1", "{report}");
}

#[test]
fn a_full_queue_is_a_connect_timeout() {
    let impatient = |target: Target| load(target).requests(1).connect_timeout(Duration::from_millis(300));
    let (port, address) = bound_only();
    listen(&port, 0).expect("it listens");
    let _in_the_queue = TcpStream::connect(address).expect("room for one");
    assert_eq!(classes(&run(impatient(address.into()))), "connect_timeout/new 1");

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("full.sock");
    let fd = socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
    bind(&fd, &rustix::net::SocketAddrUnix::new(&path).expect("a short path")).expect("a socket file");
    listen(&fd, 0).expect("it listens");
    let _in_the_queue = UnixStream::connect(&path).expect("room for one");
    assert_eq!(classes(&run(impatient(Target::Unix(path)))), "connect_timeout/new 1");
}

#[test]
fn every_request_of_a_mixture_has_one_class() {
    let part = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhel";
    let script = [ANNOUNCED, SayAndReset(""), SayAndReset(part), SayAndClose(""), SayAndClose(part), ANNOUNCED];
    let rounds = 20;
    let connections: Vec<_> = script.iter().cycle().take(script.len() * rounds).map(|act| vec![*act]).collect();
    let count = connections.len() as u64;
    let server = Server::start(connections);
    let report = run(load(server.address).fresh(1).requests(count));
    server.finish();
    assert_eq!(report.sent, count);
    assert_eq!(report.ok, 40, "{report}");
    assert_eq!(classes(&report), "reset/new 20, reset_midway/new 20, closed/new 20, short/new 20");
    assert_eq!(report.count(Fault::Short), 20);
    assert_eq!(report.count_on(Fault::Short, Connection::Reused), 0);
    assert_eq!(report.connections, count);
    let json = report.to_json();
    assert_eq!(json["failures"]["reset_midway/new"], 20, "{json}");
    assert_eq!(json["ok"], 40);
}

#[test]
fn unix_sockets_have_the_same_classes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("web.sock");
    let server = start_unix(&path, vec![vec![Answer, SayAndClose("")], vec![ResetUnread], vec![Answer]]);
    let report = run(load(Target::Unix(path)).requests(4));
    server.join().expect("the script was played");
    assert_eq!(report.ok, 2, "{report}");
    // A unix socket that is closed with unread input resets; one without closes.
    assert_eq!(report.count_on(Fault::Closed, Connection::Reused), 1, "{report}");
    assert_eq!(report.failed(), 2, "{report}");
}

#[test]
fn the_other_internet_works_too() {
    let address = (Ipv6Addr::LOCALHOST, 0).into();
    let Ok(server) = Server::on(address, vec![vec![Answer, Answer]]) else {
        println!("SKIP no IPv6 loopback");
        return;
    };
    let report = run(load(server.address).requests(2));
    server.finish();
    assert!(report.is_clean(), "{report}");
}
