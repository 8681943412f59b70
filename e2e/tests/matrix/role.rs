//! What a program is used for, and what has to hold then.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::{apps, workspace};
use evercrew_e2e::{Engine, Events, Worker};

use super::answer::Answers;

/// Interpreters start slowly on a busy machine, and all rows of a program start at once.
const SOON: Duration = Duration::from_secs(60);
/// Of the rows with a heartbeat.
const SILENCE: Duration = Duration::from_millis(2100);

/// What a program is used for; each is a service of this name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    /// Two workers on a listener of the engine's.
    Web,
    /// It has a port of its own, or none, and knows nothing of the engine.
    Plain,
    /// It says READY=1.
    Notify,
    /// It beats, and a stopped one is found.
    Watchdog,
    /// It ends well and is not started again.
    Oneshot,
    /// It fails the first time and ends well the second.
    Retried,
}

/// How it ends when it is asked to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ends {
    Code(u64),
    Signal(&'static str),
}

/// A program in a role. In `command`, `settings` and `file` stand for themselves: APPS, BIN, HOME (the engine's
/// directory), FOLDER (the row's own), PORT, and OTHER (the port of the table's first row).
pub(super) struct Row {
    pub(super) role: Role,
    pub(super) command: &'static [&'static str],
    pub(super) settings: &'static str,
    /// In `e2e/apps`, to be written into its folder.
    pub(super) file: Option<&'static str>,
    pub(super) answers: Answers,
    pub(super) ends: Ends,
    /// A part of a line that it writes.
    pub(super) says: &'static str,
}

impl Role {
    fn service(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Plain => "plain",
            Self::Notify => "notify",
            Self::Watchdog => "watchdog",
            Self::Oneshot => "oneshot",
            Self::Retried => "retried",
        }
    }
}

impl Row {
    /// Its tables of the configuration, with its folder made.
    pub(super) fn configuration(&self, home: &Path, port: u16, other: u16) -> String {
        let service = self.role.service();
        let folder = home.join(service);
        let bin = workspace().join(".programs/bin");
        let places = [("APPS", apps()), ("BIN", bin.clone()), ("HOME", home.to_path_buf()), ("FOLDER", folder.clone())];
        let fill = |text: &str| {
            let text = text.replace("PORT", &port.to_string()).replace("OTHER", &other.to_string());
            places.iter().fold(text, |text, (name, path)| text.replace(name, &path.display().to_string()))
        };
        std::fs::create_dir_all(&folder).expect("make the row's folder");
        if let Some(name) = self.file {
            let text = std::fs::read_to_string(apps().join(name)).expect("read a program's file");
            std::fs::write(folder.join(name), fill(&text)).expect("write a program's file");
        }
        let program = match self.command[0] {
            "sh" => "/bin/sh".to_owned(),
            name => bin.join(name).display().to_string(),
        };
        let command: Vec<String> = std::iter::once(program).chain(self.command[1..].iter().map(|w| fill(w))).collect();
        let socket = match self.own_port() {
            _ if self.answers == Answers::Nothing => String::new(),
            true => format!("port = {port}\n"),
            false => "listen = [\"SERVICE\"]\n".replace("SERVICE", service),
        };
        let listener = if socket.starts_with("listen") {
            format!("[listen.{service}]\naddress = \"127.0.0.1:{port}\"\n")
        } else {
            String::new()
        };
        let workers = if self.role == Role::Web { 2 } else { 1 };
        format!(
            "{listener}[service.{service}]\ncommand = {command:?}\nworkers = {workers}\n\
             rollout = {{ settle = \"300ms\" }}\n{socket}{}",
            fill(self.settings)
        )
    }

    /// Whether it binds its own port instead of taking the engine's listener.
    fn own_port(&self) -> bool {
        self.role == Role::Plain || self.answers == Answers::Redis
    }

