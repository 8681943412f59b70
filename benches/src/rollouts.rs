//! What replacing every process costs those who are served: foreign programs by our rollout, and by their own reload; and
//! what it costs to put another binary in the place of the master.
//!
//! **What it does.** Starts each program in turn, asks it on kept and new connections and once more slowly, replaces its
//! processes in the middle, and adds up what clients saw over all runs, as the rows of a table.
//! `cargo xtask programs && cargo build --release && cargo run --release -p evercrew-benches --bin rollouts [BINARY]`,
//! where names behind BINARY choose rows by how they begin, and EVERCREW_ROUNDS how often (10). granian and hypnotoad are looked for on the PATH, servers of
//! ecdysis and shellflip where `cargo build --release --manifest-path benches/apps/heirs/Cargo.toml` leaves them.
//!
//! **Where to start.** `main`, a subject a row; docs/measurements/rollouts.md has the last table.
//!
//! **What it must never know.** A bound: it measures, a reader judges.
//!
//! **How it is tested.** By its reader; `load/tests` hold that each failure is counted once, in its class.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::{Foreign, apps, free_port, program, workspace};
use evercrew_load::{Fault, Load, Report};

const RUNS: usize = 10;
/// No run takes longer.
const LONG: Duration = Duration::from_secs(60);
/// How long they are asked before the processes are replaced, and after new ones have answered.
const CALM: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(30);

