//! Whom workers and the engine run as: root that gives rights away, and an ordinary user who has none to give.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::{free_port, program};
use evercrew_load::Load;
use evercrew_sys::user::{self, User};
use tempfile::TempDir;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);

/// A user of this machine that is nobody's and may do nothing.
pub(crate) fn ordinary() -> Option<User> {
    ["www-data", "nobody"].into_iter().find_map(|name| user::find(name).ok().flatten())
}

/// Tries to get back what was given away, then serves and beats. What came of it is its status.
const DROPPED: &str = r#"
import os, socket, threading, time

def tried(name, *arguments):
    try:
        getattr(os, name)(*arguments)
        return name + " worked"
    except PermissionError:
        return name + " refused"

tries = [tried("setuid", 0), tried("setgid", 0), tried("setgroups", [0]), tried("setresuid", 0, 0, 0)]
try:
    socket.create_server(("127.0.0.1", BELOW)).close()
    tries.append("bind worked")
except PermissionError:
    tries.append("bind refused")
listener = socket.socket(fileno=3)
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect(os.environ["NOTIFY_SOCKET"])
sender.send(("STATUS=" + ", ".join(tries) + "\nREADY=1").encode())

def beat():
    while True:
        sender.send(b"WATCHDOG=1")
        time.sleep(0.3)

threading.Thread(target=beat, daemon=True).start()
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nhello\n")
    connection.close()
"#;

/// A field of /proc/PID/status.
pub(crate) fn field(pid: u32, name: &str) -> Vec<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a living process");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.expect("the field").split_whitespace().map(ToOwned::to_owned).collect()
}

/// Two ports that only root may bind and nobody has.
fn ports_below_1024() -> Option<(u16, u16)> {
    let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok()?;
    let below = 1..start.trim().parse::<u16>().ok()?.min(1024);
    // One who may not bind it cannot tell whether it is free.
    let refused = |error: std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).map_or_else(refused, |_| true);
    let mut free = below.rev().filter(free);
    Some((free.next()?, free.next()?))
}

#[test]
fn a_port_below_1024_is_served_by_a_worker_that_gave_its_rights_away_for_good() {
    if user::current().0 != 0 {
        return println!("SKIP only root can run workers as another user");
    }
    let (Some(python), Some(user)) = (program("python"), ordinary()) else { return };
    let Some((port, other)) = ports_below_1024() else { return println!("SKIP every port is everybody's here") };
    let script = DROPPED.replace("BELOW", &other.to_string());
    let mut engine = Engine::new(
        EVERCREW,
        &format!(
            "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\ncommand = [{python:?}, \"-c\", {script:?}]\n\
             listen = [\"web\"]\ndirectory = \"/\"\nuser = \"{}\"\nready = \"notify\"\nworkers = 2\n\
             heartbeat = {{ interval = \"500ms\", timeout = \"2s\" }}\nrollout = {{ settle = \"100ms\" }}\n",
            user.name
        ),
    );
    engine.start();
    engine.ready();
    let load = Load::builder(std::net::SocketAddr::from(([127, 0, 0, 1], port))).rate(50.0).fresh(4);
    let load = load.duration(2 * SOON).start_thread().expect("start the load");
    assert!(load.wait_answers(20, SOON), "{}", load.report());
    for worker in engine.workers("web") {
        let pid = worker.pid.expect("a process");
        assert_eq!(field(pid, "Uid"), vec![user.uid.to_string(); 4]);
        assert_eq!(field(pid, "Gid"), vec![user.gid.to_string(); 4]);
        let mut groups = field(pid, "Groups");
        groups.sort_unstable();
        let mut expected: Vec<String> = user.groups.iter().map(ToString::to_string).collect();
        expected.sort_unstable();
        assert_eq!(groups, expected, "supplementary groups");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(field(pid, set), ["0000000000000000"], "{set}");
        }
        let told = worker.json["status"].as_str().unwrap_or_default();
        assert_eq!(told, "setuid refused, setgid refused, setgroups refused, setresuid refused, bind refused");
    }
    // Its beats are heard, and the next generation is like it.
    let mut events = engine.events(1);
    let stopped = Process::open(engine.pids("web")[0]);
    stopped.signal(Signal::Stop);
    let exit = events.worker("worker.exit", "web.1", SOON);
    assert_eq!(exit["reason"], "heartbeat");
    engine.ok(&["restart", "web"]);
    let lost = events.seen().filter(|event| event["kind"] == "worker.heartbeat-lost").count();
    assert_eq!(lost, 1, "only the stopped one");
    let report = load.stop();
    assert_eq!(report.count(evercrew_load::Fault::Refused), 0, "{report}");
    assert_eq!(engine.down(), 0);
}

