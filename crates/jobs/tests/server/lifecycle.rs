//! What every client of the protocol relies on.

use evercrew_jobs::{Durability, Storage};
use evercrew_wire::faktory::Reply;
use serde_json::json;

use crate::rig::Rig;

#[test]
fn a_job_is_pushed_fetched_and_acknowledged() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    producer.push("job-00001", r#""custom":{"a":[1,2]},"reserve_for":60"#);
    let job = worker.fetch_the("default", "job-00001");
    assert_eq!(job["custom"], json!({ "a": [1, 2] }));
    assert_eq!((&job["queue"], &job["reserve_for"], &job["retry"]), (&json!("default"), &json!(60), &json!(25)));
    assert!(job["created_at"].is_string() && job["enqueued_at"].is_string() && job.get("failure").is_none());
    assert_eq!(producer.state("job-00001"), "working");
    worker.ack("job-00001");
    assert_eq!(producer.state("job-00001"), "done");
    // Once more, and for one that never was: both are no fault.
    worker.ack("job-00001");
    worker.ack("never-was-here");
    assert_eq!(worker.refused(r#"FAIL {"jid":"never-was-here"}"#), "ERR Job not found never-was-here");
}

#[test]
fn queues_are_served_in_the_order_of_the_fetch() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    producer.push("job-low-1", r#""queue":"low""#);
    producer.push("job-high-1", r#""queue":"high""#);
    producer.push("job-high-2", r#""queue":"high""#);
    for jid in ["job-high-1", "job-high-2", "job-low-1"] {
        worker.fetch_the("high low", jid);
    }
}

#[test]
fn a_fetch_waits_two_seconds_and_is_woken_at_once() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    let begun = std::time::Instant::now();
    assert_eq!(worker.fetch("default"), None);
    assert!(begun.elapsed().as_secs() >= 1);
    // A second fetch waits when the push comes; what is pipelined behind it waits, too.
    worker.send(b"FETCH a b\r\nINFO\r\n");
    producer.push("job-00001", r#""queue":"b""#);
    assert!(matches!(worker.reply(), Reply::Bulk(text) if text.contains("job-00001")));
    assert!(matches!(worker.reply(), Reply::Bulk(text) if text.contains("\"working\":1")));
}

#[test]
fn a_bulk_wakes_as_many_as_it_has_jobs() {
    let rig = Rig::new();
    let mut producer = rig.producer();
    let mut workers: Vec<_> = (0..12).map(|n| rig.worker(&format!("worker-{n:02}"))).collect();
    for (number, worker) in workers.iter_mut().enumerate() {
        worker.send(b"FETCH\r\n");
        while producer.json("INFO")["evercrew"]["waiting_workers"] != number + 1 {}
    }
    let jobs: Vec<String> = (0..8).map(|n| format!(r#"{{"jid":"job-0000{n}","jobtype":"T","args":[]}}"#)).collect();
    assert_eq!(producer.json(&format!("PUSHB [{}]", jobs.join(","))), json!({}));
    assert_eq!(producer.json("INFO")["evercrew"]["waiting_workers"], 4, "eight of twelve are awake");
    let got: Vec<Reply> = workers.iter_mut().map(|worker| worker.reply()).collect();
    // Those that waited longest got them.
    assert!(got[..8].iter().all(|reply| matches!(reply, Reply::Bulk(_))), "{got:?}");
    assert!(got[8..].iter().all(|reply| *reply == Reply::Nothing), "{got:?}");
}

#[test]
fn failures_are_tried_again_and_then_dead() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    producer.push("job-00001", r#""retry":1,"backtrace":2"#);
    worker.fetch("default").expect("a job");
    worker.fail("job-00001");
    assert_eq!(producer.state("job-00001"), "retries");
    assert_eq!(producer.json("INFO")["faktory"]["tasks"]["Retries"]["size"], 1);
    producer.ok(r#"MUTATE {"cmd":"requeue","target":"retries"}"#);
    let again = worker.fetch("default").expect("the job again");
    let failure = &again["failure"];
    assert_eq!(
        (&failure["retry_count"], &failure["remaining"], &failure["errtype"]),
        (&json!(0), &json!(1), &json!("Oops"))
    );
    assert!(failure["next_at"].is_string() && failure["failed_at"].is_string());
    worker.fail("job-00001");
    assert_eq!(producer.state("job-00001"), "dead");
    producer.ok(r#"MUTATE {"cmd":"requeue","target":"dead","filter":{"jids":["job-00001"]}}"#);
    worker.fetch_the("default", "job-00001");
    worker.ack("job-00001");
    let info = producer.json("INFO");
    assert_eq!((&info["faktory"]["total_processed"], &info["faktory"]["total_failures"]), (&json!(3), &json!(2)));
    // 0 throws it away, -1 makes it dead at once.
    producer.push("job-00002", r#""retry":0"#);
    producer.push("job-00003", r#""retry":-1"#);
    for jid in ["job-00002", "job-00003"] {
        worker.fetch_the("default", jid);
        worker.fail(jid);
    }
    assert_eq!((producer.state("job-00002").as_str(), producer.state("job-00003").as_str()), ("unknown", "dead"));
}

#[test]
fn scheduled_jobs_come_when_they_are_due() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    producer.push("job-later", r#""at":"2999-01-01T00:00:00Z""#);
    producer.push("job-now-1", r#""at":"2001-01-01T00:00:00Z""#);
    worker.fetch_the("default", "job-now-1");
    assert_eq!(producer.state("job-later"), "scheduled");
    let soon = std::time::SystemTime::now() + std::time::Duration::from_millis(300);
    let soon = soon.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    let soon = evercrew_wire::faktory::stamp::text(u64::try_from(soon).expect("small"));
    producer.push("job-soon-1", &format!(r#""at":"{soon}""#));
    worker.fetch_the("default", "job-soon-1");
    let late = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    assert!(late >= u128::from(evercrew_wire::faktory::stamp::parse(&soon).expect("time")), "never early");
}

#[test]
fn workers_beat_and_are_asked_to_stop() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    worker.ok(r#"BEAT {"wid":"worker-1","rss_kb":12}"#);
    assert_eq!(worker.refused(r#"BEAT {"wid":"worker-9"}"#), "ERR unknown worker worker-9");
    producer.json(r#"WORKERS {"state":"quiet","wids":["worker-1"]}"#);
    assert_eq!(worker.json(r#"BEAT {"wid":"worker-1"}"#), json!({ "state": "quiet" }));
    worker.ok(r#"BEAT {"wid":"worker-1","current_state":"quiet"}"#);
    producer.push("job-00001", "");
    assert_eq!(worker.fetch("default"), None, "a quiet worker gets nothing");
    let workers = producer.json(r#"WORKERS {"state":"terminate"}"#);
    assert_eq!(workers["workers"][0]["state"], "terminate");
    assert_eq!(worker.json(r#"BEAT {"wid":"worker-1","current_state":"quiet"}"#), json!({ "state": "terminate" }));
    assert_eq!(producer.refused("FETCH"), "ERR only a worker fetches: say `wid` in HELLO");
}

#[test]
fn queues_are_paused_resumed_and_removed() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    producer.push("job-00001", r#""queue":"a""#);
    producer.ok("QUEUE PAUSE a");
    worker.send(b"FETCH a\r\n");
    producer.ok("QUEUE resume *");
    assert!(matches!(worker.reply(), Reply::Bulk(_)), "whoever waited is served at once");
    producer.push("job-00002", r#""queue":"b""#);
    assert!(producer.json("QUEUE LATENCY b c")["b"].as_f64().expect("seconds") > 0.0);
    assert_eq!(producer.json("INFO")["faktory"]["queues"], json!({ "a": 0, "b": 1 }));
    producer.ok("QUEUE REMOVE b");
    assert_eq!(producer.state("job-00002"), "unknown");
    assert_eq!(producer.json("INFO")["faktory"]["queues"], json!({ "a": 0 }));
}

#[test]
fn the_password_is_asked_for_and_proved() {
    let rig = Rig::with(|config| config.password = Some(evercrew_jobs::Password::new("s3cret")));
    let mut stranger = rig.stranger();
    let Reply::Simple(hi) = stranger.reply() else { panic!("no greeting") };
    assert!(hi.contains("\"i\":") && hi.contains("\"s\":"));
    assert_eq!(stranger.refused(r#"HELLO {"v":2,"pwdhash":"00"}"#), "ERR Invalid password");
    assert_eq!(stranger.next(), None, "and it is sent away");
    drop(stranger);
    let mut address = evercrew_jobs::Address::parse(&format!("tcp://:s3cret@{}", rig.address)).expect("address");
    let patience = std::time::Duration::from_secs(10);
    let mut client = evercrew_jobs::plain::Client::connect(&address, patience).expect("the right one");
    assert_eq!(client.ask_json("INFO").expect("info")["server"]["connections"], 1);
    address.password = Some("other".to_owned());
    let refused = evercrew_jobs::plain::Client::connect(&address, patience).expect_err("the wrong one");
    assert!(refused.to_string().contains("Invalid password"), "{refused}");
}

/// What was answered is there after a start anew: jobs with their texts, leases, pauses.
#[test]
fn a_new_start_finds_everything() {
    for durability in [Durability::Sync, Durability::Relaxed] {
        let home = tempfile::tempdir().expect("directory");
        let path = home.path().join("store/jobs.db");
        let start = || {
            Rig::with(|config| {
                config.store = Storage::Sqlite(path.clone());
                config.durability = durability;
            })
        };
        let mut rig = start();
        let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
        producer.push("job-00001", r#""x":[ 1.50 ]"#);
        producer.push("job-00002", "");
        producer.push("job-00003", r#""queue":"b""#);
        producer.push("job-later", r#""at":"2999-01-01T00:00:00Z""#);
        producer.ok("QUEUE PAUSE b");
        worker.fetch_the("default", "job-00001");
        worker.fetch_the("default", "job-00002");
        worker.ack("job-00002");
        rig.stop().expect("it ends well");
        let rig = start();
        let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
        let states = ["job-00001", "job-00002", "job-00003", "job-later"].map(|jid| producer.state(jid));
        assert_eq!(states, ["working", "unknown", "enqueued", "scheduled"]);
        worker.ack("job-00001");
        producer.ok("QUEUE RESUME b");
        let job = worker.fetch_the("b", "job-00003");
        assert_eq!(job["args"], json!([1]));
        producer.push("job-00004", "");
        assert_eq!(
            producer.json(r#"JOB {"jid":"job-later"}"#)["at"],
            "2999-01-01T00:00:00Z".replace("00Z", "00.000000Z").replace("2999-01-01", "2500-01-22")
        );
    }
}

/// A type can have a way of its own to wait for its next try.
#[test]
fn types_wait_for_their_retries_in_their_own_way() {
    let rig = Rig::with(|config| {
        let soon = evercrew_jobs::Backoff::Fixed(std::time::Duration::from_millis(50));
        config.backoffs.insert("Test".to_owned(), soon);
    });
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    producer.push("job-00001", "");
    producer.ok(r#"PUSH {"jid":"job-00002","jobtype":"Other","args":[]}"#);
    for jid in ["job-00001", "job-00002"] {
        worker.fetch_the("default", jid);
        worker.fail(jid);
    }
    // The other one waits for at least 15 s.
    worker.fetch_the("default", "job-00001");
    assert_eq!(producer.state("job-00002"), "retries");
}

/// More text than there is room for in memory is read from the store when it is fetched.
#[test]
fn texts_that_have_no_room_come_from_the_store() {
    let home = tempfile::tempdir().expect("directory");
    let rig = Rig::with(|config| {
        config.store = Storage::Sqlite(home.path().join("jobs.db"));
        config.memory = 1000;
    });
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    for number in 0..50 {
        producer.push(&format!("job-{number:05}"), &format!(r#""more":"{}""#, "x".repeat(100)));
    }
    assert!(producer.json("INFO")["evercrew"]["text_bytes"].as_u64().expect("bytes") <= 1000);
    for number in 0..50 {
        let job = worker.fetch_the("default", &format!("job-{number:05}"));
        assert_eq!(job["more"], "x".repeat(100));
    }
}

#[test]
fn one_store_has_one_server() {
    let home = tempfile::tempdir().expect("directory");
    let path = home.path().join("jobs.db");
    let _rig = Rig::with(|config| config.store = Storage::Sqlite(path.clone()));
    let mut config = evercrew_jobs::Config::new(Storage::Sqlite(path));
    config.listen = evercrew_jobs::Listen::Address("127.0.0.1:0".parse().expect("address"));
    let (_stopper, stop) = evercrew_jobs::stop().expect("stop");
    let refused = evercrew_jobs::serve(config, stop, |_| panic!("it must not serve")).expect_err("refused");
    assert_eq!(refused.exit_code(), 69, "{refused}");
}