/// How a program is run.
#[derive(Clone, Copy)]
enum By {
    /// As a service, replaced by `restart`.
    Us(Option<Foreign>),
    /// As a service without a listener, replaced by `restart`: granian takes no socket and shares its port with others.
    UsUnheld,
    /// By its own master, replaced by this signal to it.
    Itself(&'static str, Signal),
    /// As a service; the engine itself is upgraded, and no worker is touched.
    UsUpgraded(Option<Foreign>),
    /// By its own master: a USR2 makes another one beside it, and then the first one is told to leave by this signal.
    ItselfUpgraded(&'static str, Signal),
}

struct Row {
    name: &'static str,
    by: By,
    /// nginx serves no program.
    slow: &'static str,
    sent: u64,
    ok: u64,
    faults: [u64; 9],
    idle: u64,
    /// Runs in which a process from before still answered at the end.
    kept: usize,
    gap: Vec<Duration>,
    p99: Vec<Duration>,
    runs: usize,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().map_or_else(|| workspace().join("target/release/evercrew"), Into::into);
    let only: Vec<String> = arguments.collect();
    let binary = binary.to_str().unwrap_or_default();
    let notifying = Foreign {
        arguments: &["--app-dir", "APPS", "asgi:app", "--fd", "3", "--no-access-log"],
        settings: "ready = \"notify\"\n",
        ..Foreign::UVICORN
    };
    let slow = "/slow?ms=300";
    let row = |name, by, slow| Row {
        name,
        by,
        slow,
        sent: 0,
        ok: 0,
        faults: [0; 9],
        idle: 0,
        kept: 0,
        gap: Vec::new(),
        p99: Vec::new(),
        runs: 0,
    };
    let mut rows = vec![
        row("built-in, `restart`", By::Us(None), slow),
        row("uvicorn, `restart`", By::Us(Some(notifying)), slow),
        row("uvicorn --workers 2, HUP", By::Itself("uvicorn", Signal::Hup), slow),
        row("gunicorn, `restart`", By::Us(Some(Foreign::GUNICORN)), slow),
        row("gunicorn --workers 2, HUP", By::Itself("gunicorn", Signal::Hup), slow),
        row("puma, `restart`", By::Us(Some(Foreign::PUMA)), slow),
        row("puma --workers 2, USR1", By::Itself("puma", Signal::Usr1), slow),
        row("unicorn, `restart`", By::Us(Some(Foreign::UNICORN)), slow),
        row("unicorn with 2 workers, HUP", By::Itself("unicorn", Signal::Hup), slow),
        row("nginx with 2 workers, HUP", By::Itself("nginx", Signal::Hup), "/pid"),
        row("built-in, `upgrade`", By::UsUpgraded(None), slow),
        row("unicorn, `upgrade`", By::UsUpgraded(Some(Foreign::UNICORN)), slow),
        row("unicorn with 2 workers, USR2 and QUIT", By::ItselfUpgraded("unicorn", Signal::Quit), slow),
        row("gunicorn --workers 2, USR2 and TERM", By::ItselfUpgraded("gunicorn", Signal::Term), slow),
        row("nginx with 2 workers, USR2 and QUIT", By::ItselfUpgraded("nginx", Signal::Quit), "/pid"),
        row("ecdysis, one process, HUP", By::Itself("ecdysis", Signal::Hup), slow),
        row("shellflip, one process, its command", By::ItselfUpgraded("shellflip", Signal::Cont), slow),
        row("granian on its own sockets, `restart`", By::UsUnheld, slow),
        row("granian --workers 2, HUP", By::Itself("granian", Signal::Hup), slow),
        row("hypnotoad with 2 workers, USR2", By::Itself("hypnotoad", Signal::Usr2), slow),
    ];
    rows.retain(|row| only.is_empty() || only.iter().any(|name| row.name.starts_with(name)));
    let runs = std::env::var("EVERCREW_ROUNDS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    for run in 0..runs {
        for row in &mut rows {
            match row.by {
                By::Us(foreign) => by_us(row, binary, foreign),
                By::UsUpgraded(foreign) => by_us_upgraded(row, binary, foreign),
                By::ItselfUpgraded(name, leave) => by_itself_upgraded(row, name, leave),
                By::UsUnheld => by_us_unheld(row, binary),
                By::Itself(name, signal) => by_itself(row, name, signal),
            }
        }
        eprintln!("run {} of {runs}", run + 1);
    }
    println!(
        "| program, replaced by | runs | requests | refused | reset | cut short | closed unanswered | wrong or late | idle ended | old ones left | largest gap | p99 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    rows.iter_mut().for_each(Row::print);
}

fn by_us(row: &mut Row, binary: &str, foreign: Option<Foreign>) {
    let port = free_port();
    let Some(engine) = engine(binary, foreign, port) else { return };
    row.measure(port, 2, || drop(engine.ok(&["restart", "web", "--timeout", "60s"])));
}

fn by_us_upgraded(row: &mut Row, binary: &str, foreign: Option<Foreign>) {
    let port = free_port();
    let Some(engine) = engine(binary, foreign, port) else { return };
    row.measure(port, 0, || drop(engine.ok(&["upgrade"])));
}

fn engine(binary: &str, foreign: Option<Foreign>, port: u16) -> Option<Engine> {
    let configuration = match foreign {
        None => Some(format!(
            "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\nbuiltin = \"hello\"\nlisten = [\"web\"]\nworkers = 2\n"
        )),
        Some(foreign) => foreign.configuration(port),
    };
    configuration.map(|configuration| Engine::up(binary, &configuration))
}

fn by_us_unheld(row: &mut Row, binary: &str) {
    let Some(program) = on_path("granian") else { return };
    let port = free_port();
    let command: Vec<String> = std::iter::once(program).chain(granian(1, port)).collect();
    let engine = Engine::up(
        binary,
        &format!("[service.web]\ncommand = {command:?}\nworkers = 2\nrollout = {{ settle = \"1s\" }}\n"),
    );
    assert!(listens(port), "granian: nothing listens");
    row.measure(port, 2, || drop(engine.ok(&["restart", "web", "--timeout", "60s"])));
}

/// Waits until something listens at this port.
fn listens(port: u16) -> bool {
    let until = Instant::now() + SOON;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > until {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    true
}

fn granian(workers: u32, port: u16) -> Vec<String> {
    let apps = apps().display().to_string();
    let line =
        format!("--interface asgi --workers {workers} --host 127.0.0.1 --port {port} --working-dir {apps} asgi:app");
    line.split(' ').map(Into::into).collect()
}

fn by_itself(row: &mut Row, name: &str, signal: Signal) {
    let Some(program) = on_path(name).or_else(|| program(name)) else { return };
    let port = free_port();
    let home = tempfile::tempdir().expect("make a directory");
    let master = Master::start(&program, name, port, home.path());
    let others = if name == "ecdysis" { 1 } else { 2 };
    row.measure(port, others, || Process::open(master.child.id()).signal(signal));
}

fn by_itself_upgraded(row: &mut Row, name: &str, leave: Signal) {
    let Some(program) = on_path(name).or_else(|| program(name)) else { return };
    let port = free_port();
    let home = tempfile::tempdir().expect("make a directory");
    // In the foreground nginx takes no notice of USR2.
    let name = if name == "nginx" { "nginx in the background" } else { name };
    let master = Master::start(&program, name, port, home.path());
    if name == "shellflip" {
        let mut restart = Command::new(&program);
        restart.args([&port.to_string(), "flip.sock", "restart"]).current_dir(home.path());
        let mut ask = || restart.output().map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
        return row.measure(port, 1, || {
            let heir = ask().expect("run the program");
            std::fs::write(home.path().join("pid"), heir).expect("note its heir");
        });
    }
    row.measure(port, 2, || {
        let noted = std::fs::read_to_string(home.path().join("nginx.pid")).ok();
        let noted = noted.and_then(|pid| pid.trim().parse().ok());
        let old = Process::open(noted.unwrap_or(master.child.id()));
        old.signal(Signal::Usr2);
        // The first one may leave when the other one has workers: two, or a master and two.
        let until = Instant::now() + SOON;
        let heirs =
            || old.children().into_iter().filter_map(Process::try_open).filter(|heir| heir.children().len() >= 2);
        while heirs().next().is_none() && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        std::thread::park_timeout(CALM);
        old.signal(leave);
    });
}

/// Where a program is that `cargo xtask programs` does not install.
fn on_path(name: &str) -> Option<String> {
    if ["ecdysis", "shellflip"].contains(&name) {
        let built = workspace().join("benches/apps/heirs/target/release").join(name);
        return built.is_file().then(|| built.display().to_string());
    }
    if !["granian", "hypnotoad"].contains(&name) {
        return None;
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())?;
    Some(path.display().to_string())
}

/// A program with a master of its own and two workers.
struct Master {
    child: Child,
    /// They name the present master of a program that replaces its master too.
    pid_files: Vec<PathBuf>,
}

impl Master {
    fn start(program: &str, name: &str, port: u16, home: &Path) -> Self {
        let apps = apps().display().to_string();
        let write = |file: &str, text: String| {
            let path = home.join(file);
            std::fs::write(&path, text).expect("write a file");
            path.display().to_string()
        };
        let arguments: Vec<String> = match name {
            "uvicorn" => format!("--app-dir {apps} asgi:app --workers 2 --port {port} --no-access-log")
                .split(' ')
                .map(Into::into)
                .collect(),
            "gunicorn" => format!(
                "--chdir {apps} --no-control-socket --workers 2 --pid {} -b 127.0.0.1:{port} wsgi:app",
                home.join("pid").display()
            )
            .split(' ')
            .map(Into::into)
            .collect(),
            "puma" => {
                let text = format!(
                    "environment 'production'\nrackup '{apps}/config.ru'\nbind 'tcp://127.0.0.1:{port}'\nworkers 2\nthreads 1, 4\nlog_requests false\n"
                );
                vec!["-C".to_owned(), write("puma.rb", text)]
            }
            "unicorn" => {
                let conf = write(
                    "unicorn.rb",
                    format!(
                        "worker_processes 2\nlisten '127.0.0.1:{port}'\npid 'pid'\n\
                     Unicorn::HttpServer::START_CTX[0] = '{program}'\n"
                    ),
                );
                vec!["-c".to_owned(), conf, "-E".to_owned(), "production".to_owned(), format!("{apps}/config.ru")]
            }
            "ecdysis" => vec![port.to_string()],
            "shellflip" => vec![port.to_string(), "flip.sock".to_owned()],
            "granian" => granian(2, port),
            "hypnotoad" => {
                let text = include_str!("../apps/hypnotoad.pl").replace("PORT", &port.to_string());
                vec!["-f".to_owned(), write("app.pl", text)]
            }
            _ => {
                let text = std::fs::read_to_string(format!("{apps}/nginx.conf")).expect("its configuration");
                let text = text.replace("PORT", &port.to_string()).replace("worker_processes 1", "worker_processes 2");
                let text = if name == "nginx" { text } else { text.replace("daemon off", "daemon on") };
                let conf = write("nginx.conf", text);
                vec![
                    "-p".to_owned(),
                    home.display().to_string(),
                    "-c".to_owned(),
                    conf,
                    "-e".to_owned(),
                    "stderr".to_owned(),
                ]
            }
        };
        let log = std::fs::File::create(home.join("log")).expect("a log");
        let mut command = Command::new(program);
        command.args(arguments).current_dir(home).stdin(Stdio::null());
        let child =
            command.stdout(log.try_clone().expect("share the log")).stderr(log).spawn().expect("run the program");
        let log = || std::fs::read_to_string(home.join("log")).unwrap_or_default();
        assert!(listens(port), "{name}: {}", log());
        let pid_files = ["hypnotoad.pid", "pid", "pid.2", "nginx.pid"].map(|file| home.join(file)).to_vec();
        Self { child, pid_files }
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let mut family: Vec<Process> = Process::try_open(self.child.id()).into_iter().collect();
        // A hot deployment leaves a new master, which is nobody's child by now.
        let pid_of = |file: &PathBuf| std::fs::read_to_string(file).ok().and_then(|pid| pid.trim().parse().ok());
        let heirs = self.pid_files.iter().filter_map(pid_of).filter(|pid| *pid != self.child.id());
        family.extend(heirs.filter_map(Process::try_open));
        let masters = family.len();
        let mut next = 0;
        while next < family.len() {
            let children = family[next].children();
            family.extend(children.into_iter().filter_map(Process::try_open));
            next += 1;
        }
        family[..masters].iter().for_each(|master| master.signal(Signal::Term));
        for process in family {
            if !process.gone_within(Duration::from_secs(5)) {
                process.signal(Signal::Kill);
            }
        }
        let _ = self.child.wait();
    }
}

impl Row {
    /// Asks the server at this port and replaces its processes meanwhile.
    ///
    /// It waits until so many `others` have answered.
    fn measure(&mut self, port: u16, others: usize, replace: impl FnOnce()) {
        let load = Load::builder(SocketAddr::from(([127, 0, 0, 1], port))).pids().duration(LONG);
        let slow = load.clone().path(self.slow).fresh(1).start_thread().expect("start the slow load");
        let quick = load.path("/pid").rate(100.0).keep_alive(8).fresh(8).start_thread().expect("start the load");
        assert!(quick.wait_answers(100, SOON), "{}: {}", self.name, quick.report());
        quick.wait_until(CALM, |_| false);
        let old: Vec<u32> = quick.report().servers.keys().copied().collect();
        replace();
        let new = |report: &Report| report.servers.keys().filter(|pid| !old.contains(pid)).count();
        quick.wait_until(SOON, |report| new(report) >= others);
        quick.wait_until(CALM, |_| false);
        let reports = [quick.stop(), slow.stop()];
        let quick = &reports[0];
        let last = |pid: &u32| {
            quick.servers.get(pid).is_some_and(|server| server.last + Duration::from_millis(500) > quick.elapsed)
        };
        self.kept += usize::from(others > 0 && old.iter().any(last));
        self.gap.push(quick.largest_gap);
        self.p99.push(quick.latency.p99);
        self.runs += 1;
        reports.iter().for_each(|report| self.add(report));
    }

    fn add(&mut self, report: &Report) {
        self.sent += report.sent;
        self.ok += report.ok;
        self.idle += report.idle_closes + report.idle_resets;
        for (sum, fault) in self.faults.iter_mut().zip(Fault::ALL) {
            *sum += report.count(fault);
        }
    }

    fn count(&self, faults: &[Fault]) -> u64 {
        let of = |(sum, fault): (&u64, Fault)| if faults.contains(&fault) { *sum } else { 0 };
        self.faults.iter().zip(Fault::ALL).map(of).sum()
    }

    fn print(&mut self) {
        if self.runs == 0 {
            return println!("| {} | not installed |||||||||||", self.name);
        }
        self.gap.sort();
        self.p99.sort();
        let half = |times: &[Duration]| times[times.len() / 2].as_millis();
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} ms (most {}) | {} ms (most {}) |",
            self.name,
            self.runs,
            self.sent,
            self.count(&[Fault::Refused, Fault::ConnectTimeout]),
            self.count(&[Fault::Reset]),
            self.count(&[Fault::ResetMidway, Fault::Short]),
            self.count(&[Fault::Closed]),
            self.count(&[Fault::Wrong, Fault::Timeout, Fault::Local]),
            self.idle,
            if self.kept == 0 { "no".to_owned() } else { format!("in {} runs", self.kept) },
            half(&self.gap),
            self.gap[self.gap.len() - 1].as_millis(),
            half(&self.p99),
            self.p99[self.p99.len() - 1].as_millis(),
        );
    }
}
