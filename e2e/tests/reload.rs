//! A configuration that is read again: what changes, what does not, and what it costs those who are served.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::programs::free_port;
use evercrew_e2e::{Engine, volume};
use evercrew_load::{Fault, Load, LoadThread};
use serde_json::Value;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(30);
/// Every load ends by itself, should its test hang.
const LONGEST: Duration = Duration::from_secs(600);

/// A listener and a service of built-in workers on it.
fn hello(name: &str, port: u16, keys: &str) -> String {
    format!(
        "[listen.{name}]\naddress = \"127.0.0.1:{port}\"\n[service.{name}]\nbuiltin = \"hello\"\nlisten = [\"{name}\"]\n\
         rollout = {{ settle = \"50ms\" }}\n{keys}\n"
    )
}

fn load(port: u16) -> LoadThread {
    let load = Load::builder(SocketAddr::from(([127, 0, 0, 1], port))).expect_prefix("Hello from Evercrew\n").pids();
    let load = load.rate(800.0).keep_alive(16).fresh(16).duration(LONGEST).start_thread().expect("start the load");
    assert!(load.wait_answers(200, SOON), "nobody answers\n{}", load.report());
    load
}

fn revision(engine: &Engine) -> u64 {
    engine.status()["revision"].as_u64().expect("a revision")
}

fn service<'a>(status: &'a Value, name: &str) -> &'a Value {
    let services = status["services"].as_array().expect("services");
    services.iter().find(|service| service["name"] == name).expect("the service")
}

#[test]
fn each_service_gets_what_its_change_means_and_no_more() {
    let (web, api, late) = (free_port(), free_port(), free_port());
    let before = hello("web", web, "workers = 2") + &hello("api", api, "");
    let mut engine = Engine::up(EVERCREW, &before);
    let (web_pids, api_pids) = (engine.pids("web"), engine.pids("api"));
    assert_eq!(engine.ok(&["reload"]).stdout, "web: nothing\napi: nothing\n");
    assert_eq!(revision(&engine), 1);

    engine.configure(&(hello("web", web, "workers = 3") + &hello("api", api, "env = { A = \"b\" }")));
    let plan = "web: live (workers)\napi: roll (env)\n";
    assert_eq!(engine.ok(&["reload", "--dry-run"]).stdout, plan);
    assert_eq!((revision(&engine), engine.pids("web"), engine.pids("api")), (1, web_pids.clone(), api_pids.clone()));
    assert_eq!(engine.ok(&["reload"]).stdout, plan);
    assert_eq!(revision(&engine), 2);
    assert_eq!(engine.pids("web")[..2], web_pids, "a live change touches no worker");
    assert_ne!(engine.pids("api"), api_pids);
    let status = engine.status();
    assert_eq!(
        (service(&status, "web")["revision"].as_u64(), service(&status, "api")["revision"].as_u64()),
        (Some(1), Some(2))
    );

    let gone = engine.pids("api");
    engine.configure(&(hello("web", web, "workers = 3") + &hello("late", late, "")));
    let output = engine.ok(&["reload"]).stdout;
    assert!(output.contains("late: start (new)") && output.contains("api: stop (removed)"), "{output}");
    assert!(TcpStream::connect(("127.0.0.1", late)).is_ok() && TcpStream::connect(("127.0.0.1", api)).is_err());
    assert!(
        gone.iter().all(|pid| evercrew_e2e::processes::Process::try_open(*pid).is_none_or(|process| !process.lives()))
    );
    assert_eq!(engine.run(&["status", "api"]).code, 4);
    engine.manager().signal(Signal::Kill);
    engine.ready();
    assert_eq!((revision(&engine), engine.pids("web")[..2].to_vec()), (3, web_pids));
    assert_eq!(engine.down(), 0);
}

#[test]
fn what_scale_and_stop_set_outlives_a_reload_that_does_not_touch_it() {
    let (web, api) = (free_port(), free_port());
    let text = |workers: &str, mode: &str| {
        hello("web", web, &format!("{workers}\nenv = {{ MODE = \"{mode}\" }}")) + &hello("api", api, "")
    };
    let engine = Engine::up(EVERCREW, &text("workers = 1", "a"));
    engine.ok(&["scale", "web=3"]);
    engine.ok(&["stop", "api"]);
    engine.configure(&text("workers = 1", "b"));
    engine.ok(&["reload"]);
    assert_eq!(engine.pids("web").len(), 3);
    assert_eq!(service(&engine.status(), "api")["state"], "stopped");
    engine.configure(&text("workers = 2", "b"));
    engine.ok(&["reload"]);
    assert_eq!(engine.pids("web").len(), 2);
}

