//! The queue server with clients of other languages, as they are: producers and workers through push, retry, death,
//! mutation, quiet and terminate.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use evercrew_e2e::{Engine, programs};
use evercrew_jobs::Address;
use evercrew_jobs::plain::Client;
use serde_json::{Value, json};

use crate::{EVERCREW, faktory_crate};

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

/// A client of another language: the words that become it, and the variable that takes what it is to do, if any does.
struct Foreign {
    words: Vec<String>,
    variable: Option<&'static str>,
}

impl Foreign {
    fn python(client: &str) -> Option<Self> {
        let program = programs::program("faktory-python")?;
        let script = programs::apps().join("faktory_client.py").display().to_string();
        Some(Self { words: vec![program, script, client.to_owned()], variable: None })
    }

    fn node() -> Option<Self> {
        let program = programs::program("faktory-node")?;
        let script = programs::apps().join("faktory_client.js").display().to_string();
        Some(Self { words: vec![program, script], variable: None })
    }

    fn rust() -> Self {
        Self { words: faktory_crate::words(), variable: Some(faktory_crate::VARIABLE) }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        match self.variable {
            Some(variable) => command.env(variable, words.join(" ")),
            None => command.args(words),
        };
        command
    }

    /// Runs it to its end; what it printed.
    fn run(&self, words: &[&str]) -> String {
        let output = self.command(words).output().expect("run");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words:?}: {printed}{}", String::from_utf8_lossy(&output.stderr));
        printed
    }

    fn push(&self, queue: &Queue, kind: &str, count: u32, retry: i32) {
        self.run(&["push", &queue.url(), kind, "default", &count.to_string(), &retry.to_string()]);
    }

    fn mutate(&self, queue: &Queue, command: &str, target: &str) {
        self.run(&["mutate", &queue.url(), command, target]);
    }

    /// What INFO says, as this client reads it.
    fn info(&self, queue: &Queue) -> Value {
        let printed = self.run(&["info", &queue.url()]);
        let line = printed.lines().find(|line| line.starts_with('{')).expect("a line of JSON");
        serde_json::from_str(line).expect("JSON")
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

fn sets(info: &Value) -> Value {
    info["faktory"]["sets"].clone()
}

/// The whole way with one client: its producer pushes, its worker works.
fn whole_way(foreign: &Foreign) {
    let queue = Queue::up();
    foreign.push(&queue, "Done", 6, 25);
    foreign.push(&queue, "Fails", 1, 2);
    foreign.push(&queue, "Fails", 1, -1);
    assert_eq!(foreign.info(&queue)["faktory"]["queues"]["default"], 8);
    let worker = foreign.work(&queue);
    let mut ran: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..8 {
        let line = worker.line("ran ");
        *ran.entry(line.split(' ').nth(1).expect("kind").to_owned()).or_default() += 1;
    }
    assert_eq!(ran, BTreeMap::from([("Done".to_owned(), 6), ("Fails".to_owned(), 2)]));
    queue.until("one waits for a retry and one is dead", |info| {
        sets(info) == json!({ "scheduled": 0, "retries": 1, "dead": 1, "working": 0 })
    });
    let failed = queue.client().ask_json(r#"JOBS {"state":"dead"}"#).expect("list")["jobs"][0].clone();
    assert_eq!(failed["failure"]["message"], "it fails as it should");
    mutations(&queue, &worker, foreign);
    quiet(&queue, worker, foreign);
    terminate(&queue, foreign);
}

/// What is dead is tried again, and dead again; what waits for a retry is killed; what is dead is thrown away.
fn mutations(queue: &Queue, worker: &Working, foreign: &Foreign) {
    foreign.mutate(queue, "requeue", "dead");
    assert!(worker.line("ran ").starts_with("ran Fails"));
    queue.until("it is dead again", |info| sets(info)["dead"] == 1 && sets(info)["working"] == 0);
    foreign.mutate(queue, "kill", "retries");
    assert_eq!(sets(&queue.info()), json!({ "scheduled": 0, "retries": 0, "dead": 2, "working": 0 }));
    foreign.mutate(queue, "clear", "dead");
    assert_eq!(sets(&queue.info())["dead"], 0);
}

/// A quiet worker finishes what it has and takes nothing more.
fn quiet(queue: &Queue, worker: Working, foreign: &Foreign) {
    foreign.push(queue, "Slow", 1, 25);
    worker.line("ran Slow");
    let wid = only_worker(queue);
    queue.engine.ok(&["workers", "quiet", &wid]);
    foreign.push(queue, "Done", 2, 25);
    queue.until("the running job is done", |info| info["evercrew"]["totals"]["done"] == 7);
    queue.engine.ok(&["workers", "stop", &wid]);
    worker.ends();
    let info = queue.info();
    assert_eq!((&info["faktory"]["queues"]["default"], &sets(&info)["working"]), (&json!(2), &json!(0)));
}

/// One that is told to terminate ends, and the job that it has is done, waits for a retry, or is back: clients differ.
fn terminate(queue: &Queue, foreign: &Foreign) {
    let worker = foreign.work(queue);
    foreign.push(queue, "Slow", 1, 25);
    worker.line("ran Slow");
    queue.engine.ok(&["workers", "stop", &only_worker(queue)]);
    worker.ends();
    queue.until("its last job is in one place", |info| {
        let count = |value: &Value| value.as_u64().expect("a count");
        let (done, waiting) =
            (count(&info["evercrew"]["totals"]["done"]), count(&info["faktory"]["queues"]["default"]));
        done >= 9 && done + waiting + count(&sets(info)["retries"]) == 10 && sets(info)["working"] == 0
    });
}

/// The name of the one worker that serves.
fn only_worker(queue: &Queue) -> String {
    let listed = queue.engine.ok(&["workers", "list", "--json"]).stdout;
    let workers: Value = serde_json::from_str(&listed).expect("JSON");
    let serving = workers["workers"].as_array().expect("a list").iter().filter(|worker| worker["state"] == "running");
    let wids: Vec<&str> = serving.filter_map(|worker| worker["wid"].as_str()).collect();
    let [wid] = wids[..] else { panic!("not one worker: {workers:#}") };
    wid.to_owned()
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
}

#[test]
fn node_s_faktory_worker() {
    let Some(foreign) = Foreign::node() else { return };
    whole_way(&foreign);
}

#[test]
fn rust_s_faktory() {
    whole_way(&Foreign::rust());
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

/// With a password, which the variable names the file of, by the clients that prove it as the protocol's second version
/// has it. Python's `faktory` hashes once whatever it is told, and is refused with a text that says so.
#[test]
fn clients_prove_a_password() {
    let (Some(python), Some(node), Some(old)) =
        (Foreign::python("pyfaktory"), Foreign::node(), Foreign::python("faktory"))
    else {
        return;
    };
    let port = programs::free_port();
    let engine = Engine::new(EVERCREW, &format!("[queue]\nlisten = \"0.0.0.0:{port}\"\n"));
    let file = engine.script("password", "s3cret\n");
    let mut engine = engine.with("FAKTORY_PASSWORD", &file.display().to_string());
    engine.start();
    engine.ready();
    let push = |secret: &str| format!("push tcp://:{secret}@127.0.0.1:{port} Done default 2 25");
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let refusal = |client: &Foreign, secret: &str| {
        let line = words(&push(secret));
        let refused = client.command(&line.iter().map(String::as_str).collect::<Vec<_>>()).output().expect("run");
        assert!(!refused.status.success());
        String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout)
    };
    for client in [&python, &node, &Foreign::rust()] {
        let line = words(&push("s3cret"));
        client.run(&line.iter().map(String::as_str).collect::<Vec<_>>());
        let said = refusal(client, "wrong");
        assert!(said.contains("Invalid password"), "{said}");
    }
    let said = refusal(&old, "s3cret");
    assert!(said.contains("takes protocol version 2 only"), "{said}");
    let address = Address::parse(&format!("tcp://:s3cret@127.0.0.1:{port}")).expect("address");
    let info = Client::connect(&address, PATIENCE).expect("connect").ask_json("INFO").expect("INFO");
    assert_eq!(info["faktory"]["queues"]["default"], 6);
}
