//! An engine below a service manager that takes notifications of the main process alone.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use evercrew_e2e::unit::Unit;
use evercrew_sys::clock;

use crate::EVERCREW;

const GATED: &str = "[service.a]\ncommand = [\"sleep\", \"1000\"]\nworkers = 2\n[service.b]\nready = { fd = 5 }\n\
                     command = [\"sh\", \"-c\", \"while ! [ -e go ]; do sleep 0.01; done; echo >&5; exec sleep 1000\"]\n";

fn monotonic() -> u64 {
    clock::mono().as_nanos() / 1000
}

fn manager(engine: &Engine) -> Process {
    engine.manager()
}

#[test]
fn readiness_reloads_and_the_end_are_told_by_the_main_process_alone() {
    let engine = Engine::new(EVERCREW, GATED);
    let mut unit = Unit::new(EVERCREW, engine.home());
    unit.start();
    unit.wait("STATUS=a 2/2 ready; b 0/1 starting");
    assert!(!unit.seen().iter().any(|line| line.text == "READY=1"), "b is not ready: {:?}", unit.seen());
    assert!(unit.seen().iter().any(|line| line.text.starts_with("EXTEND_TIMEOUT_USEC=")), "{:?}", unit.seen());
    fs::write(engine.home().join("go"), "").expect("write");
    unit.wait("READY=1");
    unit.wait("STATUS=a 2/2 ready; b 1/1 ready");
    engine.ok(&["scale", "a=3"]);
    unit.wait("STATUS=a 3/3 ready; b 1/1 ready");
    // A reload by signal, by command, and one that is refused: each begins after it was asked for, and ends.
    let reload = |unit: &mut Unit, ask: &dyn Fn(&Unit)| {
        let before = monotonic();
        ask(unit);
        unit.wait("RELOADING=1");
        let at: u64 = unit.wait("MONOTONIC_USEC=").text["MONOTONIC_USEC=".len()..].parse().expect("a number");
        assert!((before..=monotonic()).contains(&at), "{before} {at}");
        unit.wait("READY=1");
    };
    reload(&mut unit, &|unit| unit.signal(Signal::Hup));
    engine.configure(&GATED.replace("workers = 2", "workers = 1"));
    reload(&mut unit, &|_| {
        engine.ok(&["reload"]);
    });
    engine.configure("[service");
    reload(&mut unit, &|_| assert_eq!(engine.run(&["reload"]).code, 78));
    engine.run(&["reload", "--dry-run"]);
    // A manager's death in between is none of its business, and the next one knows what was told.
    let ready = |unit: &Unit| unit.seen().iter().filter(|line| line.text == "READY=1").count();
    assert_eq!(ready(&unit), 4, "{:?}", unit.seen());
    let old = manager(&engine);
    old.signal(Signal::Kill);
    assert!(old.gone_within(Duration::from_secs(20)));
    unit.wait("READY=1");
    assert_eq!(unit.stop(), 0);
    let texts: Vec<&str> = unit.seen().iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts.iter().filter(|text| **text == "STOPPING=1").count(), 1, "{texts:?}");
    assert_eq!(ready(&unit), 5, "{texts:?}");
    assert_eq!(unit.refused(), [""; 0], "somebody else spoke");
    assert!(engine.nothing_left_within(Duration::from_secs(10)));
}

#[test]
fn a_stop_asks_for_the_time_that_it_needs() {
    let slow = "[service.slow]\nready = { fd = 5 }\nstop = { signal = \"TERM\", grace = \"60s\" }\ncommand = [\"sh\", \"-c\", \
                \"trap : TERM; echo >&5; while ! [ -e go ]; do sleep 0.05; done\"]\n";
    let engine = Engine::new(EVERCREW, slow);
    let mut unit = Unit::new(EVERCREW, engine.home());
    unit.start();
    unit.wait("READY=1");
    unit.signal(Signal::Term);
    unit.wait("STOPPING=1");
    let first = unit.wait("EXTEND_TIMEOUT_USEC=");
    let asked: u64 = first.text["EXTEND_TIMEOUT_USEC=".len()..].parse().expect("a number");
    let second = unit.wait("EXTEND_TIMEOUT_USEC=");
    assert!(second.at.duration_since(first.at) < Duration::from_micros(asked), "it would have been killed meanwhile");
    fs::write(engine.home().join("go"), "").expect("write");
    assert_eq!(unit.end(), 0);
}

