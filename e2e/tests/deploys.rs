//! Deploys of real programs: code that cannot start, code that takes its time, and managers that die in the middle.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::census::{Bounds, Census};
use evercrew_e2e::programs::{apps, free_port, program};
use evercrew_e2e::{Engine, Events, volume};
use evercrew_load::{Fault, Load, LoadThread};
use serde_json::Value;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(60);
/// Every load ends by itself, should its test hang.
const LONGEST: Duration = Duration::from_secs(900);

fn load(port: u16) -> LoadThread {
    let load = Load::builder(SocketAddr::from(([127, 0, 0, 1], port))).path("/pid").pids().duration(LONGEST);
    let load = load.rate(60.0).keep_alive(2).fresh(4).start_thread().expect("start the load");
    assert!(load.wait_answers(20, SOON), "nobody answers\n{}", load.report());
    load
}

/// Ends a load under which foreign processes ended in good order: what they had accepted is their own affair.
fn none_refused(load: LoadThread, what: &str) {
    let report = load.stop();
    let own = [Fault::Reset, Fault::ResetMidway, Fault::Closed, Fault::Short];
    let own: u64 = own.into_iter().map(|fault| report.count(fault)).sum();
    assert!(report.ok > 0 && report.failed() == own, "{what}: {report}");
    println!("{what}: {} answered, {own} cut by the program's own end", report.ok);
}

/// Who serves; those that were told to leave may still be there.
fn ready(engine: &Engine) -> Vec<u32> {
    let workers = engine.workers("web");
    workers.iter().filter(|worker| worker.state == "ready").filter_map(|worker| worker.pid).collect()
}

/// Two workers of this command, with the text of a program in `app.py` beside the configuration.
fn python_app(command: &[&str], source: &str, settings: &str) -> Option<(Engine, u16)> {
    let program = program(command[0])?;
    let port = free_port();
    let mut engine = Engine::new(EVERCREW, "");
    let home = engine.home().display().to_string();
    let command: Vec<String> =
        std::iter::once(program).chain(command[1..].iter().map(|w| w.replace("HOME", &home))).collect();
    // Without a cache: two texts of one second and length are the same to it.
    engine.configure(&format!(
        "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\ncommand = {command:?}\nlisten = [\"web\"]\n\
         workers = 2\nready = \"notify\"\nenv = {{ PYTHONDONTWRITEBYTECODE = \"1\" }}\n{settings}\n"
    ));
    std::fs::copy(apps().join(source), engine.home().join("app.py")).expect("copy the program");
    engine.start();
    engine.ready();
    Some((engine, port))
}

const BROKEN: &str = "def app(:\n    pass\n";

/// A deploy of code that does not parse, and then, where `mend` says so, of code that does.
fn a_syntax_error_is_stopped(command: &[&str], source: &str, settings: &str, mend: bool) {
    let Some((engine, port)) = python_app(command, source, settings) else { return };
    let what = command.join(" ");
    let before = engine.pids("web");
    let load = load(port);
    std::fs::write(engine.home().join("app.py"), BROKEN).expect("write the program");
    let output = engine.run(&["restart", "web"]);
    assert_eq!(output.code, 1, "{what}: {}", output.stderr);
    assert!(output.stderr.contains("SyntaxError"), "{what}: its own words: {}", output.stderr);
    assert_eq!(ready(&engine), before, "{what}: every old worker serves");
    let mut events = engine.events(1);
    events.wait("rollout.stopped", SOON, |event| event["kind"] == "rollout.stopped" && event["worker"] == "web.1");
    let spawned = events.seen().filter(|event| event["kind"] == "worker.spawn").count();
    assert_eq!(spawned, 3, "{what}: one worker was tried");
    if mend {
        std::fs::copy(apps().join(source), engine.home().join("app.py")).expect("copy the program");
        engine.ok(&["restart", "web"]);
        let after = ready(&engine);
        assert!(after.len() == 2 && after.iter().all(|pid| !before.contains(pid)), "{what}: {after:?}");
    }
    none_refused(load, &what);
}

#[test]
fn a_syntax_error_under_uvicorn_is_stopped_with_its_words() {
    let command = ["uvicorn", "--app-dir", "HOME", "app:app", "--fd", "3", "--no-access-log"];
    a_syntax_error_is_stopped(&command, "asgi.py", "rollout = { settle = \"300ms\" }", true);
}

#[test]
fn a_syntax_error_under_gunicorn_is_stopped_with_its_words() {
    let command = ["gunicorn", "--chdir", "HOME", "--no-control-socket", "--workers", "1", "--preload", "app:app"];
    a_syntax_error_is_stopped(&command, "wsgi.py", "rollout = { settle = \"300ms\" }", true);
}

#[test]
fn a_master_that_is_ready_before_its_worker_can_start_is_stopped_while_it_proves_itself() {
    let command = ["gunicorn", "--chdir", "HOME", "--no-control-socket", "--workers", "1", "app:app"];
    a_syntax_error_is_stopped(&command, "wsgi.py", "rollout = { settle = \"300ms\", prove = \"20s\" }", false);
}

