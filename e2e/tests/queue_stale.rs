//! Answers of workers that have the job no more, or never had it: none has an effect.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::{Engine, programs};
use evercrew_jobs::Address;
use evercrew_jobs::plain::Client;
use serde_json::{Value, json};

use crate::EVERCREW;
use crate::history::PATIENCE;

/// Jobs of each kind; each gets four stale answers: ACK and FAIL, without and with a lease.
const JOBS: usize = 84;

/// A worker that sends many lines at once and reads their answers.
struct Worker(BufReader<TcpStream>);

impl Worker {
    fn connect(address: &Address, wid: &str) -> Self {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        let mut worker = Self(BufReader::new(stream));
        assert!(worker.line().starts_with("+HI"));
        assert_eq!(worker.ask(&[format!(r#"HELLO {{"v":2,"wid":"{wid}"}}"#)]), ["+OK"]);
        worker
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("an answer");
        line.trim_end().to_owned()
    }

    /// The answers, each of one line.
    fn ask(&mut self, lines: &[String]) -> Vec<String> {
        self.0.get_mut().write_all((lines.join("\r\n") + "\r\n").as_bytes()).expect("send");
        lines.iter().map(|_| self.line()).collect()
    }

    /// All jobs that are ready, with their leases.
    fn fetch(&mut self) -> BTreeMap<String, u64> {
        self.0.get_mut().write_all(b"FETCHB {\"n\":1000,\"wait_ms\":0}\r\n").expect("send");
        if self.line() == "$-1" {
            return BTreeMap::new();
        }
        let jobs: Value = serde_json::from_str(&self.line()).expect("JSON");
        let jobs = jobs.as_array().expect("jobs").iter();
        jobs.map(|job| (job["jid"].as_str().expect("jid").to_owned(), job["lease"].as_u64().expect("lease"))).collect()
    }

    /// Finishes jobs that it has.
    fn finish(&mut self, jobs: &BTreeMap<String, u64>) {
        let lines: Vec<String> =
            jobs.iter().map(|(jid, lease)| format!(r#"ACK {{"jid":"{jid}","lease":{lease}}}"#)).collect();
        assert!(self.ask(&lines).iter().all(|line| line == "+OK"));
    }

    /// Says ACK and FAIL of each of these jobs, without a lease and with this one; how often, and how many jobs have
    /// other answers than they should.
    fn stale(&mut self, jobs: &BTreeMap<String, u64>) -> (usize, usize) {
        let each = jobs.iter().flat_map(|(jid, lease)| {
            [
                format!(r#"ACK {{"jid":"{jid}"}}"#),
                format!(r#"FAIL {{"jid":"{jid}","errtype":"E","message":"m","backtrace":[]}}"#),
                format!(r#"ACK {{"jid":"{jid}","lease":{lease}}}"#),
                format!(r#"FAIL {{"jid":"{jid}","errtype":"E","message":"m","backtrace":[],"lease":{lease}}}"#),
            ]
        });
        let lines: Vec<String> = each.collect();
        let answers = self.ask(&lines);
        // Without a lease nothing is said, as Faktory does.
        let is_right =
            |four: &&[String]| four[..2] == ["+OK", "+OK"] && four[2..].iter().all(|line| line.starts_with("-STALE "));
        (lines.len(), answers.chunks(4).filter(|four| !is_right(four)).count())
    }
}

/// What may not change by a stale answer.
#[derive(Debug, PartialEq, Eq)]
struct Account {
    sets: Value,
    enqueued: Value,
    done: Value,
    failed: Value,
}

fn account(address: &Address) -> (Account, u64) {
    let info = Client::connect(address, PATIENCE).and_then(|mut client| client.ask_json("INFO")).expect("INFO");
    let totals = &info["evercrew"]["totals"];
    let account = Account {
        sets: info["faktory"]["sets"].clone(),
        enqueued: info["faktory"]["total_enqueued"].clone(),
        done: totals["done"].clone(),
        failed: totals["failed"].clone(),
    };
    (account, totals["stale"].as_u64().expect("a count"))
}

fn push(address: &Address, name: &str, reserve_for: u32) {
    let job = |n| json!({ "jid": format!("{name}-{n:06}"), "jobtype": "T", "args": [n], "reserve_for": reserve_for });
    let jobs: Vec<Value> = (0..JOBS).map(job).collect();
    let mut client = Client::connect(address, PATIENCE).expect("connect");
    assert_eq!(client.ask_json(&format!("PUSHB {}", json!(jobs))).expect("push"), json!({}));
}

/// Sends stale answers, and compares what they may not change.
///
/// # Errors
/// What they changed.
fn without_effect(address: &Address, worker: &mut Worker, jobs: &BTreeMap<String, u64>) -> Result<usize, String> {
    assert_eq!(jobs.len(), JOBS);
    let (before, stale) = account(address);
    let (sent, unlike) = worker.stale(jobs);
    let (after, counted) = account(address);
    if unlike == 0 && before == after && counted - stale == sent as u64 {
        return Ok(sent);
    }
    Err(format!("of {sent} {unlike} unlike what they should be, {} counted: {before:?} {after:?}", counted - stale))
}

/// The answers of a worker that never had the jobs, and how many there were.
///
/// # Errors
/// What they changed.
pub(crate) fn answers_of_the_wrong_worker(address: &Address) -> Result<usize, String> {
    let (mut first, mut second) = (Worker::connect(address, "worker-1"), Worker::connect(address, "worker-2"));
    push(address, "long", 600);
    let held = first.fetch();
    let wrong = held.iter().map(|(jid, lease)| (jid.clone(), lease + 1_000_000)).collect();
    let sent = without_effect(address, &mut second, &wrong)?;
    first.finish(&held);
    Ok(sent)
}

/// P3: 1,008 answers of the wrong worker, after the lease ran out, and after another worker has the job: none has an effect.
#[test]
fn stale_answers_have_no_effect() {
    let port = programs::free_port();
    let engine = Engine::up(EVERCREW, &format!("[queue]\nlisten = \"127.0.0.1:{port}\"\n"));
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).expect("address");
    let mut sent = answers_of_the_wrong_worker(&address).expect("no effect");
    let (mut first, mut second) = (Worker::connect(&address, "worker-1"), Worker::connect(&address, "worker-2"));
    push(&address, "short", 5);
    let short = first.fetch();
    let deadline = Instant::now() + PATIENCE;
    while account(&address).0.enqueued != JOBS {
        assert!(Instant::now() < deadline, "the leases do not run out");
    }
    sent += without_effect(&address, &mut first, &short).expect("no effect");
    let taken = second.fetch();
    assert!(taken.iter().all(|(jid, lease)| short[jid] != *lease));
    sent += without_effect(&address, &mut first, &short).expect("no effect");
    assert_eq!(sent, 1_008);
    // Whoever has them finishes them, each once.
    second.finish(&taken);
    let (after, _) = account(&address);
    assert_eq!((after.done, after.enqueued, after.failed), (json!(2 * JOBS), json!(0), json!(JOBS)));
    // The store knows nothing else.
    let pid = engine.pids("queue").first().copied().expect("a process");
    Process::open(pid).signal(Signal::Kill);
    assert!(Process::try_open(pid).is_none_or(|process| process.gone_within(PATIENCE)));
    engine.ok(&["start", "queue"]);
    engine.ok(&["wait", "--ready", "queue"]);
    let (after, _) = account(&address);
    assert_eq!((&after.sets["working"], &after.sets["retries"], after.enqueued), (&json!(0), &json!(0), json!(0)));
}
