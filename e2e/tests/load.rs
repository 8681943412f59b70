//! Own workers under load, while everything around them is killed and changed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::free_port;
use evercrew_e2e::{Engine, Events, volume};
use evercrew_load::{Builder, Fault, Load, LoadThread, Report};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);
/// Every load ends by itself, should its test hang.
const LONGEST: Duration = Duration::from_secs(600);
/// Connections that are kept, and connections for one request each.
const LANES: (usize, usize) = (64, 16);

/// Four workers of the built-in service with an engine around them.
struct Service {
    engine: Engine,
    events: Events,
    supervisor: Process,
    port: u16,
}

impl Service {
    fn up() -> Self {
        let port = free_port();
        let engine = Engine::up(
            EVERCREW,
            &format!(
                "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\nbuiltin = \"hello\"\n\
                 listen = [\"web\"]\nworkers = 4\nrollout = {{ settle = \"100ms\" }}\nstart_limit = false\n\
                 backoff = {{ min = \"0s\", max = \"0s\", stable = \"0s\" }}\n"
            ),
        );
        let (events, supervisor) = (engine.events(1), engine.supervisor());
        Self { engine, events, supervisor, port }
    }

    fn describe(&self) -> Builder {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        Load::builder(address).expect_prefix("Hello from Evercrew\n").pids()
    }

    /// Kept and new connections, so many requests a second that workers are busy and none is late.
    fn load(&self) -> LoadThread {
        let load = self.describe().rate(1500.0).keep_alive(LANES.0).fresh(LANES.1).duration(LONGEST);
        let load = load.start_thread().expect("start the load");
        assert!(load.wait_answers(500, SOON), "nobody answers\n{}", load.report());
        load
    }

    /// Requests that are under way whenever something happens: they take longer than the quickest change.
    fn slow_load(&self) -> LoadThread {
        let load = self.describe().path("/slow?ms=300").keep_alive(8).fresh(8).duration(LONGEST);
        load.start_thread().expect("start the slow load")
    }

    /// The pids of workers that are ready; the last ones of a change may be draining.
    fn ready(&self) -> Vec<u32> {
        let workers = self.engine.workers("web");
        workers.iter().filter(|worker| worker.state == "ready").filter_map(|worker| worker.pid).collect()
    }

    /// Ends it: the supervisor is the one that was started, and it ends well.
    fn down(mut self) {
        assert!(self.supervisor.lives());
        assert_eq!(self.engine.status()["supervisor"]["pid"], self.supervisor.pid);
        assert_eq!(self.engine.down(), 0);
        let left = self.engine.processes().into_iter().filter_map(Process::try_open);
        let left: Vec<String> = left.map(|process| process.title()).collect();
        assert!(left.is_empty(), "left behind: {left:#?}");
    }
}

/// Waits until each of these processes has answered.
pub(crate) fn all_answer(load: &LoadThread, workers: &[u32]) {
    let all = load.wait_until(SOON, |report| workers.iter().all(|pid| report.servers.contains_key(pid)));
    assert!(all, "not all of {workers:?} answered\n{}", load.report());
}

/// Every request was answered in full by one of these processes, and no connection ended unannounced.
fn perfect(report: &Report, workers: &BTreeSet<u32>) {
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.idle_closes + report.idle_resets, 0, "connections ended unannounced\n{report}");
    assert!(report.servers.keys().all(|pid| workers.contains(pid)), "not only {workers:?} answered\n{report}");
    assert!(report.largest_gap < Duration::from_secs(1), "{report}");
    println!("{report}");
}