#[test]
fn the_engines_directory_stays_and_what_is_in_it_too() {
    let service = "[service.a]\ncommand = [\"sleep\", \"1000\"]\n";
    let mut engine = Engine::up(EVERCREW, service);
    engine.configure(&format!("[engine]\ndirectory = \"other\"\n{service}"));
    let directory = engine.home().join(".evercrew");
    let reload = engine.run(&["--directory", directory.to_str().expect("a path"), "reload"]);
    assert_eq!((reload.code, reload.stdout.as_str()), (0, "a: nothing\n"), "{}", reload.stderr);
    assert!(reload.stderr.contains("engine.directory cannot change while the engine runs"), "{}", reload.stderr);
    assert!(!engine.home().join("other").exists());
    engine.configure(service);
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let port = free_port();
    let engine = Engine::up(EVERCREW, &hello("web", port, "workers = 2"));
    let pids = engine.pids("web");
    let mut events = engine.events(1);
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let taken = (taken.local_addr().expect("its address").port(), taken);
    let refused = [
        (hello("web", port, "workerz = 2"), "unknown key `workerz`"),
        ("[service.web]\ncommand = [\"./missing\"]\n".to_owned(), "does not exist"),
        ("[service.a]\ncommand = [\"true\"]\nafter = [\"a\"]\n".to_owned(), "after"),
        (hello("web", port, "") + &hello("api", taken.0, ""), "cannot listen for `api`"),
        // It cannot become ready: nothing that a check could find is wrong with it.
        (hello("web", port, "workers = 2\nlimits = { nofile = 4 }"), "did not become ready"),
    ];
    for (text, why) in refused {
        engine.configure(&text);
        let output = engine.run(&["reload"]);
        assert_eq!(output.code, 78, "{text}\n{}", output.stderr);
        assert!(output.stderr.contains(why) && output.stderr.contains("nothing was changed"), "{}", output.stderr);
        events.wait("the refusal", SOON, |event| event["kind"] == "reload.refused");
        assert_eq!(revision(&engine), 1);
    }
    engine.configure(&hello("web", port, "workers = 2"));
    engine.ok(&["reload"]);
    assert_eq!(engine.pids("web"), pids);
}

#[test]
fn a_command_that_fails_is_in_force_but_not_in_service_and_is_tried_again() {
    let text = |command: &str| {
        format!("[service.job]\ncommand = [\"sh\", \"-c\", \"{command}\"]\nrollout = {{ settle = \"300ms\" }}\n")
    };
    let engine = Engine::up(EVERCREW, &text("exec sleep 1000"));
    let pids = engine.pids("job");
    engine.configure(&text("exit 3"));
    for _ in 0..2 {
        let output = engine.run(&["reload"]);
        assert_eq!((output.code, output.stdout.as_str()), (1, "job: roll (command)\n"), "{}", output.stderr);
        assert_eq!(engine.pids("job"), pids, "the old worker serves on");
    }
    // A manager that dies now has both commands: the one in force, and the one that runs.
    engine.manager().signal(Signal::Kill);
    engine.ready();
    engine.configure(&text("exec sleep 1000"));
    assert_eq!(engine.ok(&["reload"]).stdout, "job: nothing\n");
    assert_eq!(engine.pids("job"), pids);
}

#[test]
fn a_signal_reloads_included_and_environment_files_too() {
    let engine = Engine::new(EVERCREW, "include = [\"*.part\"]\n");
    let job = "[service.job]\ncommand = [\"sleep\", \"1000\"]\nenv_file = \"job.env\"\nrollout = { settle = \"0s\" }\n";
    std::fs::write(engine.home().join("job.part"), job).expect("a file");
    std::fs::write(engine.home().join("job.env"), "A=1\n").expect("a file");
    let mut engine = engine;
    engine.start();
    engine.ready();
    let mut events = engine.events(1);
    std::fs::write(engine.home().join("job.env"), "A=2\n").expect("a file");
    engine.supervisor().signal(Signal::Hup);
    let committed = events.wait("the commit", SOON, |event| event["kind"] == "reload.committed");
    assert_eq!(committed["revision"], 2, "{committed}");
    std::fs::write(engine.home().join("job.part"), "broken = [").expect("a file");
    engine.supervisor().signal(Signal::Hup);
    events.wait("the refusal", SOON, |event| event["kind"] == "reload.refused");
    std::fs::write(engine.home().join("job.part"), job.to_owned() + "workers = 2\n").expect("a file");
    engine.supervisor().signal(Signal::Hup);
    events.wait("the second commit", SOON, |event| event["kind"] == "reload.committed" && event["revision"] == 3);
    engine.ready();
    assert_eq!(engine.pids("job").len(), 2);
}

