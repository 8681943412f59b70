//! A load starts, can be waited for, and always ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use crate::server::Act::Answer;
use crate::server::{BODY, Server};
use evercrew_load::{Load, LoadError};

const PATIENCE: Duration = Duration::from_secs(60);

/// Answers each connection once with a body that names a pid, for as long as the test process lives.
fn fresh_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for (number, connection) in listener.incoming().enumerate() {
            let mut connection = connection.expect("a connection");
            // One read is the whole request: it is far smaller than a segment.
            let _ = connection.read(&mut [0; 1024]);
            let body = format!("hello\npid {}\n", 100 + number % 2);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = connection.write_all((head + &body).as_bytes());
        }
    });
    address
}

#[test]
fn a_thread_is_waited_for_and_stopped() {
    let load = Load::builder(fresh_server()).fresh(2).keep_alive(2).duration(PATIENCE).pids().start_thread();
    let load = load.expect("a load");
    assert!(load.wait_answers(50, PATIENCE));
    assert!(load.wait_until(PATIENCE, |report| report.servers.len() == 2));
    assert!(load.report().ok >= 50);
    let report = load.stop();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.servers.keys().copied().collect::<Vec<_>>(), [100, 101]);
    assert_eq!(report.servers.values().map(|server| server.answers).sum::<u64>(), report.ok);
    assert!(report.elapsed < PATIENCE);
}

#[test]
fn a_dropped_thread_sends_no_more() {
    let server = Server::start(vec![vec![Answer; 3]]);
    let load = Load::builder(server.address).rate(1.0).duration(PATIENCE).start_thread().expect("a load");
    assert!(load.wait_answers(1, PATIENCE));
    drop(load);
    // The script expects two more requests and panics at the end of the connection.
    assert!(thread::spawn(move || server.finish()).join().is_err());
}

#[test]
fn waiting_ends_with_the_load() {
    let server = Server::start(vec![vec![Answer, Answer]]);
    let load = Load::builder(server.address).requests(2).expect_body(BODY).start_thread().expect("a load");
    assert!(!load.wait_answers(3, PATIENCE));
    assert_eq!(load.finish().ok, 2);
    server.finish();
}

#[tokio::test]
async fn it_runs_on_the_runtime_of_its_user() {
    let load = Load::builder(fresh_server()).rate(500.0).fresh(4).duration(PATIENCE).start().expect("a load");
    assert!(load.wait_answers(20).await);
    let report = load.stop().await;
    assert!(report.is_clean(), "{report}");
    let limited = Load::builder(fresh_server()).fresh(1).requests(5).start().expect("a load");
    assert!(!limited.wait_answers(6).await);
    assert_eq!(limited.finish().await.ok, 5);
}

#[test]
fn time_ends_it_as_well() {
    let load = Load::builder(fresh_server()).fresh(1).rate(100.0).duration(Duration::from_millis(200));
    let report = load.start_thread().expect("a load").finish();
    assert_eq!((report.sent, report.unsent), (20, 0), "{report}");
}

#[test]
fn a_panicking_check_reaches_its_user() {
    let load = Load::builder(fresh_server()).fresh(1).requests(1).expect(|_| panic!("the check"));
    let load = load.start_thread().expect("a load");
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| load.finish())).is_err());
}

#[test]
fn what_makes_no_load_is_refused() {
    let here = SocketAddr::from(([127, 0, 0, 1], 1));
    let start = |builder: evercrew_load::Builder| builder.start_thread().map(drop);
    let other = SocketAddr::from(([10, 0, 0, 1], 80));
    assert!(matches!(start(Load::builder(other)), Err(LoadError::Remote(address)) if address == other));
    for builder in [
        Load::builder(here).rate(0.0),
        Load::builder(here).rate(f64::NAN),
        Load::builder(here).keep_alive(usize::MAX).fresh(1),
        Load::builder(here).duration(Duration::MAX),
        Load::builder(here).path("no slash"),
        Load::builder(here).path("/a\r\nb"),
        Load::builder(here).header("a b", "c"),
        Load::builder(here).header("a", "b\r\nc: d"),
    ] {
        assert!(matches!(start(builder), Err(LoadError::Settings(_))));
    }
}
