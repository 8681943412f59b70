//! What workers tell by themselves, who may ask what, and what is counted.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use serde_json::{Value, json};

use crate::calls::{Asking, document, engine};

const SOON: Duration = Duration::from_secs(20);

/// The figure of one sample.
fn figure(metrics: &Value, name: &str, labels: &[(&str, &str)]) -> Option<Value> {
    let families = metrics["families"].as_array().expect("families");
    let family = families.iter().find(|family| family["name"] == name)?;
    let fits = |sample: &&Value| labels.iter().all(|(name, value)| sample["labels"][*name] == *value);
    family["samples"].as_array()?.iter().find(fits).map(|sample| sample["value"].clone())
}

pub(crate) fn scrape(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("ask");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

/// An address that nobody has.
pub(crate) fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

#[test]
fn workers_publish_events_and_may_ask_how_things_stand() {
    let mut engine = engine(2, "");
    let mut events = engine.events(1);
    engine.ok(&["call", "s.1", "event", "{\"times\":3}"]);
    for n in 0..3 {
        let event =
            events.wait("an event", SOON, |event| event["kind"] == "worker.event" && event["content"]["n"] == n);
        assert_eq!(
            (&event["worker"], &event["name"], &event["message"]),
            (&json!("s.1"), &json!("cache-cold"), &json!("all gone"))
        );
    }
    let asked = document(&engine.ok(&["call", "s.2", "ask", "--json"]));
    assert_eq!(asked["content"]["workers"][0]["content"], json!({"ready": 2, "id": "q"}));
    assert_eq!(engine.down(), 0);
}

#[test]
fn sums_of_workers_never_go_backwards_and_who_is_missing_is_named() {
    let address = free();
    let mut engine = engine(2, &format!("[metrics]\nlisten = \"{address}\"\n"));
    engine.ok(&["call", "s.1", "count", "{\"by\":3}"]);
    let metrics = document(&engine.ok(&["metrics", "--json"]));
    assert_eq!(metrics["missing"], json!(["s.2"]));
    engine.ok(&["call", "s.2", "count", "{\"by\":4}"]);
    let metrics = document(&engine.ok(&["metrics", "--json"]));
    let of_s = [("service", "s")];
    assert_eq!(metrics["missing"], json!([]));
    assert_eq!(figure(&metrics, "jobs_total", &of_s), Some(json!(7.0)));
    assert_eq!(figure(&metrics, "queue_length", &of_s), Some(json!(4.0)), "the highest, as asked");
    assert_eq!(figure(&metrics, "job_seconds", &of_s).expect("it")["count"], 7);
    assert_eq!(figure(&metrics, "evercrew_metrics_refused_total", &[("why", "name")]), Some(json!(2.0)));
    let mut events = engine.events(1);
    evercrew_e2e::processes::Process::open(engine.workers("s")[1].pid.expect("a process")).signal(Signal::Kill);
    events.wait("its successor", SOON, |event| {
        event["kind"] == "worker.ready" && event["worker"] == "s.2" && event["generation"] == 2
    });
    engine.ok(&["call", "s.2", "count", "{\"by\":1}"]);
    let text = scrape(address);
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.contains("text/plain; version=0.0.4"), "{text}");
    for line in [
        "jobs_total{service=\"s\"} 8",
        "queue_length{service=\"s\"} 3",
        "job_seconds_bucket{service=\"s\",le=\"0.1\"} 8",
        "job_seconds_count{service=\"s\"} 8",
        "evercrew_worker_exits_total{service=\"s\",reason=\"unasked\"} 1",
        "evercrew_service_workers_ready{service=\"s\"} 2",
        "evercrew_worker_reports{service=\"s\",worker=\"s.2\"} 1",
        "evercrew_commands_total{verb=\"metrics\"} 2",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
    for process in ["supervisor", "manager", "logger"] {
        assert!(text.contains(&format!("evercrew_process_open_fds{{process=\"{process}\"}} ")), "{text}");
    }
    assert!(text.contains("evercrew_worker_cpu_seconds_total{service=\"s\",worker=\"s.1\"} "), "{text}");
    // Those who say nothing are closed in time and delay no other.
    let silent: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(address).expect("connect")).collect();
    assert!(scrape(address).contains("jobs_total"));
    drop(silent);
    // The next manager serves there too.
    engine.manager().signal(Signal::Kill);
    engine.ready();
    let until = Instant::now() + SOON;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < until, "nobody serves metrics any more");
        std::thread::yield_now();
    }
    assert!(scrape(address).contains("evercrew_manager_generation 2"));
    assert_eq!(engine.down(), 0);
}