#[test]
fn reloads_good_and_bad_listeners_that_come_and_go_and_killed_managers_cost_no_request() {
    let (web, more) = (free_port(), free_port());
    let mut engine = Engine::up(EVERCREW, &hello("web", web, "workers = 2"));
    let load = load(web);
    let until = Instant::now() + LONGEST;
    for round in 0..volume(100) {
        assert!(Instant::now() < until);
        let keys = format!("workers = 2\nenv = {{ ROUND = \"{round}\" }}");
        let text = match round % 5 {
            0 | 1 => hello("web", web, &keys) + &hello("more", more, ""),
            2 => hello("web", web, "workerz = 1"),
            _ => hello("web", web, &keys),
        };
        engine.configure(&text);
        if round % 3 == 1 {
            let manager = engine.manager();
            std::thread::scope(|scope| {
                let reload = scope.spawn(|| engine.run(&["reload"]));
                manager.signal(Signal::Kill);
                reload.join().expect("no panic");
            });
            engine.ready();
        }
        let output = engine.run(&["reload", "--timeout", "60s"]);
        assert_eq!(output.code, if round % 5 == 2 { 78 } else { 0 }, "{round}: {}", output.stderr);
        let listens = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], more)), Duration::from_secs(5));
        assert_eq!(listens.is_ok(), matches!(round % 5, 0..=2), "{round}: {}", output.stderr);
    }
    let report = load.stop();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.idle_closes + report.idle_resets, 0, "{report}");
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_listener_that_is_removed_under_load_answers_whoever_was_let_in() {
    let (web, old) = (free_port(), free_port());
    let engine = Engine::up(EVERCREW, &(hello("web", web, "") + &hello("old", old, "workers = 2")));
    let client = Load::builder(SocketAddr::from(([127, 0, 0, 1], old))).expect_prefix("Hello from Evercrew\n");
    let load = client.rate(800.0).fresh(32).duration(LONGEST).start_thread().expect("start the load");
    assert!(load.wait_answers(200, SOON), "{}", load.report());
    engine.configure(&hello("web", web, ""));
    engine.ok(&["reload"]);
    assert!(TcpStream::connect(("127.0.0.1", old)).is_err());
    let report = load.stop();
    // Those who came too late are refused or not let in; nobody who was is cut off.
    let cut = [Fault::Reset, Fault::ResetMidway, Fault::Closed, Fault::Short, Fault::Wrong, Fault::Timeout];
    let cut: u64 = cut.into_iter().map(|fault| report.count(fault)).sum();
    assert_eq!(cut, 0, "{report}");
}

/// For programs that take an inherited socket for a non-blocking one; a reload changes it for all that share it.
#[test]
fn a_listener_is_blocking_or_not_as_it_is_asked_for() {
    let Some(python) = evercrew_e2e::programs::program("python") else { return };
    let script = "import fcntl, os, time\nwhile True:\n print(bool(fcntl.fcntl(3, fcntl.F_GETFL) & os.O_NONBLOCK), flush=True)\n \
                  time.sleep(0.05)\n";
    let configuration = |key: &str| {
        format!(
            "[listen.l]\naddress = \"127.0.0.1:0\"\n{key}[service.s]\ncommand = [{python:?}, \"-c\", {script:?}]\nlisten = [\"l\"]\n"
        )
    };
    let mut engine = Engine::up(EVERCREW, &configuration("nonblocking = true\n"));
    let says = |word: &str| {
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while !engine.ok(&["logs", "s", "-n", "1"]).stdout.trim_end().ends_with(word) {
            assert!(std::time::Instant::now() < until, "it never says {word}");
        }
    };
    says("True");
    let pids = engine.pids("s");
    engine.configure(&configuration(""));
    engine.ok(&["reload"]);
    says("False");
    assert_eq!(engine.pids("s"), pids, "nobody is replaced for it");
    assert_eq!(engine.down(), 0);
}