#[test]
fn a_manager_that_hangs_is_replaced_before_the_watchdog_ends_everything() {
    let engine = Engine::new(EVERCREW, "[service.s]\ncommand = [\"sleep\", \"1000\"]\n");
    let timeout = Duration::from_secs(8);
    let mut unit = Unit::new(EVERCREW, engine.home()).with("WATCHDOG_USEC", &timeout.as_micros().to_string());
    unit.start();
    unit.wait("READY=1");
    let (worker, old) = (engine.pids("s"), manager(&engine));
    let mut last = unit.seen().iter().rfind(|line| line.text == "WATCHDOG=1").expect("one at the start").at;
    old.signal(Signal::Stop);
    for _ in 0..2 {
        let beat = unit.wait("WATCHDOG=1");
        assert!(beat.at.duration_since(last) < timeout, "{:?} without a sign of life", beat.at.duration_since(last));
        last = beat.at;
    }
    assert!(!old.lives(), "it was replaced");
    assert_eq!(engine.pids("s"), worker, "and nothing else was");
    assert_eq!(unit.stop(), 0);
}

#[test]
fn without_a_watchdog_a_unit_at_rest_is_never_woken() {
    let engine = Engine::new(EVERCREW, "[service.s]\ncommand = [\"sleep\", \"1000\"]\n");
    let mut unit = Unit::new(EVERCREW, engine.home());
    unit.start();
    unit.wait("READY=1");
    unit.within("nothing more", Duration::from_secs(2));
    let processes = [Process::open(unit.main()), manager(&engine)];
    unit.within("nothing more", Duration::from_secs(1));
    let switches = || processes.each_ref().map(Process::voluntary_switches);
    let (before, lines) = (switches(), unit.seen().len());
    unit.within("nothing more", Duration::from_secs(5));
    assert_eq!((switches(), unit.seen().len()), (before, lines), "woken in 5 s");
    assert_eq!(unit.stop(), 0);
}

fn get(mut stream: impl Read + Write) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("ask");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().unwrap_or_default().to_owned()
}

fn ask(address: SocketAddr) -> String {
    get(TcpStream::connect(address).expect("connect"))
}

fn hello(listeners: &[(&str, &str)]) -> String {
    let listens: String = listeners.iter().map(|(name, at)| format!("[listen.{name}]\naddress = {at:?}\n")).collect();
    let names: Vec<&str> = listeners.iter().map(|(name, _)| *name).collect();
    format!("{listens}[service.web]\nbuiltin = \"hello\"\nlisten = {names:?}\nworkers = 2\n")
}

#[test]
fn sockets_that_were_left_are_listeners_by_name_or_address_and_stay_when_the_engine_ends() {
    let engine = Engine::new(EVERCREW, "");
    let home = engine.home().to_owned();
    let tcp = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let (named, addressed, unused) = (tcp(), tcp(), tcp());
    let path = home.join("s.sock");
    let unix = UnixListener::bind(&path).expect("a socket");
    let at = |listener: &TcpListener| listener.local_addr().expect("an address");
    let (by_name, by_address) = (at(&named), at(&addressed));
    let somewhere = tcp();
    let elsewhere = at(&somewhere).to_string();
    drop(somewhere);
    engine.configure(&hello(&[
        ("web", &elsewhere),
        ("other", &by_address.to_string()),
        ("local", &format!("unix:{}", path.display())),
        ("own", "127.0.0.1:0"),
    ]));
    let mut unit = Unit::new(EVERCREW, &home);
    for (name, socket) in [("web", named), ("evercrew.socket", addressed), ("stranger", unused)] {
        unit.pass(name, socket);
    }
    unit.pass("evercrew.socket", unix);
    unit.start();
    unit.wait("READY=1");
    for address in [by_name, by_address] {
        assert_eq!(ask(address), "HTTP/1.1 200 OK");
    }
    assert_eq!(get(UnixStream::connect(&path).expect("connect")), "HTTP/1.1 200 OK");
    assert!(TcpStream::connect(&elsewhere).is_err(), "the name goes before the address");
    let status = engine.ok(&["status"]).stdout;
    assert!(status.contains(&format!("web listens on {by_name}")), "where it really is: {status}");
    let log = engine.log();
    assert!(log.contains(&format!("which is at {by_name}, not at {elsewhere}")), "{log}");
    assert!(log.contains("`stranger`"), "{log}");
    // Its own is kept, those of the unit are not ours to keep.
    unit.read();
    let names: Vec<&str> = unit.kept().iter().map(|name| name.split('/').nth(1).unwrap_or(name)).collect();
    assert_eq!(names, ["own"]);
    assert_eq!(unit.stop(), 0);
    assert!(path.exists(), "its file is the unit's");
    let waiting = TcpStream::connect(by_address).expect("the unit still listens");
    unit.start();
    unit.wait("READY=1");
    assert_eq!(get(waiting), "HTTP/1.1 200 OK");
    assert_eq!(unit.stop(), 0);
}

