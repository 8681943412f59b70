//! What the worker tells whoever started it.

use std::fs::File;

use evercrew_core::Signal;
use evercrew_sys::process::Status;

use crate::child::{Start, listener};

#[test]
fn it_is_ready_beats_and_says_that_it_stops() {
    let (socket, _) = listener();
    let mut worker = Start::on(&[&socket]).variable("WATCHDOG_USEC", "40000").ready();
    for _ in 0..5 {
        worker.message("WATCHDOG", |message| message.watchdog);
    }
    worker.terminate();
    assert_eq!(worker.end(), Status::Code(0));
    assert_eq!(worker.line(), "");
}

#[test]
fn a_watchdog_of_another_process_is_not_fed() {
    let (socket, address) = listener();
    let mut worker = Start::on(&[&socket]).variable("WATCHDOG_USEC", "2000").variable("WATCHDOG_PID", "1").ready();
    // Fifty beats would fit in there.
    crate::client::ask(address, "GET", "/slow?ms=100");
    worker.signal(Signal::Term);
    worker.message("STOPPING first", |message| {
        assert!(!message.watchdog);
        message.stopping
    });
    assert_eq!(worker.end(), Status::Code(0));
}

#[test]
fn without_a_listener_it_says_why_and_ends_with_78() {
    let (socket, _) = listener();
    let mut untold = Start { told: false, ..Start::on(&[&socket]) }.start();
    assert_eq!(untold.end(), Status::Code(78));
    assert!(untold.line().contains("LISTEN_PID"));

    let mut empty = Start::on(&[]).start();
    assert_eq!(empty.end(), Status::Code(78));
    assert!(empty.line().contains("LISTEN_FDS is not set, or 0"));

    let file = File::open("/dev/null").expect("it is always there");
    let mut other = Start::on(&[&file]).start();
    assert_eq!(other.end(), Status::Code(78));
    assert!(other.line().contains("descriptor 3 is no listening socket"));
}
