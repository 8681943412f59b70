//! `up --daemon`: what the parent says when it returns, and what it leaves behind.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);
const GATED: &str = "[engine]\npid_file = \"engine.pid\"\n[service.s]\nready = { fd = 5 }\n\
                     command = [\"sh\", \"-c\", \"while ! [ -e go ]; do sleep 0.01; done; echo >&5; exec sleep 1000\"]\n";

fn spawn(engine: &Engine, arguments: &[&str]) -> Child {
    let mut command = Command::new(EVERCREW);
    command.arg("-c").arg(engine.home().join("evercrew.toml")).args(["up", "--daemon"]).args(arguments);
    command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("run the binary")
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

fn supervisor(engine: &Engine) -> Process {
    let lock = fs::read_to_string(engine.home().join(".evercrew/lock")).expect("the lock");
    Process::open(lock.trim().parse().expect("a pid"))
}

#[test]
fn it_returns_when_everything_is_ready_and_leaves_an_engine_without_terminal_in_its_own_session() {
    let engine = Engine::new(EVERCREW, GATED);
    let mut parent = spawn(&engine, &[]);
    until("a worker waits", || {
        let status = engine.run(&["status"]);
        status.code == 1 && status.stdout.contains("starting")
    });
    assert!(parent.try_wait().expect("look").is_none(), "it did not wait for readiness");
    fs::write(engine.home().join("go"), "").expect("write");
    let output = parent.wait_with_output().expect("wait");
    assert!(output.status.success(), "{output:?}");
    let supervisor = supervisor(&engine);
    assert_eq!(fs::read_to_string(engine.home().join("engine.pid")).expect("read"), format!("{}\n", supervisor.pid));
    let of = |pid: u32, name: &str| format!("/proc/{pid}/{name}");
    let stat = fs::read_to_string(of(supervisor.pid, "stat")).expect("stat");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    assert_eq!((fields[3], fields[4]), (supervisor.pid.to_string().as_str(), "0"), "session and terminal");
    assert_eq!(fs::read_link(of(supervisor.pid, "cwd")).expect("cwd").to_str(), Some("/"));
    assert_eq!(fs::read_link(of(supervisor.pid, "fd/0")).expect("0").to_str(), Some("/dev/null"));
    for process in std::iter::once(supervisor.pid).chain(supervisor.children()) {
        for entry in fs::read_dir(of(process, "fd")).expect("descriptors").flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            let target = target.to_string_lossy();
            assert!(!target.starts_with("/dev/pts") && !target.contains("up.log"), "{process} has {target}");
        }
    }
    let second = engine.run(&["up", "--daemon"]);
    assert_eq!(second.code, 69, "{}", second.stderr);
    assert!(second.stderr.contains(&format!("process {}", supervisor.pid)), "{}", second.stderr);
    assert!(!second.stderr.contains("is ready"), "words of the one that runs: {}", second.stderr);
    engine.ok(&["down"]);
    assert!(supervisor.gone_within(SOON));
    assert!(!engine.home().join("engine.pid").exists());
    assert!(engine.nothing_left_within(SOON));
}

#[test]
fn what_would_end_the_foreground_is_told_with_its_code_and_nothing_is_left() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let listening =
        format!("[listen.w]\naddress = \"{address}\"\n[service.w]\nbuiltin = \"hello\"\nlisten = [\"w\"]\n");
    let dies = "[engine]\nexit = \"any-failed\"\n[service.d]\ncommand = [\"sh\", \"-c\", \"exit 7\"]\n\
                unrecoverable_exit_codes = [7]\n";
    for (configuration, code, words) in [
        ("[service.s]\ncommand = [\"sleep\", \"9\"\n", 78, "evercrew.toml"),
        ("[service.s]\ncommand = [\"no-such-program\"]\n", 78, "no-such-program"),
        (listening.as_str(), 69, "Address already in use"),
        (dies, 7, "ending, as `engine.exit` says"),
    ] {
        let engine = Engine::new(EVERCREW, configuration);
        let foreground = engine.run(&["up"]);
        assert_eq!(foreground.code, code, "{}", foreground.stderr);
        let output = engine.run(&["up", "--daemon"]);
        assert_eq!(output.code, code, "{}", output.stderr);
        assert!(output.stderr.contains(words), "{}", output.stderr);
        assert!(engine.nothing_left_within(SOON), "{:?}", engine.processes());
    }
}

#[test]
fn an_engine_that_goes_on_without_being_ready_is_said_to() {
    let configuration = "[service.good]\ncommand = [\"sleep\", \"1000\"]\n[service.bad]\ncommand = [\"sh\", \"-c\", \
                         \"exit 3\"]\nstart_limit = { count = 1, within = \"10s\" }\n";
    let engine = Engine::new(EVERCREW, configuration);
    let failed = engine.run(&["up", "--daemon"]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stderr.contains("bad failed") && failed.stderr.contains("evercrew down"), "{}", failed.stderr);
    assert_eq!(engine.workers("good")[0].state, "ready", "the rest serves");
    engine.ok(&["down"]);
    engine.configure(GATED);
    let late = engine.run(&["up", "--daemon", "--timeout", "1s"]);
    assert_eq!(late.code, 124, "{}", late.stderr);
    fs::write(engine.home().join("go"), "").expect("write");
    engine.ready();
    engine.ok(&["down"]);
    fs::remove_file(engine.home().join("go")).expect("remove");
    // One that is killed on its way there.
    let mut parent = spawn(&engine, &[]);
    until("the engine runs", || engine.run(&["status"]).code == 1);
    supervisor(&engine).signal(Signal::Kill);
    assert_eq!(parent.wait().expect("wait").code(), Some(137));
    assert!(engine.nothing_left_within(SOON));
}
