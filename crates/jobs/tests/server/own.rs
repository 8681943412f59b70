//! What only our own clients ask for.

use evercrew_jobs::Storage;
use evercrew_wire::faktory::Reply;
use serde_json::{Value, json};

use crate::rig::{Client, Rig};

#[test]
fn info_announces_what_is_beyond_the_protocol() {
    let rig = Rig::new();
    let info = rig.producer().json("INFO");
    assert_eq!(
        info["evercrew"]["verbs"],
        json!(["FETCHB", "ACKB", "REFUND", "RESULT", "CANCEL", "LEASES", "JOB", "JOBS", "WORKERS", "METRICS"])
    );
    for field in ["now", "server_utc_time", "faktory", "server"] {
        assert!(!info[field].is_null(), "{field}");
    }
    for field in ["description", "faktory_version", "uptime", "connections", "command_count", "used_memory_mb"] {
        assert!(!info["server"][field].is_null(), "{field}");
    }
    for task in ["Busy", "Dead", "Retries", "Scheduled", "Workers"] {
        assert_eq!(info["faktory"]["tasks"][task]["size"], 0, "{task}");
    }
    for field in ["total_failures", "total_processed", "total_enqueued", "total_queues"] {
        assert_eq!(info["faktory"][field], 0, "{field}");
    }
}