#[test]
fn what_siblings_accept_how_late_beats_are_and_how_long_a_drain_takes_is_told() {
    let port = free().port();
    let mut engine = evercrew_e2e::Engine::up(
        crate::EVERCREW,
        &format!(
            "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\nbuiltin = \"hello\"\nlisten = [\"web\"]\nworkers = 2\n\
             heartbeat = {{ interval = \"100ms\", timeout = \"30s\" }}\n"
        ),
    );
    let of_web = [("service", "web")];
    let until = Instant::now() + SOON;
    loop {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("ask");
            stream.read_to_end(&mut Vec::new()).expect("an answer");
        }
        // They tell it within 5 s.
        let metrics = document(&engine.ok(&["metrics", "--json"]));
        let lag = figure(&metrics, "evercrew_worker_heartbeat_lag_seconds", &of_web);
        let beats = lag.map_or(0, |lag| lag["count"].as_u64().expect("a count"));
        let ratio = figure(&metrics, "evercrew_service_accept_imbalance_ratio", &of_web);
        if let (Some(ratio), 1..) = (ratio, beats) {
            assert!((1.0..=2.0).contains(&ratio.as_f64().expect("a number")), "{ratio}");
            let accepted = |worker: &str| {
                let value = figure(&metrics, "evercrew_worker_accepted_total", &[("worker", worker)]);
                value.and_then(|value| value.as_f64()).unwrap_or(0.0)
            };
            assert!(accepted("web.1") + accepted("web.2") > 0.0, "{metrics}");
            break;
        }
        assert!(Instant::now() < until, "{metrics}");
    }
    engine.ok(&["restart", "web"]);
    let mut events = engine.events(1);
    for worker in ["web.1", "web.2"] {
        events.worker("worker.exit", worker, SOON);
    }
    let metrics = document(&engine.ok(&["metrics", "--json"]));
    assert_eq!(figure(&metrics, "evercrew_worker_drain_seconds", &of_web).expect("it")["count"], 2, "{metrics}");
    let exits = [("service", "web"), ("reason", "rollout")];
    assert_eq!(figure(&metrics, "evercrew_worker_exits_total", &exits), Some(json!(2.0)));
    assert_eq!(engine.down(), 0);
}