#[test]
fn a_manager_killed_every_half_second_costs_no_request() {
    let mut service = Service::up();
    let workers = service.ready();
    let load = service.load();
    let until = Instant::now() + Duration::from_secs(volume(60) as u64);
    let mut kills = 0;
    while Instant::now() < until {
        let next = Instant::now() + Duration::from_millis(500);
        service.engine.manager().signal(Signal::Kill);
        kills += 1;
        service.events.drain_until(next);
    }
    assert!(kills >= 4, "{kills} kills");
    let generation = kills + 1;
    service.events.wait("the last takeover", SOON, |event| {
        event["kind"] == "engine.manager-started" && event["generation"] == generation
    });
    assert_eq!(service.ready(), workers, "a worker was touched");
    assert!(service.engine.workers("web").iter().all(|worker| worker.restarts == 0));
    all_answer(&load, &workers);
    perfect(&load.stop(), &workers.into_iter().collect());
    println!("{kills} managers killed");
    service.down();
}

#[test]
fn rollouts_cost_no_request() {
    let service = Service::up();
    let mut workers: BTreeSet<u32> = service.ready().into_iter().collect();
    let (load, slow) = (service.load(), service.slow_load());
    for round in 1..=volume(80) {
        service.engine.ok(&["restart", "web"]);
        let ready = service.ready();
        assert!(ready.iter().all(|pid| !workers.contains(pid)), "round {round}: {ready:?} among {workers:?}");
        assert_eq!(ready.len(), 4, "round {round}");
        all_answer(&load, &ready);
        workers.extend(ready);
    }
    perfect(&load.stop(), &workers);
    perfect(&slow.stop(), &workers);
    service.down();
}

#[test]
fn scaling_up_and_down_costs_no_request() {
    let service = Service::up();
    let mut workers: BTreeSet<u32> = service.ready().into_iter().collect();
    let (load, slow) = (service.load(), service.slow_load());
    for wanted in [8, 2, 4].repeat(volume(150)) {
        service.engine.ok(&["scale", &format!("web={wanted}")]);
        let ready = service.ready();
        assert_eq!((ready.len(), service.engine.pids("web").len()), (wanted, wanted), "none is left draining");
        all_answer(&load, &ready);
        workers.extend(ready);
    }
    perfect(&load.stop(), &workers);
    perfect(&slow.stop(), &workers);
    service.down();
}

/// A TCP socket with this local port, as the kernel's table shows it.
struct Socket {
    listens: bool,
    /// Of a listener: the length of its queue.
    unread: usize,
    inode: String,
}

fn sockets(port: u16) -> Vec<Socket> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
    let local = format!(":{port:04X}");
    // Thousands of others are there after a while; only few are worth taking apart.
    let rows = table.lines().filter(|line| line.contains(&local)).map(|line| line.split_whitespace().collect());
    let ours = rows.filter(|row: &Vec<&str>| row.len() > 9 && row[1].ends_with(&local));
    let socket = |row: Vec<&str>| {
        let unread = row[4].split_once(':').and_then(|(_, unread)| usize::from_str_radix(unread, 16).ok());
        Socket { listens: row[3] == "0A", unread: unread.expect("a count"), inode: row[9].to_owned() }
    };
    ours.map(socket).collect()
}

/// How many accepted connections of this port a process holds.
pub(crate) fn accepted(process: &Process, port: u16) -> usize {
    let ours = sockets(port).into_iter().filter(|socket| !socket.listens);
    let ours: BTreeSet<String> = ours.map(|socket| format!("socket:[{}]", socket.inode)).collect();
    let held = std::fs::read_dir(format!("/proc/{}/fd", process.pid)).expect("its descriptors");
    let held = held.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    held.filter(|link| ours.contains(&*link.to_string_lossy())).count()
}

/// Stops a process where it stands, so that what it holds can be counted.
pub(crate) fn freeze(process: &Process) {
    process.signal(Signal::Stop);
    assert!(process.stopped_within(SOON), "process {} runs on", process.pid);
}

