//! The engine as PID 1 of a container, and below an init that is not ours.

use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::{Engine, kernel};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(30);
const ORPHANS: usize = 1000;

/// Makes processes that lose their parent at once and then end, and some that stay; then says so.
const ORPHANAGE: &str = "#!/bin/sh
i=0
while [ $i -lt 1000 ]; do (true &); i=$((i + 1)); done
for i in 1 2 3; do (setsid sleep 1000 &); done
echo up
exec sleep 1000
";

fn orphanage(engine: &Engine) -> String {
    let script = engine.script("orphanage.sh", ORPHANAGE);
    format!(
        "[service.orphanage]\ncommand = [{script:?}]\nready = {{ output = \"up\" }}\n\
         [service.plain]\ncommand = [\"sleep\", \"1000\"]\nworkers = 2\n"
    )
}

/// No zombie stays below it. No event tells when the last one was reaped.
fn reaped_within(supervisor: &Process, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    while supervisor.zombies() > 0 {
        if Instant::now() > until {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// Orphans come and go, others stay: nothing of it is seen in the services.
fn adopts(mut engine: Engine) {
    let configuration = orphanage(&engine);
    engine.configure(&configuration);
    engine.start();
    engine.ready();
    let supervisor = engine.supervisor();
    assert!(reaped_within(&supervisor, SOON), "{} zombies", supervisor.zombies());
    // Manager, logger, three workers, and the three that stay and became its own.
    let children = supervisor.children();
    assert_eq!(children.len(), 8, "{children:?}");
    let strays: Vec<Process> = children
        .into_iter()
        .filter_map(Process::try_open)
        .filter(|process| process.title().contains("sleep 1000"))
        .filter(|process| {
            let environment = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains("EVERCREW_SERVICE=orphanage")
        })
        .collect();
    assert_eq!(strays.len(), 4, "the worker and three that left it");
    let before = engine.status();
    let orphan = strays.iter().max_by_key(|process| process.start_time()).expect("a stray");
    orphan.signal(Signal::Kill);
    assert!(orphan.gone_within(SOON) && reaped_within(&supervisor, SOON));
    let after = engine.status();
    assert_eq!(before["services"][1]["workers"][0]["pid"], after["services"][1]["workers"][0]["pid"]);
    for service in after["services"].as_array().expect("services") {
        assert_eq!(service["state"], "ready", "{after}");
        for worker in service["workers"].as_array().expect("workers") {
            assert_eq!((worker["restarts"].as_u64(), worker["last_exit"].is_null()), (Some(0), true), "{worker}");
        }
    }
    let exits = {
        let mut events = engine.events(1);
        events.drain_until(Instant::now());
        events.seen().filter(|event| event["kind"] == "worker.exit").count()
    };
    assert_eq!(exits, 0, "no orphan is taken for a worker");
    supervisor.signal(Signal::Term);
    assert_eq!(engine.wait(SOON), 0);
    for stray in strays {
        assert!(stray.gone_within(Duration::ZERO), "{} outlived the engine", stray.title());
    }
}

#[test]
fn as_pid_1_it_reaps_a_thousand_orphans_and_ends_those_that_stay() {
    let Some(view) = kernel::as_init() else { return println!("SKIP no process namespace can be made") };
    assert_eq!(ORPHANS.to_string(), "1000", "as the script says");
    adopts(Engine::new(EVERCREW, "").through(&view));
}

#[test]
fn below_a_foreign_init_it_reaps_a_thousand_orphans_and_ends_those_that_stay() {
    adopts(Engine::new(EVERCREW, ""));
}

#[test]
fn as_pid_1_it_knows_itself_and_its_workers_by_their_numbers_there() {
    let Some(view) = kernel::as_init() else { return println!("SKIP no process namespace can be made") };
    let mut engine =
        Engine::new(EVERCREW, "[service.plain]\ncommand = [\"sleep\", \"1000\"]\nworkers = 2\n").through(&view);
    engine.start();
    engine.ready();
    let status = engine.status();
    assert_eq!(status["supervisor"]["pid"], 1);
    let inside = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default().to_owned();
        line.split_whitespace().last().and_then(|pid| pid.parse::<u64>().ok())
    };
    let there: Vec<Option<u64>> = engine.supervisor().children().into_iter().map(inside).collect();
    for worker in engine.workers("plain") {
        assert!(there.contains(&worker.pid.map(u64::from)), "{worker:?} is not among {there:?}");
        assert!(worker.json["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{worker:?}");
    }
    engine.supervisor().signal(Signal::Term);
    assert_eq!(engine.wait(SOON), 0);
}

#[test]
fn as_pid_1_it_hands_term_on_and_ends_well() {
    let Some(view) = kernel::as_init() else { return println!("SKIP no process namespace can be made") };
    let mut engine = Engine::new(EVERCREW, "").through(&view);
    let told = engine.home().join("told");
    let text = format!(
        "#!/bin/sh\ntrap 'echo term > {}; exit 0' TERM\necho up\nwhile :; do sleep 0.05; done\n",
        told.display()
    );
    let script = engine.script("polite.sh", &text);
    engine.configure(&format!("[service.polite]\ncommand = [{script:?}]\nready = {{ output = \"up\" }}\n"));
    engine.start();
    engine.ready();
    engine.supervisor().signal(Signal::Term);
    assert_eq!(engine.wait(SOON), 0);
    assert_eq!(std::fs::read_to_string(told).expect("it was told"), "term\n");
}

#[test]
fn as_pid_1_its_exit_code_is_that_of_the_engine() {
    let Some(view) = kernel::as_init() else { return println!("SKIP no process namespace can be made") };
    let configuration = "[engine]\nexit = \"any-failed\"\n[service.once]\ncommand = [\"sh\", \"-c\", \"exit 42\"]\n\
                         unrecoverable_exit_codes = [42]\n";
    let mut engine = Engine::new(EVERCREW, configuration).through(&view);
    engine.start();
    assert_eq!(engine.wait(SOON), 42, "{}", engine.log());
}
