//! The manager is upgraded while everything goes on, and whatever goes wrong at any step, nobody notices.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::free_port;
use evercrew_e2e::{Engine, volume};
use evercrew_load::{Load, LoadThread};
use serde_json::{Value, json};

use crate::EVERCREW;

pub(crate) const SOON: Duration = Duration::from_secs(30);
/// Every load ends by itself, should its test hang.
const LONGEST: Duration = Duration::from_secs(900);

/// An engine whose binary is one of two files, with places where its processes can be stopped.
pub(crate) struct Crew {
    pub(crate) engine: Engine,
    pub(crate) points: PathBuf,
    /// The binary that it was started from, and another one.
    pub(crate) binaries: [PathBuf; 2],
    port: u16,
    _home: tempfile::TempDir,
}

impl Crew {
    pub(crate) fn up(more: &str) -> Self {
        let home = tempfile::Builder::new().prefix("ecup").tempdir().expect("make a directory");
        let binaries = ["first", "second"].map(|name| home.path().join(name));
        for binary in &binaries {
            copy(binary);
        }
        let points = home.path().join("points");
        std::fs::create_dir(&points).expect("make a directory");
        let port = free_port();
        let configuration = format!(
            "[listen.web]\naddress = \"127.0.0.1:{port}\"\n[service.web]\nbuiltin = \"hello\"\nlisten = [\"web\"]\n\
             workers = 2\nstart_limit = false\nbackoff = {{ min = \"0s\", max = \"0s\", stable = \"0s\" }}\n{more}"
        );
        let engine = Engine::new(binaries[0].to_str().expect("text"), &configuration);
        let mut engine = engine.with("EVERCREW_FAILPOINTS", points.to_str().expect("text"));
        engine.start();
        engine.ready();
        Self { engine, points, binaries, port, _home: home }
    }

    /// Which of the two files the manager is of.
    pub(crate) fn binary(&self) -> PathBuf {
        std::fs::read_link(format!("/proc/{}/exe", self.engine.manager().pid)).expect("its binary")
    }

    pub(crate) fn other(&self) -> &Path {
        let now = self.binary();
        self.binaries.iter().find(|binary| **binary != now).expect("another one")
    }

    pub(crate) fn upgrade(&self, to: &Path, more: &[&str]) -> Child {
        let mut command = Command::new(EVERCREW);
        command.current_dir(self.engine.home()).args(["upgrade", "--to"]).arg(to).args(more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run the binary")
    }

    /// The next process that comes there stops.
    pub(crate) fn arm(&self, point: &str) {
        std::fs::write(self.points.join(point), "").expect("arm a place");
    }

    /// Waits until one is there; its pid.
    pub(crate) fn reached(&self, point: &str) -> u32 {
        let file = self.points.join(format!("{point}.reached"));
        wait(point, || std::fs::read_to_string(&file).ok()?.parse().ok())
    }

    /// The process that is there ends as one does that finds itself broken.
    pub(crate) fn abort(&self, point: &str) {
        std::fs::write(self.points.join(format!("{point}.reached")), "abort").expect("tell it");
    }

    pub(crate) fn release(&self, point: &str) {
        std::fs::remove_file(self.points.join(format!("{point}.reached"))).expect("it is there");
    }

    /// The processes of the engine but for its workers and its logger.
    pub(crate) fn managers(&self) -> Vec<u32> {
        let children = self.engine.supervisor().children().into_iter().filter_map(Process::try_open);
        // One that has not executed its program yet still has the supervisor's title; one that has ended has none.
        let is_manager =
            |process: &Process| ["manager", "supervisor"].iter().any(|role| process.title().contains(role));
        children.filter(is_manager).map(|process| process.pid).collect()
    }

    /// Some requests a second, on kept and on new connections.
    pub(crate) fn load(&self) -> LoadThread {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], self.port));
        let load = Load::builder(address).expect_prefix("Hello from Evercrew\n").pids();
        let load = load.rate(300.0).keep_alive(16).fresh(4).duration(LONGEST).start_thread().expect("start the load");
        assert!(load.wait_answers(100, SOON), "nobody answers\n{}", load.report());
        load
    }
}

