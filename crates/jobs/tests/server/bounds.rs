//! What clients can make the server hold is bounded, for each and for all of them, and nobody else suffers from it.

use std::io::Write;
use std::time::{Duration, Instant};

use evercrew_jobs::Storage;
use evercrew_wire::faktory::Reply;
use serde_json::Value;

use crate::rig::{Client, Rig, job};

const MIB: u64 = 1 << 20;

/// Memory of this process, in which the server runs.
fn memory() -> u64 {
    evercrew_sys::process::memory(std::process::id()).expect("memory")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

/// Sends as much as is taken, up to `times` pieces; how many were.
fn stuff(client: &mut Client, piece: &[u8], times: usize) -> usize {
    client.stream.set_write_timeout(Some(Duration::from_millis(50))).expect("timeout");
    (0..times).take_while(|_| client.stream.write_all(piece).is_ok()).count()
}

/// An answer that is known waits behind one that is not on disk: its bytes count as if they were unsent.
#[test]
fn answers_behind_a_push_are_bounded_in_bytes() {
    let home = tempfile::tempdir().expect("directory");
    let rig = Rig::with(|config| config.store = Storage::Sqlite(home.path().join("jobs.db")));
    let mut producer = rig.producer();
    for number in 0..500 {
        producer.push(&format!("job-{number:05}"), &format!(r#""queue":"{}-{number}""#, "queue".repeat(40)));
    }
    let info = producer.json("INFO").to_string().len() as u64;
    assert!(info > 100_000, "{info}");
    let before = memory();
    let mut hostile: Vec<Client> = (0..10).map(|_| rig.producer()).collect();
    for (number, client) in hostile.iter_mut().enumerate() {
        let burst = format!("{}\n{}", job(&format!("hostile-{number:05}"), ""), "INFO\n".repeat(2000));
        stuff(client, burst.as_bytes(), 1);
    }
    // 10 x 2000 answers of 100 KB and more would be 2 GB.
    let watched = Instant::now();
    while watched.elapsed() < Duration::from_secs(1) {
        let held = number(&producer.json("INFO")["evercrew"]["buffer_bytes"]);
        assert!(held < 64 * MIB + 10 * (MIB + 2 * info), "{held}");
    }
    let grown = memory().saturating_sub(before);
    assert!(grown < 300 * MIB, "{} MiB", grown / MIB);
}

/// Jobs that are pushed faster than they are written wait in the sockets of their producers, not in memory.
#[test]
fn jobs_that_are_not_on_disk_are_bounded_in_bytes() {
    let home = tempfile::tempdir().expect("directory");
    let rig = Rig::with(|config| {
        config.store = Storage::Sqlite(home.path().join("jobs.db"));
        config.memory = MIB;
    });
    let mut watcher = rig.producer();
    let before = memory();
    let jobs = 25;
    let address = rig.address;
    let pushing: Vec<_> = (0..8)
        .map(|name| {
            let mut producer = rig.producer();
            std::thread::spawn(move || {
                let filler = "x".repeat(512 << 10);
                for number in 0..jobs {
                    let line = job(&format!("job-{name}-{number:05}"), &format!(r#""filler":"{filler}""#));
                    producer.send(format!("{line}\n").as_bytes());
                }
                (0..jobs).for_each(|_| assert_eq!(producer.reply(), Reply::Simple("OK".to_owned()), "{address}"));
            })
        })
        .collect();
    let mut most = 0;
    while pushing.iter().any(|thread| !thread.is_finished()) {
        most = most.max(number(&watcher.json("INFO")["evercrew"]["text_bytes"]));
    }
    pushing.into_iter().for_each(|thread| thread.join().expect("pushed"));
    // The open batch, the one that is written, and what one of each producer is over.
    assert!(most <= 2 * (32 + 8) * MIB, "{} MiB", most / MIB);
    assert_eq!(watcher.json("INFO")["faktory"]["queues"]["default"], 8 * jobs);
    let grown = memory().saturating_sub(before);
    assert!(grown < 400 * MIB, "{} MiB", grown / MIB);
}

/// Long lines that never end: the server holds a few, and others are served all the while.
#[test]
fn unfinished_lines_are_bounded_together_and_the_slow_ones_give_way() {
    let rig = Rig::with(|config| config.buffers = 8 * MIB);
    let before = memory();
    let mut hostile: Vec<Client> = (0..16).map(|_| rig.producer()).collect();
    let piece = [b"PUSHB [".as_slice(), &[b' '; 256 << 10]].concat();
    for client in &mut hostile {
        stuff(client, &piece, 1);
        stuff(client, &[b' '; 256 << 10], 30);
    }
    let grown = memory().saturating_sub(before);
    assert!(grown < 100 * MIB, "{} MiB", grown / MIB);
    // Small commands pass at once, a long one as soon as somebody slow has given way.
    let mut producer = rig.producer();
    producer.push("job-small", "");
    let jobs: Vec<String> =
        (0..8000).map(|n| format!(r#"{{"jid":"job-{n:05}","jobtype":"T","args":["{}"]}}"#, "x".repeat(500))).collect();
    assert_eq!(producer.json(&format!("PUSHB [{}]", jobs.join(","))), serde_json::json!({}));
    let info = producer.json("INFO");
    assert_eq!(info["faktory"]["queues"]["default"], 8001);
    assert!(number(&info["evercrew"]["totals"]["evicted_connections"]) > 0, "{info}");
    assert!(number(&info["evercrew"]["buffer_bytes"]) < 8 * MIB);
}

/// Clients that ask much and read nothing, while workers and producers go on.
#[test]
fn answers_that_nobody_reads_are_bounded_together() {
    let rig = Rig::with(|config| config.buffers = 32 * MIB);
    let mut producer = rig.producer();
    for number in 0..800 {
        producer.push(&format!("job-{number:05}"), &format!(r#""queue":"{}-{number}""#, "queue".repeat(40)));
    }
    let before = memory();
    let mut deaf: Vec<Client> = (0..40).map(|_| rig.producer()).collect();
    for client in &mut deaf {
        client.stream.set_write_timeout(Some(Duration::from_millis(20))).expect("timeout");
        let _ = client.stream.write_all(&b"INFO\r\n".repeat(500));
    }
    let mut worker = rig.worker("worker-1");
    for number in 0..200 {
        worker.fetch_the(&format!("{}-{number}", "queue".repeat(40)), &format!("job-{number:05}"));
        worker.ack(&format!("job-{number:05}"));
        producer.push(&format!("more-{number:05}"), "");
    }
    let info = producer.json("INFO");
    assert_eq!(info["faktory"]["queues"]["default"], 200);
    assert!(number(&info["evercrew"]["totals"]["evicted_connections"]) > 0, "{info}");
    let grown = memory().saturating_sub(before);
    assert!(grown < 250 * MIB, "{} MiB", grown / MIB);
}

/// Many large jobs asked for at once come in answers of a bounded size, in their order.
#[test]
fn a_bulk_of_large_jobs_is_handed_out_in_parts() {
    let rig = Rig::new();
    let mut producer = rig.producer();
    let filler = "x".repeat(900 << 10);
    for number in 0..20 {
        producer.push(&format!("job-{number:05}"), &format!(r#""filler":"{filler}""#));
    }
    let mut worker = rig.worker("worker-1");
    let mut seen = Vec::new();
    while seen.len() < 20 {
        let jobs = worker.json(r#"FETCHB {"n":1000}"#);
        let jobs = jobs.as_array().expect("jobs");
        assert!((1..=4).contains(&jobs.len()), "{}", jobs.len());
        seen.extend(jobs.iter().map(|job| job["jid"].as_str().expect("jid").to_owned()));
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(producer.json("INFO")["faktory"]["sets"]["working"], 20);
}

/// More sent behind a FETCH that waits than is received ahead of it: the server sleeps until something happens.
#[test]
fn who_sends_much_behind_a_fetch_costs_no_time() {
    let rig = Rig::new();
    let mut worker = rig.worker("worker-1");
    let mut sending = worker.stream.try_clone().expect("clone");
    let ahead = [b"FETCHB {\"n\":1,\"wait_ms\":4000}\r\n".as_slice(), &b"BEAT {}\r\n".repeat(200_000)].concat();
    let sent = std::thread::spawn(move || sending.write_all(&ahead).expect("send"));
    let mut producer = rig.producer();
    while producer.json("INFO")["evercrew"]["waiting_workers"] != 1 {}
    let begun = Instant::now();
    let before = number(&producer.json("INFO")["evercrew"]["totals"]["turns"]);
    while begun.elapsed() < Duration::from_secs(2) {
        std::thread::park_timeout(Duration::from_secs(2));
    }
    let turns = number(&producer.json("INFO")["evercrew"]["totals"]["turns"]) - before;
    assert!(turns < 100, "{turns} turns of the loop while nothing happened");
    assert!(matches!(worker.reply(), Reply::Nothing));
    (0..200_000).for_each(|_| assert!(matches!(worker.reply(), Reply::Refused { .. })));
    sent.join().expect("sent");
}