    /// Tries it.
    ///
    /// # Panics
    /// When something that its role has to hold does not.
    pub(super) fn holds(&self, engine: &Engine, port: u16) {
        let trial = Trial { row: self, engine, port, service: self.role.service(), began: Instant::now() };
        let mut events = engine.events(1);
        match self.role {
            Role::Oneshot => trial.finishes(&mut events, &[0]),
            Role::Retried => trial.finishes(&mut events, &[-1, 0]),
            Role::Web | Role::Plain | Role::Notify | Role::Watchdog => {
                trial.becomes_ready(&mut events);
                trial.restarts(&mut events);
                if self.role == Role::Watchdog {
                    trial.is_found_when_it_is_stopped(&mut events);
                }
                trial.stops(&mut events);
            }
        }
        trial.has_said(1, 1);
        println!("{} as {}: {:.1?}", self.command[0], trial.service, trial.began.elapsed());
    }
}

struct Trial<'a> {
    row: &'a Row,
    engine: &'a Engine,
    port: u16,
    service: &'static str,
    began: Instant,
}

impl Trial<'_> {
    fn what(&self, what: &str) -> String {
        format!("{} as {}: {what}", self.row.command[0], self.service)
    }

    fn first(&self) -> String {
        format!("{}.1", self.service)
    }

    /// Nobody is refused. A connection that a program accepted while it was told to leave may be its own to reset.
    fn answers(&self) {
        for again in [true, true, false] {
            match self.row.answers.ask(self.port) {
                Ok(()) => return,
                Err(error) if again && error.kind() == ErrorKind::ConnectionReset => {}
                Err(error) => panic!("{}", self.what(&format!("no answer: {error}"))),
            }
        }
    }

    fn pids(&self) -> Vec<u32> {
        let alive = |worker: &Worker| worker.state == "ready";
        self.engine
            .workers(self.service)
            .iter()
            .filter(|worker| alive(worker))
            .filter_map(|worker| worker.pid)
            .collect()
    }

    fn becomes_ready(&self, events: &mut Events) {
        events.worker("worker.ready", &self.first(), SOON);
        // The readiness is right when nothing has to be waited for after it.
        self.answers();
        let name = if self.row.role == Role::Web { "web.2".to_owned() } else { self.first() };
        if name != self.first() {
            let seen = events.seen().any(|event| event["kind"] == "worker.ready" && event["worker"] == name);
            if !seen {
                events.worker("worker.ready", &name, SOON);
            }
        }
        let wanted = if self.row.role == Role::Web { 2 } else { 1 };
        assert_eq!(self.pids().len(), wanted, "{}", self.what("workers that are ready"));
    }

    /// A rollout replaces every process; where they share a listener, nobody is refused meanwhile.
    fn restarts(&self, events: &mut Events) {
        let before = self.pids();
        let enough = AtomicBool::new(false);
        let shared = !self.row.own_port() && self.row.answers != Answers::Nothing;
        std::thread::scope(|scope| {
            let asking = shared.then(|| self.row.answers.ask_until(scope, self.port, &enough));
            self.engine.ok(&["restart", self.service, "--timeout", "60s"]);
            enough.store(true, Ordering::Relaxed);
            let Some(asking) = asking else { return };
            let (answered, failed) = asking.join().expect("the asking thread");
            // What it does to a connection that it has accepted is the program's own affair.
            let own = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::InvalidData];
            let refused: Vec<_> = failed.iter().filter(|error| !own.contains(&error.kind())).collect();
            assert!(refused.is_empty() && failed.len() <= before.len(), "{}", self.what(&format!("{failed:?}")));
            assert!(answered > 0, "{}", self.what("nothing was answered during a restart"));
        });
        let after = self.pids();
        assert_eq!(after.len(), before.len(), "{}", self.what("workers after a restart"));
        assert!(after.iter().all(|pid| !before.contains(pid)), "{}", self.what("a restart replaces every process"));
        self.answers();
        self.has_said(before.len(), 2);
        events.wait(&self.what("rollout"), SOON, |e| e["kind"] == "rollout.finished" && e["service"] == self.service);
    }

    fn is_found_when_it_is_stopped(&self, events: &mut Events) {
        let worker = Process::open(self.pids()[0]);
        worker.signal(Signal::Stop);
        let stopped = Instant::now();
        events.worker("worker.heartbeat-lost", &self.first(), SILENCE + Duration::from_secs(1));
        let exit = self.exit(events, "heartbeat");
        assert_eq!(exit["signal"], "SIGKILL", "{}", self.what(&exit.to_string()));
        let found = stopped.elapsed();
        assert!(found < SILENCE + Duration::from_secs(1), "{}", self.what(&format!("found after {found:?}")));
        events.worker("worker.ready", &self.first(), SOON);
        self.answers();
        // It beats: a whole timeout passes without a second loss.
        let until = Instant::now() + SILENCE + Duration::from_millis(300);
        let position = events.position();
        events.drain_until(until);
        let lost = events.seen().find(|event| {
            event["seq"].as_u64() >= Some(position)
                && event["service"] == self.service
                && event["kind"] == "worker.heartbeat-lost"
        });
        assert_eq!(lost, None, "{}", self.what("a worker that beats was taken for silent"));
    }

    /// The next exit of its first slot for this reason.
    fn exit(&self, events: &mut Events, reason: &str) -> serde_json::Value {
        events.wait(&self.what(&format!("exit for {reason}")), SOON, |event| {
            event["kind"] == "worker.exit" && event["worker"] == self.first() && event["reason"] == reason
        })
    }

    fn stops(&self, events: &mut Events) {
        let began = Instant::now();
        self.engine.ok(&["stop", self.service]);
        assert!(began.elapsed() < Duration::from_secs(10), "{}", self.what("it is slower than its grace"));
        let exit = self.exit(events, "stop");
        let as_it_should = match self.row.ends {
            Ends::Code(code) => exit["code"] == code,
            Ends::Signal(signal) => exit["signal"] == signal,
        };
        assert!(as_it_should, "{}", self.what(&exit.to_string()));
        assert_eq!(self.state(), "stopped", "{}", self.what("after a stop"));
        if self.row.own_port() && self.row.answers != Answers::Nothing {
            let refused = self.row.answers.ask(self.port).map_err(|error| error.kind());
            assert_eq!(refused, Err(ErrorKind::ConnectionRefused), "{}", self.what("its port after a stop"));
        }
    }

    fn state(&self) -> String {
        let status = self.engine.status();
        let services = status["services"].as_array().expect("services");
        let service = services.iter().find(|entry| entry["name"] == self.service).expect("the service");
        service["state"].as_str().expect("a state").to_owned()
    }

    /// It ends once for each of these codes (-1 is any failure), and then for good.
    fn finishes(&self, events: &mut Events, codes: &[i64]) {
        for code in codes {
            let exit = self.exit(events, "unasked");
            let found = exit["code"].as_i64().expect("it exits with a code");
            assert!(if *code == -1 { found > 0 } else { found == *code }, "{}", self.what(&exit.to_string()));
        }
        events.wait(&self.what("finished"), SOON, |event| {
            event["kind"] == "service.finished" && event["service"] == self.service
        });
        assert_eq!(self.state(), "finished", "{}", self.what("at its end"));
        let worker = &self.engine.workers(self.service)[0];
        assert_eq!((worker.pid, worker.restarts), (None, codes.len() as u64 - 1), "{}", self.what("at its end"));
    }

    fn log(&self, slot: usize) -> String {
        let path = self.engine.home().join(format!(".evercrew/logs/{}.{slot}.log", self.service));
        std::fs::read_to_string(&path).unwrap_or_default()
    }

    /// Waits until each slot's log has its line this often: only then is a program up whose readiness is unknown. It is
    /// asked meanwhile, which takes the time that it takes.
    fn has_said(&self, slots: usize, times: usize) {
        let until = Instant::now() + SOON;
        while (1..=slots).any(|slot| self.log(slot).matches(self.row.says).count() < times) {
            let missing = format!("not {times} times in each log: {:?}\n{}", self.row.says, self.log(1));
            assert!(Instant::now() < until, "{}", self.what(&missing));
            self.answers();
        }
    }
}
