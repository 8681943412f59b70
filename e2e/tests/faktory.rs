//! The queue server with clients of other languages, as they are: producers and workers through push, retry, death,
//! mutation, quiet and terminate.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use evercrew_e2e::{Engine, programs};
use evercrew_jobs::{Address, Client};
use serde_json::{Value, json};

use crate::EVERCREW;

const PATIENCE: Duration = Duration::from_secs(60);

/// A queue server of an engine, and how it is asked.
struct Queue {
    engine: Engine,
    address: Address,
}

impl Queue {
    fn up() -> Self {
        let port = programs::free_port();
        let engine = Engine::up(EVERCREW, &format!("[queue]\nlisten = \"127.0.0.1:{port}\"\n"));
        let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).expect("address");
        Self { engine, address }
    }

    fn url(&self) -> String {
        self.address.to_string()
    }

    fn client(&self) -> Client {
        Client::connect(&self.address, PATIENCE).expect("connect")
    }

    fn info(&self) -> Value {
        self.client().ask_json("INFO").expect("INFO")
    }

    /// Looks until it is so; each look is a question that the server answers.
    fn until(&self, what: &str, so: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let info = self.info();
            if so(&info) {
                return;
            }
            assert!(Instant::now() < deadline, "never {what}: {info:#}");
        }
    }
}

/// A client of another language: the words that become it.
struct Foreign(Vec<String>);

impl Foreign {
    fn python(client: &str) -> Option<Self> {
        let program = programs::program("faktory-python")?;
        let script = programs::apps().join("faktory_client.py").display().to_string();
        Some(Self(vec![program, script, client.to_owned()]))
    }

    fn node() -> Option<Self> {
        let program = programs::program("faktory-node")?;
        Some(Self(vec![program, programs::apps().join("faktory_client.js").display().to_string()]))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.0[0]);
        command.args(&self.0[1..]).args(words);
        command
    }

    /// Runs it to its end; what it printed.
    fn run(&self, words: &[&str]) -> String {
        let output = self.command(words).output().expect("run");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words:?}: {printed}{}", String::from_utf8_lossy(&output.stderr));
        printed
    }

    fn work(&self, queue: &Queue) -> Working {
        let mut child =
            self.command(&["work", &queue.url(), "default"]).stdout(Stdio::piped()).spawn().expect("start a worker");
        let output = BufReader::new(child.stdout.take().expect("output"));
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let working = Working { child, lines };
        working.line("ready");
        working
    }
}

/// A worker of another language.
struct Working {
    child: Child,
    lines: Receiver<String>,
}

