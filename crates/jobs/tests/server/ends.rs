//! The end of a server: what was begun is finished, and what was answered arrives.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use evercrew_jobs::Storage;
use evercrew_wire::faktory::Reply;
use rustix::net::sockopt;
use serde_json::Value;

use crate::rig::{Client, Rig, job};

/// A worker that has asked for more than its socket holds, and reads nothing.
fn overwhelmed(rig: &Rig) -> Client {
    let mut producer = rig.producer();
    let filler = "x".repeat(1_040_000);
    for number in 0..5 {
        producer.push(&format!("job-{number:05}"), &format!(r#""filler":"{filler}""#));
    }
    let mut worker = rig.worker("worker-1");
    sockopt::set_socket_recv_buffer_size(&worker.stream, 64 << 10).expect("a small buffer");
    worker.send(b"FETCH\r\nFETCHB {\"n\":4}\r\n");
    while producer.json("INFO")["faktory"]["sets"]["working"] != 5 {}
    worker
}

/// The server waits until the worker has read it.
#[test]
fn an_answer_that_does_not_fit_the_socket_arrives_whole() {
    let mut rig = Rig::new();
    let (mut worker, mut other) = (overwhelmed(&rig), rig.producer());
    let stopped = std::thread::spawn(move || rig.stop());
    assert_eq!(other.next(), None, "it ends");
    assert!(matches!(worker.reply(), Reply::Bulk(_)));
    let Reply::Bulk(text) = worker.reply() else { panic!("no jobs") };
    let jobs: Vec<Value> = serde_json::from_str(&text).expect("whole");
    assert_eq!(jobs.len(), 4);
    assert_eq!(worker.next(), None);
    stopped.join().expect("no panic").expect("it ends well");
}

/// Whoever was accepted is served once; whoever waits for jobs is told that there is none.
#[test]
fn who_comes_in_when_it_stops_is_served_once_and_who_waits_is_told() {
    let home = tempfile::tempdir().expect("directory");
    let store = Storage::Sqlite(home.path().join("jobs.db"));
    let mut rig = Rig::with(|config| config.store = store.clone());
    let mut watcher = rig.producer();
    let mut waiting = rig.worker("worker-1");
    waiting.send(b"FETCHB {\"n\":1,\"wait_ms\":60000}\r\n");
    while watcher.json("INFO")["evercrew"]["waiting_workers"] != 1 {}
    let mut newcomer = rig.stranger();
    newcomer.reply();
    let stopped = std::thread::spawn(move || rig.stop());
    assert_eq!(watcher.next(), None, "it stops");
    assert_eq!(waiting.reply(), Reply::Nothing);
    newcomer.ok("HELLO {\"v\":2}");
    newcomer.push("job-00001", "");
    assert_eq!((newcomer.next(), waiting.next()), (None, None));
    stopped.join().expect("no panic").expect("it ends well");
    assert_eq!(Rig::with(|config| config.store = store).producer().state("job-00001"), "enqueued");
}

/// A client that reads nothing holds up the end for as long as is allowed, and no longer.
#[test]
fn who_never_reads_delays_the_end_by_a_bounded_time() {
    let mut rig = Rig::new();
    let _deaf = overwhelmed(&rig);
    let begun = Instant::now();
    rig.stop().expect("it ends well");
    assert!(begun.elapsed() > Duration::from_secs(3), "all of it had room: {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

/// Pushes as fast as it can, several at a time; the names that were answered, and whether the end was a clean one.
fn push_until_the_end(mut client: Client, name: usize) -> (Vec<String>, bool) {
    let mut answered = Vec::new();
    for round in 0.. {
        let jids: Vec<String> = (0..20).map(|number| format!("job-{name}-{round:05}-{number:02}")).collect();
        let lines: String = jids.iter().map(|jid| format!("{}\n", job(jid, ""))).collect();
        if client.stream.write_all(lines.as_bytes()).is_err() {
            break;
        }
        for jid in jids {
            match client.next() {
                Some(Reply::Simple(_)) => answered.push(jid),
                Some(other) => panic!("{other:?}"),
                None => return (answered, is_at_its_end(&mut client.stream)),
            }
        }
    }
    let clean = is_at_its_end(&mut client.stream);
    (answered, clean)
}

fn is_at_its_end(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1]), Ok(0))
}

/// Stopped again and again under load: every push that was answered is on disk, every answer arrives, and each client
/// sees the end of the connection, not its break.
#[test]
fn stops_under_load_lose_no_answer() {
    let home = tempfile::tempdir().expect("directory");
    let store = Storage::Sqlite(home.path().join("jobs.db"));
    let mut all: BTreeSet<String> = BTreeSet::new();
    let (mut ends, mut clean) = (0, 0);
    let rounds = if std::env::var_os("EVERCREW_LONG").is_some() { 100 } else { 10 };
    for round in 0..rounds {
        let mut rig = Rig::with(|config| config.store = store.clone());
        let mut watcher = rig.producer();
        let pushing: Vec<_> = (0..8)
            .map(|name| {
                let client = rig.producer();
                std::thread::spawn(move || push_until_the_end(client, round * 8 + name))
            })
            .collect();
        while watcher.json("INFO")["evercrew"]["totals"]["pushed"].as_u64().expect("number") < 500 {}
        rig.stop().expect("it ends well");
        for thread in pushing {
            let (answered, is_clean) = thread.join().expect("pushed");
            ends += 1;
            clean += usize::from(is_clean);
            all.extend(answered);
        }
    }
    let rig = Rig::with(|config| config.store = store);
    let mut worker = rig.worker("worker-1");
    let mut left = BTreeSet::new();
    while let Value::Array(jobs) = worker.json_or_null(r#"FETCHB {"n":1000,"wait_ms":0}"#) {
        left.extend(jobs.iter().map(|job| job["jid"].as_str().expect("jid").to_owned()));
    }
    let lost: Vec<&String> = all.difference(&left).collect();
    println!("{rounds} stops, {} pushes answered, {} jobs there, {clean} of {ends} clean ends", all.len(), left.len());
    assert!(lost.is_empty(), "{} answered pushes are lost: {lost:?}", lost.len());
    assert_eq!(clean, ends, "connections that broke");
}