/// The binary of this tree under another name.
fn copy(to: &Path) {
    if std::fs::hard_link(EVERCREW, to).is_err() {
        std::fs::copy(EVERCREW, to).expect("copy the binary");
    }
}

/// Looks again and again.
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + SOON;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "no {what} within {SOON:?}");
        std::thread::yield_now();
    }
}

/// A connection to the engine that stays.
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
        self.send(&format!("{}\n", json!({"id": id, "verb": verb, "args": args, "deadline_ms": 60_000})));
    }

    fn said(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a reply in time");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The terminal reply of a request; those before it are gone.
    fn end(&mut self, id: &str) -> Value {
        loop {
            let reply = self.said();
            if reply["id"] == id && reply["status"] != "processing" {
                return reply;
            }
        }
    }
}

/// What is the same for a process however many managers there were.
fn standing(process: &Process) -> (Option<u64>, usize, BTreeSet<String>) {
    let environment = std::fs::read(format!("/proc/{}/environ", process.pid)).expect("its environment");
    let entries = environment.split(|byte| *byte == 0).map(|entry| String::from_utf8_lossy(entry).into_owned());
    // A role is for one pid.
    let kept = entries.filter(|entry| !entry.starts_with("EVERCREW_ROLE"));
    (process.start_time(), process.descriptors(), kept.collect())
}

#[test]
fn upgrades_in_a_row_cost_no_request_no_reply_and_no_event() {
    let mut crew = Crew::up("");
    let workers: Vec<Process> = crew.engine.pids("web").into_iter().map(Process::open).collect();
    let before: Vec<_> = workers.iter().map(standing).collect();
    let load = crew.load();
    let (supervisor, first) = (crew.engine.supervisor(), standing(&crew.engine.manager()));
    let resident = (supervisor.resident_kib(), crew.engine.manager().resident_kib());
    let mut follower = Client::new(&crew.engine);
    follower.ask("e", "events", &json!({"follow": true, "since": 1}));
    let mut asker = Client::new(&crew.engine);
    let (mut asked, mut longest) = (0_u64, Duration::ZERO);
    let upgrades = volume(200);
    for _ in 0..upgrades {
        let mut upgrade = crew.upgrade(crew.other(), &[]);
        // Some 20 commands a second, each answered once, in order.
        while upgrade.try_wait().expect("its state").is_none() {
            let began = Instant::now();
            asker.ask(&asked.to_string(), "status", &json!({}));
            let reply = asker.said();
            longest = longest.max(began.elapsed());
            assert_eq!(
                (reply["id"].as_str(), reply["status"].as_str()),
                (Some(asked.to_string().as_str()), Some("ok"))
            );
            asked += 1;
            let pause = Instant::now() + Duration::from_millis(50);
            load.wait_until(Duration::from_millis(50), |_| Instant::now() >= pause);
        }
        let output = upgrade.wait_with_output().expect("its output");
        assert!(output.status.success(), "{output:?}\n{}", crew.engine.log());
    }
    assert!(asked as usize >= upgrades, "{asked} commands");
    let report = load.stop();
    assert!(report.is_clean() && report.idle_closes + report.idle_resets == 0, "{report}");
    asker.ask("n", "events", &json!({"since": u64::MAX}));
    let next = asker.said()["content"]["next"].as_u64().expect("a number");
    let mut upgraded = 0;
    assert_eq!(follower.said()["message"], "following");
    for number in 1..next {
        let event = follower.said()["content"].clone();
        assert_eq!(event["seq"], number, "{event}");
        upgraded += usize::from(event["kind"] == "engine.upgraded");
    }
    assert_eq!(upgraded, upgrades);
    for (worker, before) in workers.iter().zip(before) {
        // The connections of the load are closed by both sides.
        wait("end of its connections", || (worker.descriptors() == before.1).then_some(()));
        assert!(standing(worker) == before, "worker {} is another one", worker.pid);
    }
    let (manager, status) = (crew.engine.manager(), crew.engine.status());
    assert_eq!(status["manager"]["generation"], upgrades as u64 + 1);
    let (_, descriptors, environment) = standing(&manager);
    // Two connections stay, each with its own descriptor and two watches.
    assert!(descriptors <= first.1 + 8, "{descriptors} descriptors, {} in the first manager", first.1);
    assert!(environment == first.2, "another environment: {:?}", environment.symmetric_difference(&first.2));
    assert!(supervisor.resident_kib() < resident.0 + 2048, "{} KiB, {} before", supervisor.resident_kib(), resident.0);
    assert!(manager.resident_kib() < resident.1 + 8192, "{} KiB, {} before", manager.resident_kib(), resident.1);
    println!("{upgrades} upgrades, {asked} commands, the longest took {longest:?}; {report}");
    assert_eq!(crew.engine.down(), 0);
}

