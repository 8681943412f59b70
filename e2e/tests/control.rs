//! The command socket under clients that read slowly, not at all, ask too much or leave half-way.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use evercrew_e2e::{Engine, volume};
use evercrew_sys::limits;
use serde_json::{Value, json};

use crate::EVERCREW;

const SOON: Duration = Duration::from_secs(20);
/// A service that gets ready when the file `go` appears in the engine's directory.
const HELD: &str = "[service.held]\nready = { fd = 5 }\ncommand = [\"sh\", \"-c\", \
                    \"while ! test -e go; do sleep 0.05; done; echo >&5; exec sleep 1000\"]\n";

struct Client(BufReader<UnixStream>);

impl Client {
    fn new(engine: &Engine) -> Self {
        let stream = UnixStream::connect(engine.home().join(".evercrew/control.sock")).expect("connect");
        stream.set_read_timeout(Some(SOON)).expect("set a timeout");
        Self(BufReader::new(stream))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("send");
    }

    fn ask(&mut self, id: &str, verb: &str, args: &Value) {
        self.send(&format!("{}\n", json!({"id": id, "verb": verb, "args": args})));
    }

    fn half_close(&self) {
        self.0.get_ref().shutdown(Shutdown::Write).expect("half-close");
    }

    /// The next reply, or `None` at the end.
    fn reply(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).expect("a reply in time");
        (read > 0).then(|| serde_json::from_str(&line).expect("JSON"))
    }

    fn said(&mut self) -> Value {
        self.reply().expect("a reply")
    }
}

fn sleepers(workers: usize) -> String {
    format!("[service.sleep]\ncommand = [\"sleep\", \"10000\"]\nworkers = {workers}\n")
}

fn pipelined(verb: &str, count: usize) -> String {
    (0..count).map(|n| format!("{}\n", json!({"id": n.to_string(), "verb": verb}))).collect()
}

fn answers_within_a_second(engine: &Engine) {
    let began = Instant::now();
    let mut client = Client::new(engine);
    client.ask("1", "status", &json!({}));
    assert_eq!(client.said()["status"], "ok");
    assert!(began.elapsed() < Duration::from_secs(1), "status took {:?}", began.elapsed());
}

#[test]
fn a_follower_that_reads_late_gets_every_event_of_an_engine_at_rest() {
    let mut engine = Engine::up(EVERCREW, &sleepers(2));
    let mut late = Client::new(&engine);
    late.ask("e", "events", &json!({"follow": true, "since": 1}));
    engine.ok(&["scale", "sleep=400", "--timeout", "60s"]);
    engine.ok(&["scale", "sleep=1", "--timeout", "60s"]);
    let mut other = Client::new(&engine);
    other.ask("n", "events", &json!({"since": u64::MAX}));
    let next = other.said()["content"]["next"].as_u64().expect("a number");
    assert!(next > 1500, "too few events to fill the queue: {next}");
    assert_eq!(late.said()["message"], "following");
    for number in 1..next {
        assert_eq!(late.said()["content"]["seq"], number);
    }
    assert_eq!(engine.down(), 0);
}

#[test]
fn clients_that_read_nothing_cost_little_and_lose_nothing() {
    let mut engine = Engine::up(EVERCREW, &sleepers(20));
    let manager = engine.manager();
    let before = resident(manager.pid);
    let mut deaf: Vec<Client> = (0..10).map(|_| Client::new(&engine)).collect();
    for client in &mut deaf {
        client.ask("e", "events", &json!({"follow": true}));
        client.send(&pipelined("status", 400));
    }
    for _ in 0..20 {
        answers_within_a_second(&engine);
    }
    let grown = resident(manager.pid).saturating_sub(before);
    assert!(grown < 12 * 1024 * 1024, "10 deaf clients took {grown} bytes");
    for mut client in deaf {
        let mut statuses = 0;
        while statuses < 400 {
            let reply = client.said();
            if reply["id"] != "e" {
                assert_eq!(reply["id"], statuses.to_string());
                statuses += 1;
            }
        }
    }
    assert_eq!(engine.down(), 0);
}

fn resident(pid: u32) -> u64 {
    evercrew_sys::process::memory(pid).expect("its memory")
}

#[test]
fn clients_that_ask_without_end_take_turns_with_others() {
    let mut engine = Engine::up(EVERCREW, &sleepers(100));
    let mut greedy: Vec<Client> = (0..3).map(|_| Client::new(&engine)).collect();
    std::thread::scope(|scope| {
        for client in &mut greedy {
            scope.spawn(|| {
                client.send(&pipelined("status", 200));
                for _ in 0..200 {
                    assert_eq!(client.said()["status"], "ok");
                }
            });
        }
        for _ in 0..5 {
            answers_within_a_second(&engine);
        }
    });
    assert_eq!(engine.down(), 0);
}