#[test]
fn many_are_fetched_and_acknowledged_at_once_under_their_leases() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    for number in 0..5 {
        producer.push(&format!("job-{number:05}"), "");
    }
    let jobs = worker.json(r#"FETCHB {"n":3,"queues":["default"]}"#);
    let leases: Vec<u64> =
        jobs.as_array().expect("array").iter().map(|job| job["lease"].as_u64().expect("lease")).collect();
    assert_eq!(leases.len(), 3);
    let acks = json!([
        { "jid": "job-00000", "lease": leases[0] },
        { "jid": "job-00001", "lease": leases[0] },
        { "jid": "job-00002", "lease": leases[2] },
        { "jid": "job-99999", "lease": 1 },
    ]);
    let refused = worker.json(&format!("ACKB {acks}"));
    assert_eq!(refused.as_object().expect("object").keys().collect::<Vec<_>>(), ["job-00001", "job-99999"]);
    let states = ["job-00000", "job-00001", "job-00002"].map(|jid| producer.state(jid));
    assert_eq!(states, ["done", "working", "done"]);
    assert!(worker.refused(r#"ACK {"jid":"job-00001","lease":1}"#).starts_with("STALE "));
    assert!(worker.refused(r#"FAIL {"jid":"job-00001","lease":1}"#).starts_with("STALE "));
    worker.ok(&format!(r#"ACK {{"jid":"job-00001","lease":{}}}"#, leases[1]));
    assert_eq!(worker.json(r#"FETCHB {"n":10}"#).as_array().map(Vec::len), Some(2));
    assert_eq!(worker.ask(r#"FETCHB {"n":10,"wait_ms":0}"#), Reply::Nothing);
    assert!(worker.refused(r#"FETCHB {"n":0}"#).contains("from 1 to 1000"));
}

#[test]
fn a_job_is_given_back_as_if_it_had_not_been_fetched() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    producer.push("job-00001", "");
    producer.push("job-00002", "");
    worker.fetch_the("default", "job-00001");
    worker.ok(r#"REFUND {"jid":"job-00001"}"#);
    let again = worker.fetch_the("default", "job-00001");
    assert!(again.get("failure").is_none());
    assert!(worker.refused(r#"REFUND {"jid":"job-00002"}"#).starts_with("STALE "));
}

#[test]
fn a_result_can_be_asked_for() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    producer.push("job-00001", "");
    worker.fetch_the("default", "job-00001");
    assert_eq!(producer.ask(r#"RESULT {"jid":"job-00001"}"#), Reply::Nothing);
    worker.ok(r#"RESULT {"jid":"job-00001","result":{"sum": 12345678901234567890}}"#);
    assert_eq!(
        producer.ask(r#"RESULT {"jid":"job-00001"}"#),
        Reply::Bulk(r#"{"sum": 12345678901234567890}"#.to_owned())
    );
    assert_eq!(producer.json(r#"JOB {"jid":"job-00001"}"#)["state"], "done");
}

#[test]
fn a_job_is_cancelled_wherever_it_is() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    producer.push("job-00001", "");
    producer.push("job-00002", "");
    producer.push("job-later", r#""at":"2999-01-01T00:00:00Z""#);
    worker.fetch_the("default", "job-00001");
    for jid in ["job-00001", "job-00002", "job-later"] {
        producer.ok(&format!(r#"CANCEL {{"jid":"{jid}"}}"#));
        assert_eq!(producer.state(jid), "unknown");
    }
    worker.ack("job-00001");
    assert_eq!(worker.fetch("default"), None);
    assert!(producer.refused(r#"CANCEL {"jid":"job-00002"}"#).starts_with("UNKNOWN "));
}

#[test]
fn whoever_has_a_job_is_told_when_it_is_cancelled_or_somebody_else_s() {
    let rig = Rig::new();
    let (mut producer, mut worker, mut ear) = (rig.producer(), rig.worker("worker-1"), rig.worker("worker-1"));
    for jid in ["job-00001", "job-00002"] {
        producer.push(jid, "");
    }
    let leases = |jobs: &Value| -> Vec<Value> {
        let jobs = jobs.as_array().expect("jobs").iter();
        jobs.map(|job| json!({ "jid": job["jid"], "lease": job["lease"] })).collect()
    };
    let held = leases(&worker.json(r#"FETCHB {"n":2}"#));
    let question = |wait: u32| format!("LEASES {}", json!({ "held": held, "wait_ms": wait }));
    assert_eq!(ear.ask(&question(0)), Reply::Nothing);
    // It waits, and what the worker finishes itself does not wake it.
    ear.send(format!("{}\r\n", question(60_000)).as_bytes());
    worker.ack("job-00001");
    producer.ok(r#"CANCEL {"jid":"job-00002"}"#);
    assert_eq!(ear.reply(), Reply::Bulk(r#"["job-00002"]"#.to_owned()));
    let Reply::Bulk(both) = ear.ask(&question(60_000)) else { panic!("none has ended") };
    assert_eq!(both, r#"["job-00001","job-00002"]"#, "asked for, both are its no more");
    producer.push("job-00003", r#""reserve_for":1"#);
    let last = leases(&worker.json(r#"FETCHB {"n":1}"#));
    let last = json!({ "held": last, "wait_ms": 60_000 });
    assert_eq!(ear.json(&format!("LEASES {last}")), json!(["job-00003"]), "out of time");
    assert!(producer.refused(&question(0)).contains("only a worker"));
    let many = vec![json!({ "jid": "job-00001" }); 1001];
    assert!(ear.refused(&format!("LEASES {}", json!({ "held": many }))).contains("at most 1000"));
}

#[test]
fn the_last_ten_failures_are_shown_through_a_restart_and_after_its_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = directory.path().join("jobs.db");
    let rig = || Rig::with(|config| config.store = Storage::Sqlite(store.clone()));
    let mut first = rig();
    let (mut producer, mut worker) = (first.producer(), first.worker("worker-1"));
    producer.push("job-00001", "");
    let fail = |worker: &mut Client, times: std::ops::Range<u32>| {
        for time in times {
            worker.fetch_the("default", "job-00001");
            let message = format!("{time} {}", "x".repeat(500));
            worker
                .ok(&format!(r#"FAIL {{"jid":"job-00001","errtype":"E{time}","message":"{message}","backtrace":[]}}"#));
            worker.ok(r#"MUTATE {"cmd":"requeue","target":"retries"}"#);
        }
    };
    fail(&mut worker, 1..7);
    drop((producer, worker));
    first.stop().expect("a good end");
    let second = rig();
    let (mut producer, mut worker) = (second.producer(), second.worker("worker-2"));
    fail(&mut worker, 7..13);
    let types = |shown: &Value| -> Vec<String> {
        let attempts = shown["attempts"].as_array().expect("attempts").iter();
        attempts.map(|attempt| attempt["errtype"].as_str().expect("a type").to_owned()).collect()
    };
    let expected: Vec<String> = (3..13).map(|time| format!("E{time}")).collect();
    let shown = producer.json(r#"JOB {"jid":"job-00001"}"#);
    assert_eq!((types(&shown), &shown["tries"]), (expected.clone(), &json!(12)));
    let lengths: Vec<usize> = shown["attempts"]
        .as_array()
        .expect("attempts")
        .iter()
        .map(|one| one["message"].as_str().map_or(0, str::len))
        .collect();
    assert_eq!(lengths, [vec![200; 9], vec![503]].concat());
    worker.fetch_the("default", "job-00001");
    worker.ack("job-00001");
    let shown = producer.json(r#"JOB {"jid":"job-00001"}"#);
    assert_eq!((&shown["state"], types(&shown)), (&json!("done"), expected));
}

#[test]
fn jobs_are_listed_page_by_page() {
    let rig = Rig::new();
    let mut producer = rig.producer();
    for number in 0..5 {
        producer.push(&format!("job-{number:05}"), &format!(r#""queue":"q{}""#, number % 2));
    }
    let page = producer.json(r#"JOBS {"state":"enqueued","queue":"q0","limit":2}"#);
    assert_eq!((&page["total"], &page["next"], page["jobs"].as_array().map(Vec::len)), (&json!(3), &json!(2), Some(2)));
    let page = producer.json(r#"JOBS {"state":"enqueued","queue":"q0","limit":2,"after":2}"#);
    assert_eq!((&page["next"], page["jobs"].as_array().map(Vec::len)), (&json!(null), Some(1)));
    assert!(producer.refused(r#"JOBS {"state":"lost"}"#).contains("state is enqueued"));
}

#[test]
fn figures_are_told_as_prometheus_reads_them() {
    let rig = Rig::new();
    let mut producer = rig.producer();
    producer.push("job-00001", "");
    let Reply::Bulk(text) = producer.ask("METRICS") else { panic!("no figures") };
    for line in [
        "evercrew_queue_depth{queue=\"default\"} 1",
        "evercrew_queue_pushed_total 1",
        "evercrew_queue_set_size{set=\"dead\"} 0",
        "# TYPE evercrew_queue_oldest_ready_age_seconds gauge",
        "evercrew_queue_commits_total 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}