fn port_of(engine: &Engine, name: &str) -> SocketAddr {
    let status = engine.status();
    let listeners = status["listeners"].as_array().expect("listeners");
    let listener = listeners.iter().find(|listener| listener["name"] == name).expect("the listener");
    listener["address"].as_str().expect("text").parse().expect("an address")
}

#[test]
fn who_waits_while_the_unit_restarts_is_answered_by_the_next_engine() {
    let engine = Engine::new(EVERCREW, "");
    let path = engine.home().join("s.sock");
    let local = format!("unix:{}", path.display());
    engine.configure(&hello(&[("any", "127.0.0.1:0"), ("local", &local)]));
    let mut unit = Unit::new(EVERCREW, engine.home());
    unit.start();
    unit.wait("READY=1");
    let address = port_of(&engine, "any");
    let waiting = |count: usize| -> (Vec<TcpStream>, Vec<UnixStream>) {
        let tcp = (0..count).map(|_| TcpStream::connect(address).expect("the kernel still listens"));
        let tcp = tcp.collect();
        (tcp, (0..count).map(|_| UnixStream::connect(&path).expect("its file is still there")).collect())
    };
    for _ in 0..2 {
        assert_eq!(unit.stop(), 0);
        let (tcp, unix) = waiting(50);
        unit.start();
        unit.wait("READY=1");
        assert_eq!(port_of(&engine, "any"), address, "the same socket");
        assert!(tcp.into_iter().all(|stream| get(stream) == "HTTP/1.1 200 OK"));
        assert!(unix.into_iter().all(|stream| get(stream) == "HTTP/1.1 200 OK"));
    }
    // A kill too; whose file was replaced is made anew.
    unit.signal(Signal::Kill);
    assert_eq!(unit.end(), 137);
    let (tcp, _) = waiting(10);
    fs::remove_file(&path).expect("remove");
    unit.start();
    unit.wait("READY=1");
    assert!(tcp.into_iter().all(|stream| get(stream) == "HTTP/1.1 200 OK"));
    assert_eq!(get(UnixStream::connect(&path).expect("a new file")), "HTTP/1.1 200 OK");
    // What a reload takes out is not kept, and what moved while no engine ran is given up.
    engine.configure(&hello(&[("any", "127.0.0.1:0")]));
    engine.ok(&["reload"]);
    until_kept(&mut unit, 1);
    assert_eq!(unit.stop(), 0);
    let moved = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    engine.configure(&hello(&[("any", &moved.to_string())]));
    unit.start();
    unit.wait("READY=1");
    until_kept(&mut unit, 1);
    assert_eq!(ask(moved), "HTTP/1.1 200 OK");
    assert!(TcpStream::connect(address).is_err(), "nobody holds the old one");
    assert_eq!(unit.stop(), 0);
    assert_eq!(unit.refused(), [""; 0]);
}

fn until_kept(unit: &mut Unit, count: usize) {
    let until = Instant::now() + Duration::from_secs(20);
    while unit.kept().len() != count {
        assert!(Instant::now() < until, "{:?}", unit.kept());
        unit.within("nothing", Duration::from_millis(20));
    }
}

/// The unit that `generate` writes is one that systemd understands.
#[test]
fn the_generated_unit_is_verified_by_systemd() {
    let engine = Engine::new(EVERCREW, "[service.s]\ncommand = [\"sleep\", \"1000\"]\n");
    let Some(analyze) =
        ["/usr/bin/systemd-analyze", "/bin/systemd-analyze"].into_iter().find(|path| Path::new(path).exists())
    else {
        return println!("SKIP systemd-analyze is not installed");
    };
    let path = engine.home().join("evercrew.service");
    fs::write(&path, engine.ok(&["generate", "systemd"]).stdout).expect("write");
    let output = std::process::Command::new(analyze).args(["verify", "--man=no"]).arg(&path).output().expect("run");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !words.contains("evercrew.service:"), "{words}");
}