/// An engine that an ordinary user starts, in a directory of theirs; `None` where this user cannot be had.
fn of_an_ordinary_user(configuration: &str) -> Option<(TempDir, Engine, u32)> {
    // The binary of a build may lie where only its owner gets to.
    let folder = tempfile::Builder::new().prefix("ec").tempdir().expect("make a directory");
    let binary: PathBuf = folder.path().join("evercrew");
    std::fs::copy(EVERCREW, &binary).expect("copy the binary");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("open the way");
    let engine = Engine::new(binary.to_str().expect("a plain path"), configuration);
    let own = user::current().0;
    if own != 0 {
        return Some((folder, engine, own));
    }
    let user = ordinary()?;
    chown(engine.home(), Some(user.uid), Some(user.gid)).expect("give the directory away");
    let ids = [format!("--reuid={}", user.uid), format!("--regid={}", user.gid)];
    let engine = engine.through(&["setpriv", &ids[0], &ids[1], "--clear-groups"]);
    if !std::process::Command::new("setpriv").arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("SKIP no setpriv");
        return None;
    }
    Some((folder, engine, user.uid))
}

#[test]
fn an_ordinary_user_has_everything_that_needs_no_rights() {
    let port = free_port();
    let configuration = format!(
        "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[listen.local]\naddress = \"unix:local.sock\"\n\
         [service.web]\nbuiltin = \"hello\"\nlisten = [\"web\", \"local\"]\nworkers = 2\n\
         heartbeat = {{ interval = \"300ms\", timeout = \"1s\" }}\n\
         [service.sh]\ncommand = [\"sh\", \"-c\", \"ulimit -Sn; nice; umask; echo up; exec sleep 1000\"]\n\
         ready = {{ output = \"^up\" }}\nafter = [\"web\"]\numask = \"027\"\nlimits = {{ nofile = 99, nice = 3 }}\n\
         [service.once]\ncommand = [\"true\"]\nrestart = \"on-failure\"\n"
    );
    let Some((_folder, mut engine, uid)) = of_an_ordinary_user(&configuration) else { return };
    engine.start();
    engine.ready();
    let load = Load::builder(std::net::SocketAddr::from(([127, 0, 0, 1], port))).rate(50.0).fresh(2);
    let load = load.duration(2 * SOON).start_thread().expect("start the load");
    for pid in engine.processes() {
        assert_eq!(field(pid, "Uid"), vec![uid.to_string(); 4], "process {pid}");
    }
    engine.ok(&["restart", "web"]);
    engine.ok(&["scale", "web=3"]);
    let mut events = engine.events(1);
    Process::open(engine.pids("web")[0]).signal(Signal::Stop);
    events.worker("worker.heartbeat-lost", "web.1", SOON);
    events.worker("worker.ready", "web.1", SOON);
    let report = load.stop();
    assert!(report.ok > 0 && report.count(evercrew_load::Fault::Refused) == 0, "{report}");
    std::os::unix::net::UnixStream::connect(engine.home().join("local.sock")).expect("connect");
    let log = std::fs::read_to_string(engine.home().join(".evercrew/logs/sh.1.log")).expect("its log");
    let said: Vec<&str> = log.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(said, ["99", "3", "0027", "up"], "{log}");
    assert_eq!(engine.down(), 0);
    assert!(engine.nothing_left_within(Duration::ZERO));
}

#[test]
fn what_an_ordinary_user_may_not_do_is_said_with_its_reason() {
    let sleep = "command = [\"sleep\", \"1000\"]\n";
    let listening = format!("[service.s]\n{sleep}listen = [\"l\"]\n");
    let mut refused = vec![
        (format!("[service.s]\n{sleep}user = \"root\"\n"), 77, "only root"),
        (format!("[service.s]\n{sleep}group = \"root\"\n"), 77, "only root"),
        (format!("[service.s]\n{sleep}limits = {{ nofile = 1048576000 }}\n"), 77, "CAP_SYS_RESOURCE"),
        (format!("[service.s]\n{sleep}limits = {{ nice = -5 }}\n"), 77, "CAP_SYS_NICE"),
        (format!("[service.s]\n{sleep}limits = {{ oom_score_adj = -5 }}\n"), 77, "CAP_SYS_RESOURCE"),
        (format!("[engine]\ndirectory = \"/usr/evercrew-test\"\n[service.s]\n{sleep}"), 69, "engine.directory"),
        (format!("[listen.l]\naddress = \"unix:/usr/evercrew-test.sock\"\n{listening}"), 69, "Permission denied"),
    ];
    if let Some((port, _)) = ports_below_1024() {
        refused.push((format!("[listen.l]\naddress = \"127.0.0.1:{port}\"\n{listening}"), 69, "Permission denied"));
    }
    let Some((_folder, mut engine, _)) = of_an_ordinary_user("") else { return };
    for (configuration, code, reason) in refused {
        engine.configure(&configuration);
        engine.start();
        assert_eq!(engine.wait(SOON), code, "{configuration}\n{}", engine.log());
        assert!(engine.log().contains(reason), "{configuration}\n{}", engine.log());
        std::fs::remove_file(engine.home().join("up.log")).expect("forget the log");
    }
    // What only the kernel knows is found when the worker starts: a reason, and the rest runs on.
    engine.configure(&format!("[service.s]\n{sleep}directory = \"/root\"\n[service.other]\n{sleep}"));
    engine.start();
    let mut events = engine.events(1);
    let exit = events.worker("worker.exit", "s.1", SOON);
    assert_eq!(exit["reason"], "spawn-failed");
    assert!(
        engine.log().contains("s.1 cannot be started: cannot enter the directory /root: Permission denied"),
        "{}",
        engine.log()
    );
    assert_eq!(engine.workers("other")[0].state, "ready");
    assert_eq!(engine.down(), 0);
}

