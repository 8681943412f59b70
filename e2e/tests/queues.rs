//! Listeners with several queues of connections (`mode = "reuseport"`): none of them is ever left without a worker.

use std::net::SocketAddr;
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::free_port;
use evercrew_e2e::{Engine, Events};
use evercrew_load::{Fault, Load, Report};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);
const LONGEST: Duration = Duration::from_secs(300);

fn configuration(port: u16, mode: &str, workers: u32) -> String {
    format!(
        "[listen.web]\naddress = \"127.0.0.1:{port}\"\n{mode}\n[service.web]\nbuiltin = \"hello\"\nlisten = [\"web\"]\n\
         workers = {workers}\nrollout = {{ settle = \"50ms\" }}\nstart_limit = false\n\
         backoff = {{ min = \"0s\", max = \"0s\", stable = \"0s\" }}\n"
    )
}

const QUEUES: &str = "mode = \"reuseport\"";

/// How many sockets listen on the port.
fn sockets(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
    let listens = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|local| local.ends_with(&format!(":{port:04X}"))) && words.nth(1) == Some("0A")
    };
    table.lines().filter(listens).count()
}

fn load(port: u16) -> evercrew_load::LoadThread {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let builder = Load::builder(address).expect_prefix("Hello from Evercrew\n").pids();
    let load = builder.rate(800.0).keep_alive(8).fresh(24).duration(LONGEST).start_thread().expect("start the load");
    assert!(load.wait_answers(300, SOON), "nobody answers\n{}", load.report());
    load
}

fn waits_for_nobody(report: &Report) {
    assert!(report.is_clean(), "{report}");
    assert!(report.largest_gap < Duration::from_secs(1), "somebody waited in a queue without a worker\n{report}");
}

fn ready(engine: &Engine, events: &mut Events, count: usize) {
    engine.ok(&["wait", "--ready"]);
    events.drain_until(std::time::Instant::now() + Duration::from_millis(200));
    assert_eq!(engine.pids("web").len(), count);
}

#[test]
fn rollouts_and_scalings_down_to_one_cost_no_request_and_nobody_waits() {
    let port = free_port();
    let mut engine = Engine::up(EVERCREW, &configuration(port, QUEUES, 4));
    let mut events = engine.events(1);
    assert_eq!(sockets(port), 4);
    let load = load(port);
    for _ in 0..evercrew_e2e::volume(20) {
        for step in [
            &["restart", "web"][..],
            &["scale", "web=1"],
            &["restart", "web"],
            &["scale", "web=6"],
            &["scale", "web=4"],
        ] {
            engine.ok(step);
        }
    }
    ready(&engine, &mut events, 4);
    assert_eq!(sockets(port), 4, "the queues are the engine's, not the workers'");
    let report = load.stop();
    waits_for_nobody(&report);
    assert_eq!(engine.down(), 0);
}

#[test]
fn what_waits_in_a_queue_outlives_every_worker() {
    let port = free_port();
    let mut engine = Engine::up(EVERCREW, &configuration(port, QUEUES, 2));
    let mut events = engine.events(1);
    let load = load(port);
    for _ in 0..evercrew_e2e::volume(50) {
        for pid in engine.pids("web") {
            Process::open(pid).signal(Signal::Kill);
        }
        engine.manager().signal(Signal::Kill);
        ready(&engine, &mut events, 2);
    }
    let report = load.stop();
    // A killed worker ends what it had accepted; what waited is answered by the next one.
    for fault in [Fault::Refused, Fault::ConnectTimeout, Fault::Timeout, Fault::Wrong] {
        assert_eq!(report.count(fault), 0, "{fault:?}\n{report}");
    }
    assert!(report.largest_gap < Duration::from_secs(5), "{report}");
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_reload_brings_the_queues_on_another_port_and_takes_them_away() {
    let (one, other) = (free_port(), free_port());
    let mut engine = Engine::up(EVERCREW, &configuration(one, "", 2));
    assert_eq!(sockets(one), 1);
    engine.configure(&configuration(other, QUEUES, 2));
    engine.ok(&["reload"]);
    let load = load(other);
    assert_eq!(sockets(other), 4);
    engine.configure(&configuration(other, QUEUES, 3));
    engine.ok(&["reload"]);
    // The address has sockets that share it with nobody but their own kind.
    engine.configure(&configuration(other, "", 3));
    let refused = engine.run(&["reload"]);
    assert_eq!(refused.code, 78, "{}", refused.stderr);
    assert!(refused.stderr.contains("take that listener out with one reload"), "{}", refused.stderr);
    let report = load.stop();
    waits_for_nobody(&report);
    assert_eq!(engine.down(), 0);
    assert_eq!(sockets(other), 0);
}
