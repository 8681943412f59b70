//! How many workers there are, where they stand and when they leave; and the files of unix sockets.

use std::collections::BTreeMap;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use evercrew_e2e::Engine;

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);

/// Pids by name.
fn crew(engine: &Engine) -> BTreeMap<String, u32> {
    engine.workers("s").into_iter().filter_map(|worker| Some((worker.name, worker.pid?))).collect()
}

#[test]
fn workers_are_changed_both_ways_and_slots_keep_their_numbers() {
    let file = |workers: u32| format!("[service.s]\ncommand = [\"sleep\", \"1000\"]\nworkers = {workers}\n");
    let mut engine = Engine::up(EVERCREW, &file(4));
    let first = crew(&engine);
    engine.configure(&file(2));
    engine.ok(&["reload"]);
    engine.ok(&["scale", "s=+0"]);
    let fewer = crew(&engine);
    assert_eq!(fewer.keys().collect::<Vec<_>>(), ["s.1", "s.2"]);
    assert!(fewer.iter().all(|(name, pid)| first[name] == *pid), "{first:?} {fewer:?}");
    engine.configure(&file(5));
    engine.ok(&["reload"]);
    engine.ready();
    let more = crew(&engine);
    assert_eq!(more.keys().collect::<Vec<_>>(), ["s.1", "s.2", "s.3", "s.4", "s.5"]);
    assert!(fewer.iter().all(|(name, pid)| more[name] == *pid), "those that were there stay");
    assert_ne!(first["s.3"], more["s.3"]);
    assert_eq!(engine.down(), 0);
}

#[test]
fn auto_is_the_processors_and_web_concurrency_counts_where_nothing_is_said() {
    let cpus = std::thread::available_parallelism().expect("count").get();
    let sleep = "[service.s]\ncommand = [\"sleep\", \"1000\"]\n";
    for (more, variable, wanted) in
        [("workers = \"auto\"\n", None, cpus), ("", Some("3"), 3), ("workers = 1\n", Some("3"), 1)]
    {
        let mut engine = Engine::new(EVERCREW, &format!("{sleep}{more}"));
        if let Some(variable) = variable {
            engine = engine.with("WEB_CONCURRENCY", variable);
        }
        engine.start();
        engine.ready();
        assert_eq!(engine.pids("s").len(), wanted, "{more} {variable:?}");
        assert_eq!(engine.down(), 0);
    }
}

#[test]
fn first_starts_keep_their_distance() {
    let mut engine =
        Engine::new(EVERCREW, "[service.s]\ncommand = [\"sleep\", \"1000\"]\nworkers = 4\nstart_delay = \"400ms\"\n");
    let began = Instant::now();
    engine.start();
    engine.ready();
    // Three gaps; the spread is upwards alone.
    assert!(began.elapsed() >= Duration::from_millis(1200), "{:?}", began.elapsed());
    assert_eq!(engine.down(), 0);
}

#[test]
fn workers_of_one_age_leave_one_after_the_other_and_nobody_is_missing() {
    let mut engine = Engine::new(
        EVERCREW,
        "[service.s]\ncommand = [\"sleep\", \"1000\"]\nworkers = 8\nrecycle = { age = \"4s\", jitter = 0.9 }\n\
         rollout = { settle = \"50ms\" }\n",
    );
    engine.start();
    let mut events = engine.events(1);
    let mut drained = Vec::new();
    while drained.len() < 8 {
        let event = events.wait("a recycling", SOON, |event| event["kind"] == "worker.draining");
        assert_eq!(event["reason"], "recycle");
        drained.push(event["seq"].as_u64().expect("a number"));
    }
    let (mut ready, mut full, mut most) = (0_i32, false, 0);
    for event in events.seen() {
        match event["kind"].as_str().unwrap_or_default() {
            "worker.ready" => ready += 1,
            "worker.draining" => ready -= 1,
            _ => continue,
        }
        full |= ready == 8;
        most = most.max(ready);
        assert!(!full || ready >= 8, "only {ready} of 8 are ready at {event}");
    }
    assert_eq!(most, 9, "one beside them at a time");
    assert_eq!(engine.down(), 0);
}

#[test]
fn the_file_of_a_unix_socket_is_replaced_when_stale_respected_when_live_and_removed_by_its_owner_alone() {
    let mut engine = Engine::new(
        EVERCREW,
        "[listen.l]\naddress = \"unix:web.sock\"\n[service.s]\nbuiltin = \"hello\"\nlisten = [\"l\"]\n",
    );
    let path = engine.home().join("web.sock");
    let live = UnixListener::bind(&path).expect("bind");
    let refused = engine.run(&["up"]);
    assert_eq!(refused.code, 69, "{}", refused.stderr);
    assert!(refused.stderr.contains("web.sock"), "{}", refused.stderr);
    UnixStream::connect(&path).expect("the other one is untouched");
    drop(live);
    engine.start();
    engine.ready();
    UnixStream::connect(&path).expect("the stale file was replaced");
    assert_eq!(engine.down(), 0);
    assert!(!path.exists(), "its own file is removed");

    engine.start();
    engine.ready();
    std::fs::remove_file(&path).expect("remove");
    let _other = UnixListener::bind(&path).expect("somebody else takes the path");
    assert_eq!(engine.down(), 0);
    UnixStream::connect(&path).expect("what is somebody else's stays");
}
