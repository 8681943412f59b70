//! Everything an operator does, again and again under load, judged at every moment: by clients, by the engine's events,
//! and by the kernel's list of processes.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_e2e::census::{Bounds, Census};
use evercrew_e2e::headcount::Headcount;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::{Foreign, free_port, program};
use evercrew_e2e::{Engine, Events, volume};
use evercrew_load::{Builder, Fault, Load, LoadThread, Report};

use crate::EVERCREW;
use crate::load::{accepted, all_answer, freeze};

const SOON: Duration = Duration::from_secs(30);
/// Every load ends by itself, should its test hang.
const LONGEST: Duration = Duration::from_secs(1800);
const RATE: f64 = 1500.0;
const SURGE: usize = 1;
/// Killed again and again, and never given up.
const RESTARTS: &str = "start_limit = false\nbackoff = { min = \"0s\", max = \"0s\", stable = \"0s\" }\n";

/// What is on trial.
#[derive(Clone, Copy)]
struct Subject {
    /// Its lines in the table of the service; `None` for the built-in workers, which lose nothing.
    foreign: Option<Foreign>,
    workers: usize,
}

const OURS: Subject = Subject { foreign: None, workers: 4 };

struct Trial {
    subject: Subject,
    engine: Engine,
    events: Events,
    /// How many of the seen events were counted.
    counted: usize,
    census: Census,
    headcount: Headcount,
    port: u16,
    more: u16,
    wanted: usize,
    loads: Vec<LoadThread>,
    /// Connections that killed workers had accepted, and what became of them at the clients.
    lost: u64,
    cut: u64,
}

/// The service on trial, and a second listener with a service of its own where it is asked for.
fn text(subject: Subject, port: u16, more: Option<u16>, keys: &str) -> String {
    let hello = |name: &str, port: u16, keys: &str| {
        format!(
            "[listen.{name}]\naddress = \"127.0.0.1:{port}\"\n[service.{name}]\nbuiltin = \"hello\"\n\
             listen = [\"{name}\"]\n{RESTARTS}{keys}\n"
        )
    };
    let web = match subject.foreign {
        None => hello("web", port, &format!("workers = 4\nrollout = {{ settle = \"50ms\" }}\n{keys}")),
        Some(foreign) => foreign.configuration(port).expect("it is installed") + RESTARTS + keys + "\n",
    };
    web + &more.map(|more| hello("more", more, "")).unwrap_or_default()
}

fn load(port: u16) -> Builder {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    Load::builder(address).pids().duration(LONGEST)
}

/// Requests that failed because a connection ended that had been accepted.
fn ended(report: &Report) -> u64 {
    let ended = [Fault::Reset, Fault::ResetMidway, Fault::Closed, Fault::Short];
    ended.into_iter().map(|fault| report.count(fault)).sum()
}

impl Trial {
    fn up(subject: Subject) -> Self {
        let (port, more, wanted) = (free_port(), free_port(), subject.workers);
        let engine = Engine::up(EVERCREW, &text(subject, port, None, ""));
        let headcount = Headcount::start(engine.supervisor(), "web", wanted..=wanted + SURGE);
        let events = engine.events(1);
        let census = Census::of("web");
        let (loads, counted, lost, cut) = (Vec::new(), 0, 0, 0);
        let mut trial =
            Self { subject, engine, events, counted, census, headcount, port, more, wanted, loads, lost, cut };
        trial.judge("the start", Bounds { ready: 0, processes: wanted });
        trial
    }

    /// Requests that failed, and kept connections that ended unannounced between two; a foreign program's own ends of
    /// what it had accepted are its affair.
    fn hurt(&self) -> u64 {
        let foreign = self.subject.foreign.is_some();
        let hurt = |report: &Report| match foreign {
            true => report.failed() - ended(report),
            false => report.failed() + report.idle_closes + report.idle_resets,
        };
        self.loads.iter().map(|load| hurt(&load.report())).sum()
    }