#[test]
fn a_boot_of_any_length_costs_no_request_and_no_worker() {
    let Some(node) = program("node") else { return };
    let script = apps().join("server.js");
    let long = std::env::var_os("EVERCREW_LONG").is_some();
    for boot in [0, 1, 10].into_iter().take(if long { 3 } else { 2 }) {
        let port = free_port();
        let command = format!("sleep {boot}; exec {node} {}", script.display());
        let engine = Engine::up(
            EVERCREW,
            &format!(
                "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\ncommand = [\"sh\", \"-c\", {command:?}]\n\
                 listen = [\"web\"]\nworkers = 2\nready = {{ fd = 4 }}\nenv = {{ READY_FD = \"4\" }}\n\
                 rollout = {{ settle = \"100ms\" }}\n"
            ),
        );
        let before = engine.pids("web");
        let load = load(port);
        engine.ok(&["restart", "web"]);
        let after = ready(&engine);
        assert!(after.len() == 2 && after.iter().all(|pid| !before.contains(pid)), "boot {boot}: {after:?}");
        let mut events = engine.events(1);
        events.wait("rollout.finished", SOON, |event| event["kind"] == "rollout.finished");
        let mut census = Census::of("web");
        let mut begun = false;
        for event in events.seen() {
            begun |= event["kind"] == "rollout.started";
            let allowed = Bounds { ready: if begun { 2 } else { 0 }, processes: 3 };
            assert_eq!(census.note(event, allowed), None, "boot {boot}");
        }
        assert_eq!((census.fewest, census.most), (2, 3), "boot {boot}");
        none_refused(load, &format!("boot of {boot} s"));
    }
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// The variable ROUND of a worker.
fn round_of(pid: u32) -> Option<String> {
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).ok()?;
    environment.split('\0').find_map(|entry| entry.strip_prefix("ROUND=").map(str::to_owned))
}

fn under_way(engine: &Engine) -> usize {
    let output = engine.ok(&["rollout", "status", "--json"]);
    let content: Value = serde_json::from_str(&output.stdout).expect("JSON");
    content["rollouts"].as_array().expect("a list").len()
}

/// Waits until no rollout is under way and nobody drains; who is there then.
fn converged(engine: &Engine, events: &mut Events, what: &str) -> Vec<u32> {
    let until = Instant::now() + SOON;
    loop {
        engine.ready();
        let workers = engine.workers("web");
        if under_way(engine) == 0 && workers.len() == 2 && workers.iter().all(|worker| worker.state == "ready") {
            return workers.iter().filter_map(|worker| worker.pid).collect();
        }
        assert!(Instant::now() < until, "{what}: {workers:#?}");
        events.drain_until(Instant::now() + Duration::from_millis(50));
    }
}

#[test]
fn rollouts_and_reloads_whose_managers_are_killed_at_random_moments_converge() {
    let port = free_port();
    let text = |round: usize| {
        format!(
            "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\nbuiltin = \"hello\"\nlisten = [\"web\"]\n\
             workers = 2\nrollout = {{ settle = \"50ms\" }}\nenv = {{ ROUND = \"{round}\" }}\n"
        )
    };
    let mut engine = Engine::up(EVERCREW, &text(0));
    let mut events = engine.events(1);
    let (mut dice, mut at, mut before) = (Dice(0x9E37_79B9_7F4A_7C15), 0, engine.pids("web"));
    let (mut changed, mut unchanged) = (0, 0);
    let load = load(port);
    for round in 1..=volume(60) {
        let reloads = round % 2 == 0;
        engine.configure(&text(if reloads { round } else { at }));
        let asked = std::thread::scope(|scope| {
            let words: &[&str] = if reloads { &["reload"] } else { &["restart", "web"] };
            let asked = scope.spawn(|| engine.run(words));
            for _ in 0..=dice.below(3) {
                events.drain_until(Instant::now() + Duration::from_millis(dice.below(500)));
                engine.manager().signal(Signal::Kill);
            }
            asked.join().expect("no panic")
        });
        let what = format!("round {round}: {} {}", asked.code, asked.stderr);
        let after = converged(&engine, &mut events, &what);
        let of: BTreeSet<Option<String>> = after.iter().map(|pid| round_of(*pid)).collect();
        let kept = after.iter().filter(|pid| before.contains(pid)).count();
        assert!(kept == 0 || kept == 2, "{what}: half of it was done: {before:?} became {after:?}");
        assert!(asked.code != 0 || kept == 0, "{what}: it was said to be done: {before:?} became {after:?}");
        if reloads && kept == 0 {
            at = round;
        }
        assert_eq!(of, BTreeSet::from([Some(at.to_string())]), "{what}");
        *(if kept == 0 { &mut changed } else { &mut unchanged }) += 1;
        before = after;
    }
    println!("{changed} went through, {unchanged} changed nothing");
    engine.configure(&text(volume(60) + 1));
    engine.ok(&["reload"]);
    let report = load.stop();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.idle_closes + report.idle_resets, 0, "{report}");
    assert_eq!(engine.down(), 0);
}
