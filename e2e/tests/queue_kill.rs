//! The queue server killed again and again while jobs are pushed and done: what was answered counts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::{Engine, programs, volume};
use evercrew_jobs::{Address, Client};
use serde_json::Value;

use crate::EVERCREW;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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
pub(crate) fn produce(address: Address, name: usize, stop: Arc<AtomicBool>) -> JoinHandle<Vec<String>> {
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

/// What a worker saw: each job that it got, and whether its ACK was answered.
pub(crate) type Seen = (String, bool);

pub(crate) fn work(address: Address, wid: usize, stop: Arc<AtomicBool>) -> JoinHandle<Vec<Seen>> {
    std::thread::spawn(move || {
        let hello = format!(r#"{{"wid":"worker-{wid:04}"}}"#);
        persist(&address, &hello, &stop, |client| {
            let job = client.ask_json(r#"FETCHB {"n":1,"wait_ms":50}"#).ok()?;
            let Some(jid) = job[0]["jid"].as_str() else { return Some((String::new(), false)) };
            let done = client.ask(&format!(r#"ACK {{"jid":"{jid}"}}"#)).is_ok();
            Some((jid.to_owned(), done))
        })
    })
}

/// P1 and P2: no answered push is lost, and no acknowledged job is handed out again.
#[test]
fn kills_lose_no_answered_push_and_repeat_no_acknowledged_job() {
    let port = programs::free_port();
    let configuration = format!("[queue]\nlisten = \"127.0.0.1:{port}\"\n");
    let engine = Engine::up(EVERCREW, &configuration);
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).expect("address");
    let stop = Arc::new(AtomicBool::new(false));
    let producers: Vec<_> = (0..4).map(|name| produce(address.clone(), name, Arc::clone(&stop))).collect();
    let workers: Vec<_> = (0..3).map(|wid| work(address.clone(), wid, Arc::clone(&stop))).collect();
    let mut events = engine.events(1);
    for _ in 0..volume(300) {
        let before = Client::connect(&address, PATIENCE).and_then(|mut client| client.ask_json("INFO"));
        let pushed = |info: &Value| info["evercrew"]["totals"]["pushed"].as_u64().unwrap_or(0);
        // Something is under way in each life of the server.
        let mut lives = before.is_ok();
        while lives {
            let info = Client::connect(&address, PATIENCE).and_then(|mut client| client.ask_json("INFO"));
            lives = info.is_ok_and(|info| pushed(&info) < volume(700) as u64);
        }
        let pid = engine.pids("queue").first().copied().expect("a process");
        Process::open(pid).signal(Signal::Kill);
        engine.ok(&["start", "queue"]);
        events.wait("the next one is ready", PATIENCE, |event| {
            event["kind"] == "worker.ready" && event["service"] == "queue"
        });
    }
    stop.store(true, Ordering::Relaxed);
    let pushed: Vec<String> = producers.into_iter().flat_map(|thread| thread.join().expect("producer")).collect();
    let seen: Vec<Vec<Seen>> = workers.into_iter().map(|thread| thread.join().expect("worker")).collect();
    check(&address, &pushed, &seen);
}

pub(crate) fn check(address: &Address, pushed: &[String], seen: &[Vec<Seen>]) {
    let (lost, again) = judge(address, pushed, seen);
    assert!(lost.is_empty(), "{} answered pushes are lost: {:?}", lost.len(), &lost[..lost.len().min(5)]);
    assert!(again.is_empty(), "{} acknowledged jobs are back: {:?}", again.len(), &again[..again.len().min(5)]);
    assert!(!pushed.is_empty() && seen.iter().flatten().any(|(_, done)| *done));
}

/// Answered pushes that are lost, and acknowledged jobs that are there or were handed out again.
pub(crate) fn judge(address: &Address, pushed: &[String], seen: &[Vec<Seen>]) -> (Vec<String>, Vec<String>) {
    let mut client = Client::connect_as(address, PATIENCE, r#"{"wid":"worker-last"}"#).expect("connect");
    let mut again = Vec::new();
    let mut acknowledged: BTreeSet<&str> = BTreeSet::new();
    let mut got: BTreeSet<&str> = BTreeSet::new();
    for (jid, done) in seen.iter().flatten().filter(|(jid, _)| !jid.is_empty()) {
        got.insert(jid);
        if *done && !acknowledged.insert(jid) {
            again.push(jid.clone());
        }
    }
    let mut left: BTreeSet<String> = BTreeSet::new();
    for state in ["enqueued", "working"] {
        let mut after = Some(0);
        while let Some(from) = after {
            let page =
                client.ask_json(&format!(r#"JOBS {{"state":"{state}","limit":1000,"after":{from}}}"#)).expect("list");
            let jobs = page["jobs"].as_array().cloned().unwrap_or_default();
            left.extend(jobs.iter().filter_map(|job| job["jid"].as_str().map(str::to_owned)));
            after = page["next"].as_u64();
        }
    }
    let is_lost = |jid: &&String| !left.contains(*jid) && !got.contains(jid.as_str());
    again.extend(acknowledged.iter().filter(|jid| left.contains(**jid)).map(|jid| (*jid).to_owned()));
    println!("{} pushes answered, {} jobs acknowledged, {} left", pushed.len(), acknowledged.len(), left.len());
    (pushed.iter().filter(is_lost).cloned().collect(), again)
}
