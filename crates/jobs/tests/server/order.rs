//! What meets something that is not on disk yet, and workers that go by one name.

use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_jobs::Storage;
use serde_json::json;

use crate::rig::{Rig, job};

fn ok(client: &mut crate::rig::Client, times: usize) {
    for _ in 0..times {
        assert_eq!(client.reply(), evercrew_wire::faktory::Reply::Simple("OK".to_owned()));
    }
}

/// What a client sends without waiting comes to the same as if it had waited.
#[test]
fn what_is_sent_at_once_counts_in_its_order() {
    let home = tempfile::tempdir().expect("directory");
    let rig = Rig::with(|config| config.store = Storage::Sqlite(home.path().join("jobs.db")));
    let (mut producer, mut worker) = (rig.producer(), rig.worker("worker-1"));
    let cancel = "CANCEL {\"jid\":\"job-00001\"}";
    producer.send(format!("{}\n{cancel}\n{}\n", job("job-00001", ""), job("job-00002", "")).as_bytes());
    ok(&mut producer, 3);
    assert_eq!(producer.state("job-00001"), "unknown");
    worker.fetch_the("default", "job-00002");
    worker.send(b"FAIL {\"jid\":\"job-00002\"}\nCANCEL {\"jid\":\"job-00002\"}\n");
    ok(&mut worker, 2);
    assert_eq!(producer.state("job-00002"), "unknown");

    for sweep in ["FLUSH", "QUEUE REMOVE a", "QUEUE REMOVE *"] {
        let (before, after) = (job("job-00003", r#""queue":"a""#), job("job-00004", r#""queue":"a""#));
        producer.send(format!("QUEUE PAUSE a\n{before}\n{sweep}\n{after}\n").as_bytes());
        ok(&mut producer, 4);
        assert_eq!(producer.state("job-00003"), "unknown", "{sweep}");
        worker.fetch_the("a", "job-00004");
        worker.ack("job-00004");
    }
}

/// A deploy of workers with a fixed name: the new process is there before the old one has ended.
#[test]
fn the_end_of_a_process_frees_what_it_had_itself() {
    let rig = Rig::new();
    let (mut producer, mut other) = (rig.producer(), rig.worker("worker-2"));
    let system = rustix::system::uname();
    let host = system.nodename().to_str().expect("name");
    let spawn = || Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat");
    let (mut old, mut new) = (spawn(), spawn());
    let hello = |pid: u32| json!({ "v": 2, "wid": "fixed-name", "pid": pid, "hostname": host });
    let mut before = rig.worker_that_says(&hello(old.id()));
    producer.push("job-00001", "");
    before.fetch_the("default", "job-00001");
    let mut after = rig.worker_that_says(&hello(new.id()));
    producer.push("job-00002", "");
    after.fetch_the("default", "job-00002");
    let kill = |process: &mut std::process::Child| {
        let pidfd = evercrew_sys::process::open(process.id()).expect("pidfd");
        evercrew_sys::process::signal(pidfd.as_fd(), Signal::Kill).expect("kill");
        process.wait().expect("reap");
    };
    kill(&mut old);
    other.fetch_the("default", "job-00001");
    assert_eq!(producer.state("job-00002"), "working");
    after.ack("job-00002");
    assert_eq!(producer.state("job-00002"), "done");
    producer.push("job-00003", "");
    after.fetch_the("default", "job-00003");
    kill(&mut new);
    other.fetch_the("default", "job-00003");
}

#[test]
fn workers_are_bounded_and_known_ones_come_in() {
    let rig = Rig::with(|config| config.connections = 4);
    for number in 0..8 {
        rig.worker(&format!("worker-{number}")).leave();
    }
    let begun = Instant::now();
    let mut refused = 0;
    while refused == 0 && begun.elapsed() < Duration::from_secs(10) {
        let mut stranger = rig.stranger();
        // One that left may not have been noticed yet.
        if let Some(evercrew_wire::faktory::Reply::Simple(_)) = stranger.next() {
            let text = stranger.refused("HELLO {\"v\":2,\"wid\":\"one-more\"}");
            assert!(text.contains("as many workers"), "{text}");
            assert_eq!(stranger.next(), None, "it is sent away");
            refused += 1;
        }
    }
    assert_eq!(refused, 1);
    rig.worker("worker-3");
    rig.producer().json("INFO");
}