#[test]
fn open_requests_are_limited_and_a_cancel_answers_each_of_its_id() {
    let mut engine = Engine::new(EVERCREW, HELD);
    engine.start();
    let mut client = wait_for_engine(&engine);
    for _ in 0..63 {
        client.ask("same", "wait", &json!({}));
    }
    client.ask("same", "events", &json!({"follow": true, "since": u64::MAX}));
    assert_eq!(client.said()["message"], "following");
    client.ask("more", "scale", &json!({"names": ["held=2"]}));
    let refused = client.said();
    assert_eq!((&refused["id"], &refused["code"]), (&json!("more"), &json!(75)));
    assert!(refused["hint"].is_string());
    assert_eq!(engine.status()["services"][0]["wanted"], 1, "what is refused is not done");
    client.ask("end", "cancel", &json!({"id": "same"}));
    for _ in 0..64 {
        let reply = client.said();
        assert_eq!((&reply["id"], &reply["status"]), (&json!("same"), &json!("ok")));
    }
    assert_eq!(client.said()["id"], "end");
    client.ask("again", "events", &json!({"follow": true}));
    assert_eq!(client.said()["message"], "following");
    assert_eq!(engine.down(), 0);
}

fn wait_for_engine(engine: &Engine) -> Client {
    let mut first = engine.events(1);
    first.wait("worker.spawn", SOON, |event| event["kind"] == "worker.spawn");
    Client::new(engine)
}

#[test]
fn idle_connections_make_room_for_new_ones_and_followers_stay() {
    if limits::raise_nofile().map_or(true, |(_, hard)| hard < 1500) {
        println!("SKIP fewer than 1500 files may be open");
        return;
    }
    let mut engine = Engine::up(EVERCREW, &sleepers(1));
    let mut follower = Client::new(&engine);
    follower.ask("e", "events", &json!({"follow": true}));
    assert_eq!(follower.said()["message"], "following");
    let mut idle: Vec<Client> = (0..1100).map(|_| Client::new(&engine)).collect();
    answers_within_a_second(&engine);
    assert!(idle[0].reply().is_none(), "the one that is idle longest is closed");
    let last = idle.last_mut().expect("some");
    last.ask("1", "version", &json!({}));
    assert_eq!(last.said()["status"], "ok");
    engine.ok(&["scale", "sleep=2"]);
    assert!(follower.said()["content"]["seq"].is_u64());
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_half_closed_client_gets_every_answer_and_then_the_end() {
    let mut engine = Engine::new(EVERCREW, HELD);
    engine.start();
    let mut waiting = wait_for_engine(&engine);
    waiting.ask("w", "wait", &json!({}));
    waiting.send("{\"id\":\"v\",\"verb\":\"version\"}");
    waiting.half_close();
    assert_eq!(waiting.said()["id"], "v", "a last line needs no newline");
    let mut gone = Client::new(&engine);
    gone.ask("g", "wait", &json!({}));
    drop(gone);
    answers_within_a_second(&engine);
    std::fs::write(engine.home().join("go"), "").expect("write");
    let reply = waiting.said();
    assert_eq!((&reply["id"], &reply["status"]), (&json!("w"), &json!("ok")));
    assert!(waiting.reply().is_none());
    assert_eq!(engine.down(), 0);
}

#[test]
fn status_of_many_workers_is_whole() {
    let workers = volume(3000);
    let mut engine = Engine::new(EVERCREW, &sleepers(workers));
    engine.start();
    engine.ok(&["wait", "--ready", "--timeout", "180s"]);
    let status = engine.status();
    assert_eq!(status["services"][0]["workers"].as_array().map(Vec::len), Some(workers));
    assert_eq!(engine.down(), 0);
}

#[test]
fn a_command_that_another_one_makes_pointless_says_so() {
    let stubborn = "[service.s]\ncommand = [\"sh\", \"-c\", \"trap 'sleep 0.5; exit 0' TERM; echo up; while :; do sleep 0.05; done\"]\n\
                    ready = { output = \"up\" }\nworkers = 2\n";
    let mut engine = Engine::up(EVERCREW, stubborn);
    std::thread::scope(|scope| {
        let mut events = engine.events(1);
        let stop = scope.spawn(|| engine.run(&["stop", "s"]));
        events.worker("worker.draining", "s.2", SOON);
        engine.ok(&["start", "s"]);
        let stop = stop.join().expect("no panic");
        assert!(stop.code == 1 && stop.stderr.contains("started again"), "{}: {}", stop.code, stop.stderr);
        let position = events.position();
        let down = scope.spawn(|| engine.run(&["down"]));
        events.wait("the stop", SOON, |event| {
            event["kind"] == "worker.draining" && event["seq"].as_u64() >= Some(position)
        });
        let wait = engine.run(&["wait", "--ready", "--timeout", "10s"]);
        assert_ne!(wait.code, 0, "{}", wait.stderr);
        assert_eq!(down.join().expect("no panic").code, 0);
    });
    assert_eq!(engine.wait(SOON), 0);
}