#[test]
fn commands_subscriptions_and_half_requests_go_along() {
    let app = concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/apps/hub.py");
    let mut crew = Crew::up(&format!(
        "[service.s]\ncommand = [\"python3\", {app:?}]\nworkers = 2\ncommand_pipe = true\n\
         ready = {{ output = \"^ready\" }}\nstop = {{ grace = \"100ms\" }}\n\
         [service.held]\nready = {{ fd = 5 }}\ncommand = [\"sh\", \"-c\", \
         \"while ! test -e go; do sleep 0.05; done; echo >&5; exec sleep 1000\"]\nworkers = 0\n"
    ));
    let mut client = Client::new(&crew.engine);
    client.ask("w", "scale", &json!({"names": ["held=1"]}));
    client.ask("c", "call", &json!({"names": ["s"], "call": "hang", "with": {"who": "s.2"}}));
    client.ask("b", "call", &json!({"names": ["s.1"], "call": "echo"}));
    assert_eq!(client.end("b")["content"]["workers"][0]["outcome"], "ok", "the two before it wait by now");
    client.ask("e", "events", &json!({"follow": true, "kind": ["engine"]}));
    assert_eq!(client.said()["message"], "following");
    let mut late = Client::new(&crew.engine);
    late.send("{\"id\":\"h\",\"verb\":\"ver");
    // A hundred in one write, the answers of which nobody reads yet.
    let mut greedy = Client::new(&crew.engine);
    greedy.send(&(0..100).map(|n| format!("{}\n", json!({"id": n.to_string(), "verb": "status"}))).collect::<String>());
    let mut gone = Client::new(&crew.engine);
    gone.ask("g", "wait", &json!({"names": ["held"]}));
    gone.0.get_ref().shutdown(std::net::Shutdown::Write).expect("half-close");
    let output = crew.upgrade(crew.other(), &[]).wait_with_output().expect("its output");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(crew.binary(), crew.binaries[1]);
    late.send("sion\"}\n");
    assert_eq!(late.said()["id"], "h", "half a request was kept");
    for n in 0..100 {
        let reply = greedy.said();
        assert_eq!((reply["id"].as_str(), reply["status"].as_str()), (Some(n.to_string().as_str()), Some("ok")));
    }
    std::fs::write(crew.engine.home().join("go"), "").expect("let it go on");
    let mut seen = BTreeSet::new();
    let ended = loop {
        let reply = client.said();
        if reply["id"] == "w" && reply["status"] != "processing" {
            break reply;
        }
        seen.insert(reply["content"]["kind"].as_str().unwrap_or_default().to_owned());
    };
    assert_eq!(ended["status"], "ok", "a command that waits is answered by the next manager: {ended}");
    assert!(seen.contains("engine.upgraded"), "who follows goes on following: {seen:?}");
    assert_eq!(gone.said()["status"], "ok", "one that only listens is answered");
    Process::open(crew.engine.pids("s")[1]).signal(Signal::Kill);
    let call = client.end("c");
    let outcomes: Vec<&str> =
        (0..2).map(|n| call["content"]["workers"][n]["outcome"].as_str().unwrap_or_default()).collect();
    assert_eq!(outcomes, ["ok", "died"], "what was answered before and what came of it after: {call}");
    assert_eq!(crew.engine.down(), 0);
}

