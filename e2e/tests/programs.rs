//! Real programs of other languages behind one socket that the engine holds.
//!
//! One trial for all of them. What a program does to a connection that it has accepted is its own affair; that none is
//! refused is the engine's.

use std::net::SocketAddr;
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::{Foreign, free_port, program};
use evercrew_e2e::{Engine, Events};
use evercrew_load::{Fault, Load, LoadThread, Report, Target};

use crate::EVERCREW;

/// Interpreters start slowly on a busy machine.
const SOON: Duration = Duration::from_secs(30);
/// A gentle rate: the programs are not what is measured.
const RATE: f64 = 50.0;
/// Connections at once, and so the most that the end of one worker can hurt.
const LANES: u64 = 4;

/// New connections until it is stopped; who answered is told apart.
fn load(target: impl Into<Target>, prefix: &str) -> LoadThread {
    let load = Load::builder(target).path("/pid").pids().expect_prefix(prefix);
    load.rate(RATE).fresh(LANES as usize).duration(2 * SOON).start_thread().expect("start the load")
}

/// Ends a load during which `ended` workers ended: nothing was refused or wrong, and what failed was accepted by them.
fn none_refused(load: LoadThread, ended: u64, what: &str) {
    let report = load.stop();
    let accepted = [Fault::Reset, Fault::ResetMidway, Fault::Closed, Fault::Short];
    let cut: u64 = accepted.iter().map(|fault| report.count(*fault)).sum();
    assert_eq!(report.failed(), cut, "{what}: not only accepted connections failed\n{report}");
    assert!(cut <= ended * LANES, "{what}: {cut} connections failed, {ended} workers ended\n{report}");
    assert!(report.ok > 0, "{what}: nothing was answered\n{report}");
    println!("{what}: {} answered, {cut} cut by the program's own end", report.ok);
}

/// The process that the engine started, and what it started itself.
fn family(worker: u32) -> Vec<u32> {
    let children = Process::try_open(worker).map(|process| process.children()).unwrap_or_default();
    std::iter::once(worker).chain(children).collect()
}

/// Waits until every one of these workers has answered.
fn all_answer(load: &LoadThread, workers: &[u32], what: &str) {
    let answered = |report: &Report, worker| family(worker).iter().any(|pid| report.servers.contains_key(pid));
    let all = load.wait_until(SOON, |report| workers.iter().all(|worker| answered(report, *worker)));
    assert!(all, "{what}: not all of {workers:?} answered\n{}", load.report());
}

/// Replaces both workers of a service and waits for the end of the old ones; the pids of the new ones.
fn replaced(engine: &Engine, service: &str) -> Vec<u32> {
    let before: Vec<Process> = engine.pids(service).into_iter().map(Process::open).collect();
    engine.ok(&["restart", service]);
    // The last one may be draining still.
    let after: Vec<_> = engine.workers(service).into_iter().filter(|worker| worker.state == "ready").collect();
    let after: Vec<u32> = after.iter().filter_map(|worker| worker.pid).collect();
    let new = after.iter().all(|pid| before.iter().all(|old| old.pid != *pid));
    assert!(after.len() == 2 && new, "{before:?} became {after:?}");
    for old in before {
        assert!(old.gone_within(SOON), "worker {} outlived its replacement", old.pid);
    }
    after
}

/// A program on trial.
struct Trial {
    engine: Engine,
    events: Events,
    port: u16,
    program: Foreign,
}

impl Trial {
    /// Two workers, ready. `None` when the program is not installed.
    fn up(program: Foreign) -> Option<Self> {
        let port = free_port();
        let engine = Engine::up(EVERCREW, &program.configuration(port)?);
        let events = engine.events(1);
        let trial = Self { engine, events, port, program };
        let workers = trial.engine.workers("web");
        assert!(workers.len() == 2 && workers.iter().all(|worker| worker.state == "ready"), "{workers:?}");
        Some(trial)
    }