#[test]
fn roles_are_by_group_and_user_and_every_change_is_written_down() {
    let as_user = |user: &str, group: &str| {
        ["setpriv", "--reuid", user, "--regid", group, "--clear-groups"].map(str::to_owned).to_vec()
    };
    if !evercrew_sys::user::current().0.eq(&0) {
        return println!("SKIP only root can be somebody else");
    }
    let mut engine = engine(1, "[control]\ngroup = \"games\"\nviewers = [\"daemon\"]\nadmins = [\"sys\"]\n");
    // The way to the directory is everybody's here.
    std::fs::set_permissions(engine.home(), PermissionsExt::from_mode(0o755)).expect("let others through");
    let directory = engine.home().join(".evercrew");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it").permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&directory.join("control.sock"))), (0o710, 0o660));
    let run = |user: &str, group: &str, arguments: &[&str]| {
        let words = as_user(user, group);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let directory = directory.display().to_string();
        engine.run_under(&words, &[&["--directory", &directory], arguments].concat())
    };
    let cases = [
        ("nobody", "nogroup", &["status"][..], 77),
        ("daemon", "games", &["status"], 0),
        ("daemon", "games", &["metrics"], 0),
        ("daemon", "games", &["scale", "s=1"], 77),
        ("daemon", "games", &["call", "s", "echo"], 77),
        ("games", "games", &["scale", "s=2"], 0),
        ("games", "games", &["call", "s", "echo"], 0),
        ("games", "games", &["down"], 77),
        ("sys", "games", &["log-level", "debug"], 0),
    ];
    for (user, group, arguments, code) in cases {
        let output = run(user, group, arguments);
        assert_eq!(output.code, code, "{user} {arguments:?}: {output:?}");
        if code == 77 && user != "nobody" {
            assert!(output.stderr.contains("is not permitted") && output.stderr.contains("help:"), "{output:?}");
        }
    }
    let mut events = engine.events(1);
    let refused = events.wait("a refusal", SOON, |event| event["kind"] == "engine.command" && event["code"] == 77);
    assert_eq!((&refused["uid"], &refused["role"]), (&json!(1), &json!("viewer")));
    let event = events.wait("a command", SOON, |event| {
        event["kind"] == "engine.command" && event["verb"] == "scale" && event["status"] == "ok"
    });
    assert_eq!((&event["uid"], &event["role"]), (&json!(5), &json!("operator")));
    assert!(
        event["pid"].is_u64() && event["took_seconds"].is_number() && event["args"] == "{\"names\":[\"s=2\"]}",
        "{event}"
    );
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_call_is_in_the_log_with_an_outcome_for_each_worker_whatever_the_level() {
    let mut engine = engine(2, "[log]\nlevel = \"fatal\"\n");
    assert_eq!(engine.run(&["call", "s", "fail", "{\"who\":\"s.2\"}"]).code, 1);
    engine.ok(&["scale", "s=1"]);
    assert_eq!(engine.down(), 0);
    let log = engine.log();
    let line =
        |word: &str| log.lines().find(|line| line.contains("audit: uid ") && line.contains(word)).map(str::to_owned);
    let call = line(": call ").expect("the call");
    assert!(call.contains("failure 1 after") && call.contains("s.1 ok, s.2 failed"), "{call}");
    assert!(line(": scale ").is_some_and(|line| line.contains(": ok after")), "{log}");
}

/// A hundred follow, ten of whom read nothing until the end: each has events and gaps that make the whole.
#[test]
fn a_hundred_subscribers_of_whom_ten_sleep_have_all_events_or_are_told_how_many_not() {
    let mut engine = engine(1, "");
    let mut followers: Vec<Asking> = (0..100).map(|_| Asking::new(&engine)).collect();
    let begin = {
        let reply = followers[0].ask_now(json!({"id": "v", "verb": "events"}));
        reply["content"]["next"].as_u64().expect("a number")
    };
    for follower in &mut followers {
        let args = json!({"follow": true, "since": begin, "kind": ["worker.event"]});
        assert_eq!(follower.ask_now(json!({"id": "f", "verb": "events", "args": args}))["status"], "processing");
    }
    // More than are kept, for those who sleep; as fast as a worker may say them.
    let total = if std::env::var_os("EVERCREW_LONG").is_some() { 6000 } else { 300 };
    let (sleeping, awake) = followers.split_at_mut(10);
    let mut caller = Asking::new(&engine);
    caller.ask(json!({"id": "c", "verb": "call", "args": {"names": ["s"], "call": "event", "with": {"times": total}},
                      "deadline_ms": 600_000}));
    for follower in awake.iter_mut() {
        assert_eq!(counted(follower, total), (u64::from(total), 0), "who reads misses nothing");
    }
    assert_eq!(caller.reply()["status"], "ok");
    for follower in sleeping.iter_mut() {
        let (events, lost) = counted(follower, total);
        assert_eq!(events + lost, u64::from(total));
    }
    let status = caller.ask_now(json!({"id": "s", "verb": "status"}));
    assert_eq!(status["status"], "ok");
    assert_eq!(engine.down(), 0);
}

/// Events and how many are told to be missing, until the last one.
fn counted(follower: &mut Asking, total: u32) -> (u64, u64) {
    let (mut events, mut lost) = (0, 0);
    loop {
        let reply = follower.reply();
        let content = &reply["content"];
        match content["lost"].as_u64() {
            Some(count) => lost += count,
            None => {
                events += 1;
                if content["content"]["n"] == total - 1 {
                    return (events, lost);
                }
            }
        }
    }
}

#[test]
fn a_follower_begins_with_a_snapshot_that_no_event_is_missing_after() {
    let mut engine = engine(1, "");
    let mut follower = Asking::new(&engine);
    let first = follower.ask_now(json!({"id": "f", "verb": "events", "args": {"follow": true, "snapshot": true}}));
    let snapshot = &first["content"]["snapshot"];
    assert_eq!((&snapshot["services"][0]["name"], &snapshot["services"][0]["ready"]), (&json!("s"), &json!(1)));
    let next = first["content"]["next"].as_u64().expect("a number");
    engine.ok(&["call", "s", "event"]);
    assert_eq!(follower.reply()["content"]["seq"], next);
    assert_eq!(engine.down(), 0);
}

/// Bytes of every kind: only those who send them are closed.
#[test]
fn hostile_frames_close_nobody_else_and_cost_no_memory() {
    let mut engine = engine(1, "");
    let (mut good, manager) = (Asking::new(&engine), engine.manager());
    let frames = if std::env::var_os("EVERCREW_LONG").is_some() { 100_000 } else { 10_000 };
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut warm = 0;
    for n in 0..frames {
        let mut bytes: Vec<u8> = match draw() % 6 {
            0 => (0..draw() % 300).map(|_| (draw() & 0xff) as u8).collect(),
            1 => format!("{{\"id\":\"{n}\",\"verb\":\"{}\"}}", draw()).into_bytes(),
            2 => b"{\"id\":\"1\",\"verb\":\"call\",\"args\":{\"names\":[\"s\"],\"call\":[[[[".to_vec(),
            3 => b"[".repeat(200),
            4 => format!("{{\"id\":{n},\"verb\":\"status\"}}").into_bytes(),
            _ => format!("{{\"id\":\"x\",\"verb\":\"scale\",\"args\":{{\"names\":{}}}}}", draw()).into_bytes(),
        };
        bytes.push(b'\n');
        let mut stream =
            std::os::unix::net::UnixStream::connect(engine.home().join(".evercrew/control.sock")).expect("connect");
        // One that was refused before may be closed by now.
        let _ = stream.write_all(&bytes);
        if n == frames / 2 {
            warm = manager.anonymous_kib();
        }
        if n % 500 == 0 {
            assert_eq!(good.ask_now(json!({"id": "g", "verb": "version"}))["status"], "ok");
        }
    }
    let grown = manager.anonymous_kib().saturating_sub(warm);
    assert!(grown < 8 * 1024, "the manager grew by {grown} KiB");
    assert_eq!(good.ask_now(json!({"id": "g", "verb": "status"}))["status"], "ok");
    assert_eq!(engine.down(), 0);
}