#[test]
fn a_signal_upgrades_to_the_file_that_is_there_now() {
    let mut crew = Crew::up("");
    // As a package manager replaces it.
    let there = crew.binaries[0].clone();
    std::fs::rename(&crew.binaries[1], &there).expect("replace the binary");
    let mut events = crew.engine.events(1);
    crew.engine.supervisor().signal(Signal::Usr2);
    let upgraded = events.wait("an upgrade", SOON, |event| event["kind"] == "engine.upgraded");
    assert_eq!(upgraded["generation"], 2);
    assert_eq!(crew.binary(), there, "not one that was removed");
    let asked = events.seen().find(|event| event["kind"] == "engine.upgrade-started").expect("it is told");
    assert_eq!(asked["binary"], there.to_str().expect("text"));
    // A second one meanwhile is refused, and does nothing to the first.
    crew.arm("handover.5");
    let upgrade = crew.upgrade(&there, &[]);
    crew.reached("handover.5");
    crew.engine.supervisor().signal(Signal::Usr2);
    let refused = events.wait("a refusal", SOON, |event| event["kind"] == "engine.upgrade-failed");
    assert_eq!(refused["reason"], "an upgrade is under way");
    crew.release("handover.5");
    let output = upgrade.wait_with_output().expect("its output");
    assert!(output.status.success(), "{output:?}");
    // A stop during an upgrade is a stop.
    crew.arm("handover.5");
    crew.engine.supervisor().signal(Signal::Usr2);
    crew.reached("handover.5");
    crew.engine.supervisor().signal(Signal::Term);
    assert_eq!(crew.engine.wait(SOON), 0, "{}", crew.engine.log());
    assert!(crew.engine.nothing_left_within(SOON));
}

#[test]
fn versions_that_understand_each_other_go_there_and_back_and_others_are_refused() {
    let mut crew = Crew::up("");
    let home = crew.points.parent().expect("a directory").to_owned();
    let workers = crew.engine.pids("web");
    let [next, other] = ["evercrew-next", "evercrew-other"].map(|name| home.join(name));
    copy(&next);
    copy(&other);
    let mut client = Client::new(&crew.engine);
    client.ask("e", "events", &json!({"follow": true, "since": 1}));
    crew.engine.ok(&["scale", "web=3"]);
    let first = crew.binaries[0].clone();
    for to in [&next, &first, &next, &next, &other] {
        let output = crew.upgrade(to, &[]).wait_with_output().expect("its output");
        assert!(output.status.success(), "{to:?}: {output:?}\n{}", crew.engine.log());
        assert_eq!(&crew.binary(), to);
        assert_eq!(crew.engine.pids("web").len(), 3);
    }
    // What that one has left by now is of a form that nobody else knows.
    crew.engine.ok(&["scale", "web=2"]);
    let back = crew.upgrade(&first, &[]).wait_with_output().expect("its output");
    let said = String::from_utf8_lossy(&back.stderr).into_owned();
    assert!(back.status.code() == Some(1) && said.contains("version 99"), "{back:?}");
    assert!(said.contains("exit code 78"), "its own status is told: {back:?}");
    assert_eq!(crew.binary(), other, "it goes on");
    assert_eq!(crew.engine.pids("web"), workers);
    client.ask("n", "events", &json!({"since": u64::MAX}));
    let mut number = 0;
    loop {
        let reply = client.said();
        if reply["id"] == "n" {
            assert_eq!(reply["content"]["next"], number + 1, "no event is missing");
            break;
        }
        if let Some(seq) = reply["content"]["seq"].as_u64() {
            assert_eq!(seq, number + 1);
            number = seq;
        }
    }
    assert_eq!(crew.engine.down(), 0);
}