/// Manager, logger and workers without a user of their own are the engine's user; the supervisor keeps what it needs.
#[test]
fn an_engine_with_a_user_of_its_own_gives_away_all_but_its_supervisors_rights() {
    let (Some(user), 0) = (ordinary(), user::current().0) else {
        return println!("SKIP only root can give rights away");
    };
    let mut engine = Engine::new(EVERCREW, "");
    std::fs::set_permissions(engine.home(), PermissionsExt::from_mode(0o755)).expect("open the way");
    let configuration = format!(
        "[engine]\nuser = \"{}\"\numask = \"077\"\n[listen.l]\naddress = \"unix:run/l.sock\"\n[service.own]\nbuiltin = \"hello\"\n\
         listen = [\"l\"]\n[service.root]\ncommand = [\"sh\", \"-c\", \"echo a line; exec sleep 1000\"]\nuser = \"root\"\n",
        user.name
    );
    engine.configure(&configuration);
    engine.start();
    engine.ready();
    let uid = |pid: u32| field(pid, "Uid")[0].clone();
    let (supervisor, theirs) = (engine.supervisor(), user.uid.to_string());
    let uids = |engine: &Engine| {
        let manager = engine.manager().pid;
        let logger =
            engine.supervisor().children().into_iter().find(|pid| Process::open(*pid).title().contains("logger"));
        (uid(manager), logger.map(uid), uid(engine.pids("own")[0]), uid(engine.pids("root")[0]))
    };
    let expected = (theirs.clone(), Some(theirs.clone()), theirs.clone(), "0".to_owned());
    assert_eq!((uid(supervisor.pid), uids(&engine)), ("0".to_owned(), expected.clone()));
    // Whoever it is may use it, also when its files were made again, and the next manager is it too.
    let directory = engine.home().join(".evercrew");
    let ids = [format!("--reuid={}", user.uid), format!("--regid={}", user.gid)];
    let mut events = engine.events(1);
    for name in ["control.sock", "instance"] {
        std::fs::remove_file(directory.join(name)).expect("remove");
    }
    let manager = engine.manager();
    manager.signal(Signal::Kill);
    assert!(manager.gone_within(SOON));
    events.wait("the next one", SOON, |event| event["kind"] == "engine.manager-started");
    let until = std::time::Instant::now() + SOON;
    while !directory.join("control.sock").exists() {
        assert!(std::time::Instant::now() < until, "{}", engine.log());
        std::thread::yield_now();
    }
    if std::process::Command::new("setpriv").arg("--version").output().is_ok_and(|output| output.status.success()) {
        let reachable = std::fs::metadata(EVERCREW).is_ok();
        let asked = engine.run_under(&["setpriv", &ids[0], &ids[1], "--clear-groups"], &["status"]);
        assert!(asked.code == 0 || asked.stderr.contains("cannot execute") || !reachable, "{}", asked.stderr);
    }
    assert_eq!(uids(&engine), expected);
    engine.ok(&["restart", "own"]);
    assert_eq!(engine.ok(&["logs", "root"]).stdout.lines().count(), 1);
    engine.configure(&configuration.replace(&format!("user = \"{}\"\n", user.name), ""));
    let refused = engine.run(&["reload"]);
    assert!(refused.code == 78 && refused.stderr.contains("cannot change while it runs"), "{}", refused.stderr);
    supervisor.signal(Signal::Kill);
    engine.wait(SOON);
    assert!(engine.nothing_left_within(SOON), "{:?}", engine.processes());
}