    /// Judges every event so far, and that no client was hurt but by kills.
    fn judge(&mut self, what: &str, allowed: Bounds) {
        // A mark that comes after everything that was done.
        self.engine.ok(&["signal", "web.1", "CONT"]);
        self.events.wait("the mark", SOON, |event| event["kind"] == "worker.signalled");
        for event in self.events.seen().skip(self.counted) {
            let wrong = self.census.note(event, allowed);
            assert_eq!(wrong, None, "{what}");
        }
        self.counted = self.events.seen().count();
        let hurt = self.hurt();
        if hurt != self.cut {
            let reports: Vec<Report> = self.loads.iter().map(LoadThread::report).collect();
            panic!("{what}: {} requests or connections hurt\n{reports:#?}", hurt - self.cut);
        }
    }

    fn steady(&self) -> Bounds {
        Bounds { ready: self.wanted, processes: self.wanted + SURGE }
    }

    fn rollout(&mut self, round: usize) {
        self.engine.ok(&["restart", "web"]);
        self.judge(&format!("rollout {round}"), self.steady());
    }

    /// A good file that replaces every worker and adds a listener, a good one that changes what is live and removes it,
    /// and bad ones of every kind between them.
    fn reload(&mut self, round: usize) {
        let (subject, port, more) = (self.subject, self.port, self.more);
        let (file, code, listens) = match round % 4 {
            0 => (text(subject, port, Some(more), &format!("env = {{ ROUND = \"{round}\" }}")), 0, true),
            2 => {
                let keys = format!("env = {{ ROUND = \"{}\" }}\nstop = {{ grace = \"{}s\" }}", round - 2, 40 + round);
                (text(subject, port, None, &keys), 0, false)
            }
            bad => {
                let file = match round / 2 % 3 {
                    0 => text(subject, port, None, "workerz = 1"),
                    1 => text(subject, port, None, "") + "[service.gone]\ncommand = [\"./missing\"]\n",
                    _ if subject.foreign.is_some() => text(subject, port, None, "after = [\"web\"]"),
                    // Nothing that a check could find: its first worker cannot become ready.
                    _ => text(subject, port, None, "limits = { nofile = 4 }"),
                };
                (file, 78, bad == 1)
            }
        };
        self.engine.configure(&file);
        let output = self.engine.run(&["reload", "--timeout", "120s"]);
        assert_eq!(output.code, code, "reload {round}: {}{}\n{file}", output.stdout, output.stderr);
        self.judge(&format!("reload {round}"), self.steady());
        let there = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], more)), SOON).is_ok();
        assert_eq!(there, listens, "reload {round}: the other listener");
    }

    fn scale(&mut self, round: usize, to: usize) {
        let (least, most) = (self.wanted.min(to), self.wanted.max(to) + SURGE);
        self.headcount.allow(least..=most);
        self.engine.ok(&["scale", &format!("web={to}")]);
        self.wanted = to;
        self.judge(&format!("scaling {round}"), Bounds { ready: least, processes: most });
        assert_eq!(self.ready().len(), to, "scaling {round}");
        self.headcount.allow(to..=to + SURGE);
    }

    fn ready(&self) -> Vec<(String, u32)> {
        let workers = self.engine.workers("web").into_iter().filter(|worker| worker.state == "ready");
        workers.filter_map(|worker| Some((worker.name, worker.pid?))).collect()
    }

    /// Kills a worker while it stands still, so that it is known which connections go with it.
    fn kill(&mut self, round: usize) {
        self.headcount.allow(self.wanted - 1..=self.wanted + SURGE);
        let (name, pid) = self.ready().swap_remove(round % self.wanted);
        let worker = Process::open(pid);
        let mut lost = 0;
        if self.subject.foreign.is_none() {
            freeze(&worker);
            lost = accepted(&worker, self.port) as u64;
        }
        worker.signal(Signal::Kill);
        let pid = u64::from(pid);
        self.events.wait("its end", SOON, |event| event["kind"] == "worker.exit" && event["pid"] == pid);
        self.events.worker("worker.ready", &name, SOON);
        self.headcount.allow(self.wanted..=self.wanted + SURGE);
        let ready: Vec<u32> = self.ready().into_iter().map(|(_, pid)| pid).collect();
        assert_eq!(ready.len(), self.wanted, "kill {round}");
        // By then every client has found out what it lost.
        for load in &self.loads {
            if self.subject.foreign.is_none() {
                all_answer(load, &ready);
            }
            let answered = load.report().ok;
            assert!(load.wait_until(SOON, |report| report.ok > answered + 50), "{}", load.report());
        }
        let cut = self.hurt() - self.cut;
        assert!(cut <= lost, "kill {round}: {cut} hurt, the worker had accepted {lost}");
        (self.lost, self.cut) = (self.lost + lost, self.cut + cut);
        self.judge(&format!("kill {round}"), self.steady());
    }

    /// Stops everything and judges the whole.
    fn end(mut self, requests: u64) -> Report {
        let all = self.loads[0].wait_until(LONGEST, |report| report.sent >= requests);
        assert!(all, "{}", self.loads[0].report());
        self.judge("the end", self.steady());
        let seen = self.headcount.stop();
        assert!(seen.wrong.is_empty(), "{seen:#?}");
        let reports: Vec<Report> = self.loads.into_iter().map(LoadThread::stop).collect();
        if self.subject.foreign.is_none() {
            assert!(self.cut > 0, "a worker that is killed takes its connections with it");
        }
        for report in &reports {
            assert_eq!(report.failed(), ended(report), "refused, wrong or late beside what was cut\n{report}");
            println!("{report}");
        }
        println!(
            "{} connections were accepted by killed workers, {} of them hurt a client; by the events at most {} processes; \
             {} looks at the kernel's list, at most {} processes",
            self.lost, self.cut, self.census.most, seen.looks, seen.most
        );
        assert_eq!(self.engine.down(), 0);
        reports.into_iter().next().expect("the first load")
    }
}