    fn load(&self) -> Option<LoadThread> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        self.program.serves.then(|| load(address, ""))
    }

    /// Waits until these workers have answered, and ends the load.
    fn settled(&self, load: Option<LoadThread>, workers: &[u32], ended: u64, what: &str) {
        if let Some(load) = load {
            all_answer(&load, workers, what);
            none_refused(load, ended, what);
        }
    }

    fn both_answer(&self) {
        self.settled(self.load(), &self.engine.pids("web"), 0, "both workers");
    }

    fn a_killed_worker_is_replaced(&mut self) {
        let load = self.load();
        let before = self.engine.pids("web");
        let family: Vec<Process> = family(before[0]).into_iter().map(Process::open).collect();
        family[0].signal(Signal::Kill);
        let exit = self.events.worker("worker.exit", "web.1", SOON);
        assert_eq!((exit["signal"].as_str(), exit["reason"].as_str()), (Some("SIGKILL"), Some("unasked")));
        self.events.worker("worker.ready", "web.1", SOON);
        for process in family {
            assert!(process.gone_within(SOON), "process {} outlived its worker", process.pid);
        }
        let after = self.engine.pids("web");
        assert_ne!(after[0], before[0]);
        assert_eq!(after[1], before[1], "the other one was touched");
        self.settled(load, &after, 1, "kill -9 of a worker");
    }

    fn the_manager_can_be_killed(&mut self) {
        let load = self.load();
        let before = self.engine.pids("web");
        self.engine.manager().signal(Signal::Kill);
        self.events
            .wait("takeover", SOON, |event| event["kind"] == "engine.manager-started" && event["generation"] == 2);
        self.engine.ok(&["status"]);
        assert_eq!(self.engine.pids("web"), before, "a worker was touched");
        self.settled(load, &before, 0, "kill -9 of the manager");
    }

    fn a_rollout_replaces_all(&self) {
        let load = self.load();
        let after = replaced(&self.engine, "web");
        self.settled(load, &after, 2, "rollout");
    }

    fn down_leaves_nothing(mut self) {
        let families = self.engine.pids("web").into_iter().flat_map(family).chain(self.engine.processes());
        let processes: Vec<Process> = families.filter_map(Process::try_open).collect();
        assert!(processes.len() >= 4, "workers, manager and supervisor at least: {processes:?}");
        assert_eq!(self.engine.down(), 0);
        for process in processes {
            assert!(process.gone_within(Duration::ZERO), "process {} outlived the engine", process.pid);
        }
        assert!(self.engine.nothing_left_within(Duration::ZERO));
        std::net::TcpListener::bind(("127.0.0.1", self.port)).expect("the port is free");
    }
}

/// Everything that a service of any program is promised.
fn is_a_service(program: Foreign) {
    let Some(mut trial) = Trial::up(program) else { return };
    trial.both_answer();
    trial.a_killed_worker_is_replaced();
    trial.the_manager_can_be_killed();
    trial.a_rollout_replaces_all();
    trial.down_leaves_nothing();
}

#[test]
fn uvicorn_is_a_service() {
    is_a_service(Foreign::UVICORN);
}

#[test]
fn gunicorn_is_a_service() {
    is_a_service(Foreign::GUNICORN);
}

#[test]
fn puma_is_a_service() {
    is_a_service(Foreign::PUMA);
}

#[test]
fn unicorn_is_a_service() {
    is_a_service(Foreign::UNICORN);
}

#[test]
fn node_is_a_service() {
    is_a_service(Foreign::NODE);
}

#[test]
fn a_shell_script_is_a_service() {
    is_a_service(Foreign::SH);
}

/// Answers on every listener it is given, with the listener's name.
const LISTENERS: &str = r#"
import os, socket, threading

names = os.environ["LISTEN_FDNAMES"].split(":")
assert os.environ["LISTEN_PID"] == str(os.getpid()) and os.environ["LISTEN_FDS"] == str(len(names))

def serve(listener, name):
    body = b"%s\npid %d\n" % (name.encode(), os.getpid())
    while True:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        connection.close()

for number, name in enumerate(names, 3):
    threading.Thread(target=serve, args=(socket.socket(fileno=number), name)).start()
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.sendto(b"READY=1\n", os.environ["NOTIFY_SOCKET"])
notify.close()
"#;

#[test]
fn two_listeners_come_in_order_and_by_name_and_nothing_else_comes_with_them() {
    let Some(python) = program("python") else { return };
    let port = free_port();
    let mut engine = Engine::new(EVERCREW, "");
    let script = engine.script("listeners.py", LISTENERS);
    engine.configure(&format!(
        "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[listen.local]\naddress = \"unix:local.sock\"\n\
         [service.two]\ncommand = [{python:?}, {script:?}]\nlisten = [\"local\", \"web\"]\nworkers = 2\n\
         ready = \"notify\"\nrollout = {{ settle = \"100ms\" }}\n"
    ));
    engine.start();
    engine.ready();
    let path = engine.home().join("local.sock");
    let web = load(SocketAddr::from(([127, 0, 0, 1], port)), "web\n");
    let local = load(Target::Unix(path.clone()), "local\n");
    let before = engine.pids("two");
    all_answer(&web, &before, "web before");
    all_answer(&local, &before, "local before");
    for pid in &before {
        assert_eq!(Process::open(*pid).descriptors(), 5, "0, 1, 2 and two listeners");
    }
    let after = replaced(&engine, "two");
    all_answer(&web, &after, "web after");
    all_answer(&local, &after, "local after");
    none_refused(web, 2, "web");
    none_refused(local, 2, "local");
    assert_eq!(engine.down(), 0);
    assert!(std::os::unix::net::UnixStream::connect(&path).is_err(), "somebody listens on {path:?}");
    std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
}
