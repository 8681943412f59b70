//! Workers of the queue server: supervised ones that are killed with a job in hand, and many jobs in good weather.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;
use evercrew_e2e::{Engine, programs, volume};
use evercrew_jobs::Address;
use evercrew_jobs::plain::Client;
use serde_json::{Value, json};

use crate::EVERCREW;
use crate::history::{PATIENCE, totals};

/// Where the process below works; without it that test does nothing.
const VARIABLE: &str = "EVERCREW_TEST_QUEUE_WORKER";

/// A worker as a process of its own: this test program, executed again by the engine. It holds a job until it is killed,
/// unless the job has cost a worker already: then it is done at once.
#[test]
fn holds_what_it_gets() {
    let Ok(told) = std::env::var(VARIABLE) else { return };
    let address = Address::parse(&told).expect("address");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let pid = std::process::id();
    let hello = json!({ "wid": format!("worker-{pid}"), "pid": pid, "hostname": host.trim() }).to_string();
    let mut client = Client::connect_as(&address, Duration::from_secs(86_400), &hello).expect("connect");
    loop {
        let jobs = client.ask_json(r#"FETCHB {"n":1,"wait_ms":60000}"#).expect("fetch");
        let Some(jid) = jobs[0]["jid"].as_str() else { continue };
        let shown = client.ask_json(&format!(r#"JOB {{"jid":"{jid}"}}"#)).expect("show");
        if shown["worker_deaths"] == 0 {
            loop {
                std::thread::park();
            }
        }
        client.ask(&format!(r#"ACK {{"jid":"{jid}"}}"#)).expect("acknowledge");
    }
}

/// P4: a supervised worker that is killed has its job begun by another one within a second, whoever killed it.
#[test]
fn a_killed_worker_s_job_is_begun_elsewhere_within_a_second() {
    let port = programs::free_port();
    let program = std::env::current_exe().expect("this program").display().to_string();
    let command = json!([program, "queue_work::holds_what_it_gets", "--exact", "--nocapture"]);
    let engine = Engine::up(
        EVERCREW,
        &format!(
            "[queue]\nlisten = \"127.0.0.1:{port}\"\n[service.w]\ncommand = {command}\nworkers = 2\nafter = [\"queue\"]\n\
             env = {{ {VARIABLE} = \"tcp://127.0.0.1:{port}\" }}\nbackoff = {{ min = \"10ms\", max = \"10ms\" }}\n\
             start_limit = {{ count = 10000, within = \"10s\" }}\n"
        ),
    );
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).expect("address");
    let mut client = Client::connect(&address, Duration::from_secs(3600)).expect("connect");
    let mut until = |question: &str, so: &dyn Fn(&Value) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = client.ask_json(question).expect("an answer");
            if so(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{question}: {answer:#}\n{}", engine.log());
        }
    };
    let rounds = volume(200);
    let mut times = Vec::new();
    for round in 0..rounds {
        until("INFO", &|info| info["evercrew"]["waiting_workers"] == 2);
        let question = format!(r#"JOB {{"jid":"job-{round:06}"}}"#);
        until(&format!(r#"PUSH {{"jid":"job-{round:06}","jobtype":"T","args":[]}}"#), &|_| true);
        let shown = until(&question, &|job| job["state"] == "working");
        let holder = shown["worker"].clone();
        let pid = holder.as_str().and_then(|wid| wid.strip_prefix("worker-")?.parse().ok()).expect("a pid");
        let process = Process::open(pid);
        let mut begun = Instant::now();
        if round % 2 == 0 {
            process.signal(Signal::Kill);
        } else {
            // By the manager: what counts from is the death, which the command may have reported late.
            let workers = engine.workers("w");
            let name = &workers.iter().find(|worker| worker.pid == Some(pid)).expect("the worker").name;
            engine.ok(&["signal", name, "KILL"]);
            assert!(process.gone_within(PATIENCE));
            begun = Instant::now();
        }
        until(&question, &|job| job["state"] == "done" || job["state"] == "working" && job["worker"] != holder);
        times.push(begun.elapsed());
        until(&question, &|job| job["state"] == "done");
    }
    times.sort();
    let (median, most) = (times[rounds / 2], times[rounds - 1]);
    println!("{rounds} workers killed with a job: begun elsewhere after {median:.1?}, at most {most:.1?}");
    assert!(most < Duration::from_secs(1), "{most:?}");
    let totals = totals(&address).expect("totals");
    assert_eq!((&totals["orphaned"], &totals["done"], &totals["dead"]), (&json!(rounds), &json!(rounds), &json!(0)));
}

/// Takes jobs until all are done, and counts how often it got each.
fn work(address: &Address, wid: usize, runs: &[AtomicU32], left: &AtomicU32) {
    let hello = format!(r#"{{"wid":"worker-{wid:04}"}}"#);
    let mut client = Client::connect_as(address, Duration::from_secs(3600), &hello).expect("connect");
    // Some take one after the other as other clients do, some many at once.
    let most = if wid.is_multiple_of(2) { 1 } else { 50 };
    while left.load(Ordering::Relaxed) > 0 {
        let jobs = client.ask_json(&format!(r#"FETCHB {{"n":{most},"wait_ms":20}}"#)).expect("fetch");
        let jobs = jobs.as_array().cloned().unwrap_or_default();
        for job in &jobs {
            let number = job["args"][0].as_u64().and_then(|number| usize::try_from(number).ok()).expect("a number");
            runs[number].fetch_add(1, Ordering::Relaxed);
        }
        let acks: Vec<Value> = jobs.iter().map(|job| json!({ "jid": job["jid"], "lease": job["lease"] })).collect();
        if let [ack] = &acks[..] {
            client.ask(&format!("ACK {ack}")).expect("acknowledge");
        } else if !acks.is_empty() {
            assert_eq!(client.ask_json(&format!("ACKB {}", json!(acks))).expect("acknowledge"), json!({}));
        }
        left.fetch_sub(u32::try_from(jobs.len()).expect("few"), Ordering::Relaxed);
    }
}

/// P3: in good weather each job runs exactly once.
#[test]
fn without_a_crash_each_job_runs_exactly_once() {
    const AT_ONCE: usize = 100;
    const PRODUCERS: usize = 4;
    let port = programs::free_port();
    let _engine = Engine::up(EVERCREW, &format!("[queue]\nlisten = \"127.0.0.1:{port}\"\n"));
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).expect("address");
    let jobs = volume(200_000);
    let runs: Arc<Vec<AtomicU32>> = Arc::new((0..jobs).map(|_| AtomicU32::new(0)).collect());
    let left = AtomicU32::new(u32::try_from(jobs).expect("few"));
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let address = &address;
            scope.spawn(move || {
                let mut client = Client::connect(address, Duration::from_secs(3600)).expect("connect");
                for first in (producer * AT_ONCE..jobs).step_by(PRODUCERS * AT_ONCE) {
                    let job = |n| json!({ "jid": format!("job-{n:08}"), "jobtype": "T", "args": [n] });
                    let bulk: Vec<Value> = (first..(first + AT_ONCE).min(jobs)).map(job).collect();
                    assert_eq!(client.ask_json(&format!("PUSHB {}", json!(bulk))).expect("push"), json!({}));
                }
            });
        }
        for wid in 0..12 {
            let (address, runs, left) = (&address, &runs, &left);
            scope.spawn(move || work(address, wid, runs, left));
        }
    });
    let other = runs.iter().filter(|runs| runs.load(Ordering::Relaxed) != 1).count();
    assert_eq!(other, 0, "jobs that did not run exactly once");
    let totals = totals(&address).expect("totals");
    for (name, count) in [("pushed", jobs), ("leased", jobs), ("done", jobs)] {
        assert_eq!(totals[name], count, "{name}");
    }
    for name in ["failed", "expired", "orphaned", "refunded", "stale", "dead"] {
        assert_eq!(totals[name], 0, "{name}");
    }
    println!("{jobs} jobs, each exactly once");
}