impl Working {
    /// The next line that begins so.
    fn line(&self, begin: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line that begins with {begin}"));
            if line.starts_with(begin) {
                return line;
            }
        }
    }

    fn ends(mut self) {
        let pidfd = evercrew_sys::process::open(self.child.id()).expect("pidfd");
        assert!(evercrew_sys::process::wait_exit(std::os::fd::AsFd::as_fd(&pidfd), PATIENCE).expect("wait"));
        self.child.wait().expect("reap");
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole way with one client: its producer pushes, its worker works.
fn whole_way(foreign: &Foreign) {
    let queue = Queue::up();
    let url = queue.url();
    foreign.run(&["push", &url, "Done", "default", "6", "25"]);
    foreign.run(&["push", &url, "Fails", "default", "1", "2"]);
    foreign.run(&["push", &url, "Fails", "default", "1", "-1"]);
    let worker = foreign.work(&queue);
    let mut ran: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..8 {
        let line = worker.line("ran ");
        *ran.entry(line.split(' ').nth(1).expect("kind").to_owned()).or_default() += 1;
    }
    assert_eq!(ran, BTreeMap::from([("Done".to_owned(), 6), ("Fails".to_owned(), 2)]));
    let sets = |info: &Value| info["faktory"]["sets"].clone();
    queue.until("one waits for a retry and one is dead", |info| {
        sets(info) == json!({ "scheduled": 0, "retries": 1, "dead": 1, "working": 0 })
    });
    let failed = queue.client().ask_json(r#"JOBS {"state":"dead"}"#).expect("list")["jobs"][0].clone();
    assert_eq!(failed["failure"]["message"], "it fails as it should");
    // What is dead is tried again, and dead again.
    queue.client().ask(r#"MUTATE {"cmd":"requeue","target":"dead"}"#).expect("requeue");
    assert!(worker.line("ran ").starts_with("ran Fails"));
    queue.until("it is dead again", |info| sets(info)["dead"] == 1 && sets(info)["working"] == 0);
    quiet_and_terminate(&queue, worker, foreign);
}

/// A quiet worker takes nothing more, and one that is told to terminate ends.
fn quiet_and_terminate(queue: &Queue, worker: Working, foreign: &Foreign) {
    let wid = queue.client().ask_json("WORKERS {}").expect("workers")["workers"][0]["wid"].clone();
    let wid = wid.as_str().expect("wid");
    queue.engine.ok(&["workers", "quiet", wid]);
    foreign.run(&["push", &queue.url(), "Done", "default", "2", "25"]);
    queue.engine.ok(&["workers", "stop", wid]);
    worker.ends();
    assert_eq!(queue.info()["faktory"]["queues"]["default"], 2);
    // Its end is known by its process, or by its silence at the latest.
    let listed = queue.engine.ok(&["workers", "list", "--json"]).stdout;
    assert!(serde_json::from_str::<Value>(&listed).expect("JSON")["workers"].is_array());
}

#[test]
fn python_s_faktory() {
    let Some(foreign) = Foreign::python("faktory") else { return };
    whole_way(&foreign);
}

#[test]
fn python_s_pyfaktory() {
    let Some(foreign) = Foreign::python("pyfaktory") else { return };
    whole_way(&foreign);
    let queue = Queue::up();
    foreign.run(&["push", &queue.url(), "Done", "default", "3", "25"]);
    let info: Value =
        serde_json::from_str(foreign.run(&["info", &queue.url()]).lines().next().expect("line")).expect("JSON");
    assert_eq!(info["faktory"]["queues"]["default"], 3);
    foreign.run(&["mutate", &queue.url(), "clear", "dead"]);
}

#[test]
fn node_s_faktory_worker() {
    let Some(foreign) = Foreign::node() else { return };
    whole_way(&foreign);
    let queue = Queue::up();
    foreign.run(&["push", &queue.url(), "Done", "default", "3", "25"]);
    let info: Value =
        serde_json::from_str(foreign.run(&["info", &queue.url()]).lines().next().expect("line")).expect("JSON");
    assert_eq!(info["faktory"]["queues"]["default"], 3);
    foreign.run(&["mutate", &queue.url(), "clear", "dead"]);
}

/// The worker is killed in the middle of a job: another one, of another language, has it within a second or so.
#[test]
fn a_killed_worker_s_job_goes_to_a_worker_of_another_language() {
    let (Some(python), Some(node)) = (Foreign::python("faktory"), Foreign::node()) else { return };
    let queue = Queue::up();
    python.run(&["push", &queue.url(), "Slow", "default", "1", "25"]);
    let killed = python.work(&queue);
    killed.line("ran Slow");
    let other = node.work(&queue);
    let begun = Instant::now();
    drop(killed);
    other.line("ran Slow");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    queue.until("it is done", |info| info["evercrew"]["totals"]["done"] == 1);
}

/// With a password, which the variable names the file of, by the clients that prove it as the protocol's second version has it.
#[test]
fn clients_prove_a_password() {
    let (Some(python), Some(node)) = (Foreign::python("pyfaktory"), Foreign::node()) else { return };
    let port = programs::free_port();
    let engine = Engine::new(EVERCREW, &format!("[queue]\nlisten = \"0.0.0.0:{port}\"\n"));
    let file = engine.script("password", "s3cret\n");
    let mut engine = engine.with("FAKTORY_PASSWORD", &file.display().to_string());
    engine.start();
    engine.ready();
    for client in [&python, &node] {
        client.run(&["push", &format!("tcp://:s3cret@127.0.0.1:{port}"), "Done", "default", "2", "25"]);
        let refused =
            client.command(&["push", &format!("tcp://:wrong@127.0.0.1:{port}"), "Done", "default", "2", "25"]);
        let refused = { refused }.output().expect("run");
        assert!(!refused.status.success());
    }
    let address = Address::parse(&format!("tcp://:s3cret@127.0.0.1:{port}")).expect("address");
    let info = Client::connect(&address, PATIENCE).expect("connect").ask_json("INFO").expect("INFO");
    assert_eq!(info["faktory"]["queues"]["default"], 4);
}
