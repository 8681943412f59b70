//! What producers and workers of a queue server saw while it was killed again and again, and who judges it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use evercrew_jobs::Address;
use evercrew_jobs::plain::{Client, ClientError};
use serde_json::Value;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a job that a worker got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Its ACK was answered.
    Acknowledged,
    /// Its ACK was sent and never answered: both may be.
    Unanswered,
    /// It was given back, or that was tried.
    GivenBack,
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct History {
    address: Address,
    /// Jobs whose push was answered.
    pub(crate) pushed: Vec<String>,
    /// Jobs that a worker got, in its order, for each worker.
    pub(crate) seen: Vec<Vec<(String, Seen)>>,
}

/// What is wrong with it.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// Pushes that were answered and whose job nobody has or gets.
    pub(crate) lost: Vec<String>,
    /// Jobs whose ACK was answered and that were handed out again.
    pub(crate) again: Vec<String>,
}

/// Producers and workers at their work.
pub(crate) struct Traffic {
    address: Address,
    stop: Arc<AtomicBool>,
    producers: Vec<JoinHandle<Vec<String>>>,
    workers: Vec<JoinHandle<Vec<(String, Seen)>>>,
}

impl Traffic {
    pub(crate) fn begin(address: &Address, producers: usize, workers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let producers = (0..producers).map(|name| produce(address.clone(), name, Arc::clone(&stop))).collect();
        let workers = (0..workers).map(|wid| work(address.clone(), wid, Arc::clone(&stop))).collect();
        Self { address: address.clone(), stop, producers, workers }
    }

    /// Waits until this life of the server has taken in some jobs, so that something is under way when it ends.
    pub(crate) fn until_pushed(&self, jobs: u64) {
        let deadline = Instant::now() + PATIENCE;
        let mut pushed = 0;
        while pushed < jobs {
            assert!(Instant::now() < deadline, "nothing is pushed");
            pushed = totals(&self.address).map_or(0, |totals| totals["pushed"].as_u64().unwrap_or(0));
        }
    }

    pub(crate) fn end(self) -> History {
        self.stop.store(true, Ordering::Relaxed);
        let pushed = self.producers.into_iter().flat_map(|thread| thread.join().expect("producer")).collect();
        let seen = self.workers.into_iter().map(|thread| thread.join().expect("worker")).collect();
        History { address: self.address, pushed, seen }
    }
}

/// What the server counts.
pub(crate) fn totals(address: &Address) -> Result<Value, ClientError> {
    Client::connect(address, PATIENCE)?.ask_json("INFO").map(|info| info["evercrew"]["totals"].clone())
}

/// Asks as `ask` does, and connects again as often as the server is killed in between.
fn persist<T>(
    address: &Address,
    hello: &str,
    stop: &AtomicBool,
    mut ask: impl FnMut(&mut Client) -> Option<T>,
) -> Vec<T> {
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut client) = Client::connect_as(address, PATIENCE, hello) else { continue };
        while let Some(answer) = ask(&mut client) {
            answers.push(answer);
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    answers
}

/// Pushes jobs with names of its own; those that were answered.
fn produce(address: Address, name: usize, stop: Arc<AtomicBool>) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut number = 0;
        persist(&address, "{}", &stop, |client| {
            number += 1;
            let jid = format!("producer-{name}-{number:06}");
            let push = format!(r#"PUSH {{"jid":"{jid}","jobtype":"T","args":[{number}],"reserve_for":600}}"#);
            client.ask(&push).ok().map(|_| jid)
        })
    })
}

/// Takes one job after the other, acknowledges most of them, and gives some back.
fn work(address: Address, wid: usize, stop: Arc<AtomicBool>) -> JoinHandle<Vec<(String, Seen)>> {
    std::thread::spawn(move || {
        let hello = format!(r#"{{"wid":"worker-{wid:04}"}}"#);
        let mut got = 0;
        let seen = persist(&address, &hello, &stop, |client| {
            let jobs = client.ask_json(r#"FETCHB {"n":1,"wait_ms":50}"#).ok()?;
            let Some(jid) = jobs[0]["jid"].as_str() else { return Some(None) };
            got += 1;
            let seen = if got % 5 == 0 {
                let _ = client.ask(&format!(r#"REFUND {{"jid":"{jid}"}}"#));
                Seen::GivenBack
            } else if client.ask(&format!(r#"ACK {{"jid":"{jid}"}}"#)).is_ok() {
                Seen::Acknowledged
            } else {
                Seen::Unanswered
            };
            Some(Some((jid.to_owned(), seen)))
        });
        seen.into_iter().flatten().collect()
    })
}

impl History {
    /// Nothing is wrong, and something was seen.
    pub(crate) fn check(&self) {
        let wrong = self.judge();
        let some = |jids: &[String]| format!("{}: {:?}", jids.len(), &jids[..jids.len().min(5)]);
        assert!(wrong.lost.is_empty(), "answered pushes are lost, {}", some(&wrong.lost));
        assert!(wrong.again.is_empty(), "acknowledged jobs are back, {}", some(&wrong.again));
        let of = |what: Seen| self.seen.iter().flatten().filter(|(_, seen)| *seen == what).count();
        assert!(!self.pushed.is_empty() && of(Seen::Acknowledged) > 0 && of(Seen::GivenBack) > 0);
    }

    /// Takes what is left out of the server, and compares.
    pub(crate) fn judge(&self) -> Wrong {
        let mut again = Vec::new();
        let (mut acknowledged, mut settled) = (BTreeSet::new(), BTreeSet::new());
        for (jid, seen) in self.seen.iter().flatten() {
            if *seen != Seen::GivenBack {
                settled.insert(jid.as_str());
            }
            if *seen == Seen::Acknowledged && !acknowledged.insert(jid.as_str()) {
                again.push(jid.clone());
            }
        }
        let left = left(&self.address);
        let is_lost = |jid: &&String| !left.contains(*jid) && !settled.contains(jid.as_str());
        again.extend(acknowledged.iter().filter(|jid| left.contains(**jid)).map(|jid| (*jid).to_owned()));
        println!(
            "{} pushes answered, {} jobs acknowledged, {} left",
            self.pushed.len(),
            acknowledged.len(),
            left.len()
        );
        Wrong { lost: self.pushed.iter().filter(is_lost).cloned().collect(), again }
    }
}

/// The jobs that the server still hands out, and those that it says somebody has.
fn left(address: &Address) -> BTreeSet<String> {
    let mut client = Client::connect_as(address, PATIENCE, r#"{"wid":"worker-last"}"#).expect("connect");
    let names = |jobs: &Value| -> Vec<String> {
        jobs.as_array().into_iter().flatten().filter_map(|job| job["jid"].as_str().map(str::to_owned)).collect()
    };
    let mut left: BTreeSet<String> = BTreeSet::new();
    let mut after = Some(0);
    while let Some(from) = after {
        let page = client.ask_json(&format!(r#"JOBS {{"state":"working","limit":1000,"after":{from}}}"#));
        let page = page.expect("list");
        left.extend(names(&page["jobs"]));
        after = page["next"].as_u64();
    }
    loop {
        let jobs = names(&client.ask_json(r#"FETCHB {"n":1000,"wait_ms":0}"#).expect("fetch"));
        if jobs.is_empty() {
            return left;
        }
        left.extend(jobs);
    }
}