#[test]
fn operations_of_every_kind_cost_no_request_beside_what_kills_take() {
    let mut trial = Trial::up(OURS);
    let hello = load(trial.port).expect_prefix("Hello from Evercrew\n");
    let crowd = hello.clone().rate(RATE).keep_alive(64).fresh(64);
    let quiet = crowd.clone().start_thread().expect("start the load");
    assert!(quiet.wait_answers(volume(60_000) as u64, LONGEST), "{}", quiet.report());
    let quiet = quiet.stop();
    assert!(quiet.is_clean(), "{quiet}");
    let slow = hello.path("/slow?ms=100").keep_alive(4).fresh(4);
    trial.loads = [crowd, slow].map(|load| load.start_thread().expect("start the load")).into();
    for round in 0..volume(100) {
        trial.rollout(round);
        trial.reload(round);
        trial.scale(round, [6, 3, 5, 4][round % 4]);
        trial.kill(round);
    }
    let busy = trial.end(volume(500_000) as u64);
    println!(
        "p99 of a quiet time {:?}, of this one {:?} (from the begin of a request)",
        quiet.service.p99, busy.service.p99
    );
    println!("p99 of a quiet time {:?}, of this one {:?} (from when it was due)", quiet.latency.p99, busy.latency.p99);
}

/// The same with programs that end by their own rules: nobody is refused, and never are too few or too many there.
fn foreign_workers_refuse_nobody(foreign: Foreign) {
    if program(foreign.program).is_none() {
        return;
    }
    let mut trial = Trial::up(Subject { foreign: Some(foreign), workers: 2 });
    let kept_and_new = load(trial.port).path("/pid").rate(60.0).keep_alive(4).fresh(4);
    trial.loads.push(kept_and_new.start_thread().expect("start the load"));
    for round in 0..volume(20) {
        trial.rollout(round);
        trial.reload(round);
        trial.scale(round, [3, 2][round % 2]);
        trial.kill(round);
    }
    trial.end(0);
}

#[test]
fn operations_on_uvicorn_refuse_nobody() {
    foreign_workers_refuse_nobody(Foreign {
        arguments: &["--app-dir", "APPS", "asgi:app", "--fd", "3", "--no-access-log"],
        settings: "ready = \"notify\"\n",
        ..Foreign::UVICORN
    });
}

#[test]
fn operations_on_gunicorn_refuse_nobody() {
    foreign_workers_refuse_nobody(Foreign::GUNICORN);
}