#[test]
fn a_killed_worker_takes_only_the_connections_with_it_that_it_had_accepted() {
    let mut service = Service::up();
    let mut workers = service.ready();
    let load = service.load();
    let (mut lost, kills) = (0, volume(120));
    for round in 0..kills {
        let slot = round % 4;
        let name = format!("web.{}", slot + 1);
        let worker = Process::open(workers[slot]);
        freeze(&worker);
        lost += accepted(&worker, service.port) as u64;
        worker.signal(Signal::Kill);
        let pid = u64::from(worker.pid);
        service.events.wait("its end", SOON, |event| event["kind"] == "worker.exit" && event["pid"] == pid);
        service.events.worker("worker.ready", &name, SOON);
        workers = service.ready();
        assert_eq!(workers.len(), 4);
        all_answer(&load, &workers);
    }
    let report = load.stop();
    let cut = [Fault::Reset, Fault::ResetMidway, Fault::Closed, Fault::Short];
    let cut: u64 = cut.iter().map(|fault| report.count(*fault)).sum();
    assert_eq!(report.failed(), cut, "refused, wrong or late beside what was cut\n{report}");
    // A kept connection that ended between two requests was cut as well, and cost nothing.
    let ended = cut + report.idle_closes + report.idle_resets;
    assert!(ended <= lost, "{ended} connections ended, the workers had accepted {lost}\n{report}");
    assert!(ended > 0, "a worker that is killed takes its connections with it\n{report}");
    println!("{kills} workers killed with {lost} connections: {cut} requests failed\n{report}");
    service.down();
}

#[test]
fn the_queue_of_the_listener_survives_the_death_of_every_worker() {
    const QUEUED: usize = 200;
    let mut service = Service::up();
    let workers: Vec<Process> = service.ready().into_iter().map(Process::open).collect();
    workers.iter().for_each(freeze);
    let load = service.describe().fresh(QUEUED).requests(QUEUED as u64).duration(SOON).timeout(SOON);
    let load = load.start_thread().expect("start the load");
    assert!(queued_within(service.port, QUEUED, SOON), "the queue does not fill\n{}", load.report());
    for worker in &workers {
        assert_eq!(accepted(worker, service.port), 0);
        worker.signal(Signal::Kill);
    }
    let report = load.finish();
    assert_eq!((report.sent, report.ok, report.failed()), (QUEUED as u64, QUEUED as u64, 0), "{report}");
    assert!(workers.iter().all(|worker| !report.servers.contains_key(&worker.pid)), "{report}");
    for slot in 1..=4 {
        service.events.worker("worker.exit", &format!("web.{slot}"), SOON);
    }
    service.down();
}

/// Waits until so many connections are in the queue of the listener at this port. Nothing tells, so it looks.
fn queued_within(port: u16, count: usize, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    let queued = || sockets(port).iter().filter(|socket| socket.listens).map(|socket| socket.unread).sum::<usize>();
    while queued() < count {
        if Instant::now() > until {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// Each after its own number of requests, its replacement first, and nobody is cut off.
#[test]
fn workers_that_are_recycled_for_their_requests_cost_no_request() {
    let port = free_port();
    let mut engine = Engine::up(
        EVERCREW,
        &format!(
            "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\nbuiltin = \"hello\"\nlisten = [\"web\"]\n\
             workers = 4\nrecycle = {{ requests = 100 }}\nrollout = {{ settle = \"0s\" }}\n"
        ),
    );
    let mut events = engine.events(1);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let load = Load::builder(address).expect_prefix("Hello from Evercrew\n").pids().rate(500.0);
    let load = load.keep_alive(8).fresh(8).duration(LONGEST).start_thread().expect("start the load");
    for _ in 0..8 {
        let left = events.wait("one is replaced", SOON, |event| event["kind"] == "worker.draining");
        assert_eq!(left["reason"], "recycle");
    }
    let report = load.stop();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.idle_closes + report.idle_resets, 0, "connections ended unannounced\n{report}");
    for worker in engine.workers("web") {
        assert_eq!(worker.restarts, 0, "it was planned");
    }
    assert_eq!(engine.down(), 0);
}
