//! The known faults of the other server of this protocol, each mended.

use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use evercrew_core::Signal;
use evercrew_jobs::Storage;
use evercrew_wire::faktory::Reply;
use rustix::net::sockopt;
use serde_json::{Value, json};

use crate::rig::{Rig, job};

/// Whoever says nothing of retries gets the default, whatever others said.
#[test]
fn fault_11_the_default_of_retries_is_nobody_s_to_change() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    producer.push("job-none-1", r#""retry":0"#);
    producer.push("job-dflt-1", "");
    worker.fetch_the("default", "job-none-1");
    worker.fail("job-none-1");
    assert_eq!(worker.fetch_the("default", "job-dflt-1")["retry"], 25);
    worker.fail("job-dflt-1");
    assert_eq!((producer.state("job-none-1").as_str(), producer.state("job-dflt-1").as_str()), ("unknown", "retries"));
}

#[test]
fn fault_12_info_is_told_while_queues_appear() {
    let rig = Rig::new();
    let mut producer = rig.producer();
    let pushing = std::thread::spawn(move || {
        for number in 0..500 {
            producer.push(&format!("job-{number:05}"), &format!(r#""queue":"queue-{number}""#));
        }
    });
    let mut asking = rig.producer();
    while !pushing.is_finished() {
        assert!(asking.json("INFO")["faktory"]["queues"].is_object());
    }
    pushing.join().expect("pushed");
    assert_eq!(asking.json("INFO")["faktory"]["total_queues"], 500);
}

/// The store is read by another start while the first server is stopped in the middle of its work, not asked to end.
/// Kills of a whole process are rounds of the end-to-end tests.
#[test]
fn fault_13_answered_pushes_are_in_the_store_before_the_answer() {
    let home = tempfile::tempdir().expect("directory");
    let (path, copy) = (home.path().join("jobs.db"), home.path().join("copy"));
    let rig = Rig::with(|config| config.store = Storage::Sqlite(path.clone()));
    let mut producer = rig.producer();
    for number in 0..200 {
        producer.push(&format!("job-{number:05}"), "");
    }
    // What lies on disk at this moment, as a kill would leave it.
    std::fs::create_dir(&copy).expect("directory");
    for name in ["jobs.db", "jobs.db-wal"] {
        let from = home.path().join(name);
        if from.exists() {
            std::fs::copy(from, copy.join(name)).expect("copy");
        }
    }
    let again = Rig::with(|config| config.store = Storage::Sqlite(copy.join("jobs.db")));
    assert_eq!(again.producer().json("INFO")["faktory"]["queues"]["default"], 200);
}

/// Whether it says good-bye, just closes, or is cut off in the middle: who comes next gets the job at once.
#[test]
fn fault_14_a_client_that_leaves_during_a_fetch_takes_no_job() {
    let rig = Rig::new();
    let mut producer = rig.producer();
    for (number, how) in ["close", "reset", "unread"].into_iter().enumerate() {
        let jid = format!("job-{number:05}");
        let mut leaver = rig.worker(&format!("leaver-{number}"));
        leaver.send(b"FETCH\r\n");
        while producer.json("INFO")["evercrew"]["waiting_workers"] != 1 {}
        if how == "unread" {
            // The job is on its way when the client goes: it lies in a buffer that nobody reads.
            producer.push(&jid, "");
            assert_eq!(producer.state(&jid), "working");
            sockopt::set_socket_linger(leaver.stream.as_fd(), Some(std::time::Duration::ZERO)).expect("linger");
            drop(leaver);
        } else {
            if how == "reset" {
                sockopt::set_socket_linger(leaver.stream.as_fd(), Some(std::time::Duration::ZERO)).expect("linger");
            }
            drop(leaver);
            while producer.json("INFO")["evercrew"]["waiting_workers"] != 0 {}
            producer.push(&jid, "");
        }
        let mut next = rig.worker(&format!("next-one-{number}"));
        next.fetch_the("default", &jid);
        next.ack(&jid);
    }
}

/// A job is in one set, and in none twice, whenever somebody looks.
#[test]
fn fault_15_moves_between_sets_are_whole() {
    let rig = Rig::new();
    let mut producer = rig.producer();
    for number in 0..100 {
        producer.push(&format!("job-{number:05}"), r#""at":"2999-01-01T00:00:00Z""#);
    }
    let mut moving = rig.producer();
    let moves = std::thread::spawn(move || {
        for _ in 0..50 {
            moving.ok(r#"MUTATE {"cmd":"kill","target":"scheduled"}"#);
            moving.ok(r#"MUTATE {"cmd":"requeue","target":"dead","filter":{"jobtype":"Other"}}"#);
        }
    });
    while !moves.is_finished() {
        let info = producer.json("INFO");
        let count = |value: &Value| value.as_u64().expect("number");
        let sets = &info["faktory"]["sets"];
        assert!(count(&sets["scheduled"]) + count(&sets["dead"]) <= 100);
    }
    moves.join().expect("moved");
    assert_eq!(producer.json("INFO")["faktory"]["sets"]["dead"], 100);
}

/// The worker's process is killed: its jobs are back within a second, by its process and not by its connection.
#[test]
fn fault_16_a_dead_worker_s_jobs_are_back_at_once() {
    let rig = Rig::new();
    let (mut producer, mut next) = (rig.producer(), rig.worker("worker-2"));
    let mut process = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat");
    let system = rustix::system::uname();
    let hello = json!({ "v": 2, "wid": "worker-1", "pid": process.id(), "hostname": system.nodename().to_str().expect("name") });
    let mut worker = rig.worker_that_says(&hello);
    producer.push("job-00001", "");
    producer.push("job-00002", "");
    worker.fetch_the("default", "job-00001");
    worker.fetch_the("default", "job-00002");
    let pidfd = evercrew_sys::process::open(process.id()).expect("pidfd");
    evercrew_sys::process::signal(pidfd.as_fd(), Signal::Kill).expect("kill");
    process.wait().expect("reap");
    let begun = std::time::Instant::now();
    // In the order in which they were.
    next.fetch_the("default", "job-00001");
    next.fetch_the("default", "job-00002");
    assert!(begun.elapsed().as_secs() < 1);
    // What the dead worker had is no longer its own to end.
    worker.ack("job-00001");
    assert_eq!(producer.state("job-00001"), "working");
    next.ack("job-00001");
    assert_eq!(producer.state("job-00001"), "done");
}

#[test]
fn fault_17_numbers_of_any_size_stay_as_they_came() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    let args = r#"[ 9223372036854775807, -9223372036854775808, 18446744073709551617, 1.10, 1E400, "\u00e9" ]"#;
    let custom = r#"{ "big" : 12345678901234567890 }"#;
    producer.ok(&format!(r#"PUSH {{"jid":"job-00001","jobtype":"T","args":{args},"custom":{custom}}}"#));
    let Reply::Bulk(text) = worker.ask("FETCH") else { panic!("no job") };
    assert!(text.contains(args) && text.contains(custom), "{text}");
}

#[test]
fn fault_18_mutate_takes_json_with_blanks() {
    let rig = Rig::new();
    let mut producer = rig.producer();
    producer.push("job-00001", r#""at":"2999-01-01T00:00:00Z""#);
    producer.push("job-00002", r#""at":"2999-01-01T00:00:00Z""#);
    producer.ok(r#"MUTATE { "cmd" : "discard" , "target" : "scheduled", "filter": { "jids": [ "job-00001" ] } }"#);
    assert_eq!((producer.state("job-00001").as_str(), producer.state("job-00002").as_str()), ("unknown", "scheduled"));
    producer.ok(r#"MUTATE {"cmd": "kill", "target": "scheduled", "filter": {"regexp": "*job-0*2*"}}"#);
    assert_eq!(producer.state("job-00002"), "dead");
    producer.ok(r#"MUTATE {"cmd": "clear", "target": "dead"}"#);
    assert_eq!(producer.state("job-00002"), "unknown");
}

#[test]
fn fault_19_as_many_lines_of_a_backtrace_are_kept_as_the_job_says() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    for (jid, more, lines) in [
        ("job-00001", r#""backtrace":2"#, json!(["a", "b"])),
        ("job-00002", "", Value::Null),
        ("job-00003", r#""backtrace":50"#, json!(["a", "b", "c"])),
    ] {
        producer.push(jid, more);
        worker.fetch_the("default", jid);
        worker.fail(jid);
        assert_eq!(producer.json(&format!(r#"JOB {{"jid":"{jid}"}}"#))["failure"]["backtrace"], lines, "{jid}");
    }
}

#[test]
fn fault_20_a_password_is_not_proved_with_a_single_round() {
    let rig = Rig::with(|config| config.password = Some(evercrew_jobs::Password::new("s3cret")));
    let mut stranger = rig.stranger();
    let Reply::Simple(hi) = stranger.reply() else { panic!("no greeting") };
    let hi: Value = serde_json::from_str(hi.strip_prefix("HI ").expect("HI")).expect("JSON");
    let once = evercrew_wire::faktory::password::answer(b"s3cret", hi["s"].as_str().expect("salt"), 1);
    let refused = stranger.refused(&format!(r#"HELLO {{"v":1,"pwdhash":"{once}"}}"#));
    assert!(refused.contains("version 2 only"), "{refused}");
    assert_eq!(stranger.next(), None);
}

#[test]
fn fault_21_lines_have_a_bound_before_and_after_login() {
    let rig = Rig::new();
    let mut stranger = rig.stranger();
    stranger.reply();
    stranger.send(&[b'x'; 5000]);
    assert!(matches!(stranger.reply(), Reply::Refused { text, .. } if text.contains("too long: at most 4096 bytes")));
    assert_eq!(stranger.next(), None);
    // After login only the command is lost, and its rest is not taken for others.
    let mut producer = rig.producer();
    let long = job("job-00001", &format!(r#""more":"{}""#, "INFO\\n".repeat(200_000)));
    let refused = producer.refused(&long);
    assert!(refused.contains("too long"), "{refused}");
    producer.push("job-00002", "");
    let nearly = job("job-00003", &format!(r#""more":"{}""#, "x".repeat((1 << 20) - 200)));
    producer.ok(&nearly);
}

#[test]
fn fault_22_flush_leaves_nothing() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    producer.push("job-00001", r#""queue":"a""#);
    producer.push("job-00002", r#""queue":"b""#);
    producer.push("job-later", r#""at":"2999-01-01T00:00:00Z""#);
    worker.fetch_the("a", "job-00001");
    producer.ok("QUEUE PAUSE b");
    producer.ok("FLUSH");
    let info = producer.json("INFO");
    assert_eq!(info["faktory"]["queues"], json!({}));
    assert_eq!(info["faktory"]["sets"], json!({ "scheduled": 0, "retries": 0, "dead": 0, "working": 0 }));
    worker.ack("job-00001");
    producer.push("job-00002", r#""queue":"b""#);
    worker.fetch_the("b", "job-00002");
}

/// Bounds of less than a second are measured by benches; here none is a second late, or early.
#[test]
fn fault_23_scheduled_jobs_are_not_seconds_late() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let due = now() + std::time::Duration::from_millis(200);
    let text = evercrew_wire::faktory::stamp::text(u64::try_from(due.as_nanos()).expect("small"));
    for number in 0..100 {
        producer.push(&format!("job-{number:05}"), &format!(r#""at":"{text}""#));
    }
    for _ in 0..100 {
        worker.fetch("default").expect("a job");
        worker.ok(r#"BEAT {"wid":"worker-1"}"#);
    }
    let late = now().saturating_sub(due);
    assert!(late.as_secs() < 1, "{late:?}");
}

#[test]
fn fault_24_a_reservation_that_ran_out_costs_no_waiting() {
    let rig = Rig::new();
    let (mut producer, mut slow, mut next) = (rig.producer(), rig.worker("worker-1"), rig.worker("worker-2"));
    producer.push("job-00001", r#""reserve_for":1,"retry":1"#);
    slow.fetch_the("default", "job-00001");
    let job = next.fetch_the("default", "job-00001");
    assert_eq!((&job["failure"]["errtype"], &job["failure"]["remaining"]), (&json!("ReservationExpired"), &json!(1)));
    // The slow one comes too late, and changes nothing.
    slow.ack("job-00001");
    slow.fail("job-00001");
    assert_eq!(producer.state("job-00001"), "working");
    // The second time it runs out it has been tried as often as it may.
    assert_eq!(slow.fetch("default"), None);
    assert_eq!(producer.state("job-00001"), "dead");
}

#[test]
fn fault_25_a_fetch_without_a_queue_is_one_from_default() {
    let rig = Rig::new();
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    producer.push("job-00001", "");
    worker.fetch_the("", "job-00001");
}
