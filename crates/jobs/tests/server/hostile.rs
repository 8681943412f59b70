//! Input of every bad kind: it gets the protocol's own error with a clear text, and hurts nobody else.

use evercrew_wire::faktory::Reply;
use serde_json::json;

use crate::corpus;
use crate::rig::{Rig, job};

#[test]
fn each_fault_of_a_job_has_its_text_and_the_connection_goes_on() {
    let rig = Rig::new();
    let mut producer = rig.producer();
    for (line, text) in [
        ("PUSH", "malformed JSON at byte 0: expected an object"),
        ("PUSH {\"jid\":", "malformed JSON at byte 7: expected a value"),
        ("PUSH [1,2]", "malformed JSON at byte 0: expected an object"),
        (r#"PUSH {"jid":"short","jobtype":"T","args":[]}"#, "jobs must have a reasonable jid parameter"),
        (r#"PUSH {"jid":"12345678","args":[]}"#, "jobs must have a jobtype parameter"),
        (r#"PUSH {"jid":"12345678","jobtype":"T"}"#, "jobs must have an args parameter"),
        (r#"PUSH {"jid":"12345678","jobtype":"T","args":{}}"#, "args must be an array"),
        (r#"PUSH {"jid":"12345678","jobtype":"T","args":[],"queue":"a b"}"#, "queue names have"),
        (r#"PUSH {"jid":"12345678","jobtype":"T","args":[],"queue":"../../etc"}"#, "queue names have"),
        (
            r#"PUSH {"jid":"12345678","jobtype":"T","args":[],"retry":99999999999999999999}"#,
            "retry must be a whole number",
        ),
        (
            r#"PUSH {"jid":"12345678","jobtype":"T","args":[],"reserve_for":86401}"#,
            "jobs cannot be reserved for more than",
        ),
        (r#"PUSH {"jid":"12345678","jobtype":"T","args":[],"at":"soon"}"#, "invalid timestamp for 'at'"),
        ("PUSHB {}", "malformed JSON at byte 0: expected an array"),
        ("FROBNICATE", "Unknown command `FROBNICATE`"),
        ("info", "Unknown command `info`"),
        ("ACK", "ACK: malformed JSON"),
        ("ACK {\"jid\":7}", "ACK: malformed JSON"),
        ("FAIL []", "FAIL: malformed JSON"),
        ("BEAT {}", "BEAT: malformed JSON"),
        ("MUTATE {\"cmd\":\"clear\",\"target\":\"everything\"}", "invalid target for mutation command: everything"),
        ("MUTATE {\"cmd\":\"eat\",\"target\":\"dead\"}", "invalid mutation operation: eat"),
        ("QUEUE STOP a", "QUEUE takes PAUSE"),
        ("QUEUE PAUSE a/b", "queue names have"),
        ("FETCH a/b", "queue names have"),
        ("HELLO {}", "HELLO is the first command"),
    ] {
        let refused = producer.refused(line);
        assert!(refused.starts_with(&format!("ERR {text}")), "{line}: {refused}");
    }
    let nested = format!(r#"PUSH {{"jid":"12345678","jobtype":"T","args":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
    assert!(producer.refused(&nested).contains("no deeper nesting than 64"));
    producer.push("job-00001", "");
    assert!(producer.refused(&job("job-00001", "")).starts_with("ERR Duplicate job"));
    let worker = rig.worker("worker-1");
    drop(worker);
    assert_eq!(producer.json("INFO")["faktory"]["queues"], json!({ "default": 1 }));
}

#[test]
fn the_good_ones_of_a_bulk_are_taken() {
    let rig = Rig::new();
    let mut producer = rig.producer();
    let refused = producer.json(
        r#"PUSHB [{"jid":"job-00001","jobtype":"T","args":[]},{"jid":"job-00002","jobtype":"T"},7,{"jid":"job-00001","jobtype":"T","args":[]},{"jid":"job-00003","jobtype":"T","args":[]}]"#,
    );
    assert_eq!(refused["job-00002"], "jobs must have an args parameter");
    assert!(refused["job-00001"].as_str().expect("text").starts_with("Duplicate job"));
    assert!(refused[""].as_str().expect("text").starts_with("malformed JSON"));
    assert_eq!(producer.json("INFO")["faktory"]["queues"]["default"], 2);
    let many = format!("PUSHB [{}0]", "0,".repeat(10_000));
    assert!(producer.refused(&many).contains("at most 10000 jobs"));
    assert!(producer.refused("PUSHB [{]").contains("malformed JSON"));
}

/// TLS, HTTP, and whatever else somebody says who takes the port for another's.
#[test]
fn other_protocols_are_told_and_sent_away() {
    let rig = Rig::new();
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x00\x05hello\n",
        b"PUSH {}\r\n",
        b"\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"HELLO\r\n",
        b"HELLO {\"v\":9}\r\n",
        b"HELLO {\"v\":2,\"wid\":\"a\"}\r\n",
        b"HELLO \xff\r\n",
    ] {
        let mut stranger = rig.stranger();
        stranger.reply();
        stranger.send(bytes);
        assert!(matches!(stranger.reply(), Reply::Refused { code, .. } if code == "ERR"), "{bytes:?}");
        assert_eq!(stranger.next(), None, "{bytes:?}");
    }
    assert_eq!(rig.producer().json("INFO")["server"]["connections"], 1);
}

#[test]
fn who_says_nothing_is_sent_away_and_keeps_nobody_out() {
    let rig = Rig::new();
    let mut silent: Vec<_> = (0..100).map(|_| rig.stranger()).collect();
    let begun = std::time::Instant::now();
    let mut producer = rig.producer();
    assert!(begun.elapsed().as_secs() < 5);
    producer.push("job-00001", "");
    for stranger in &mut silent {
        assert!(matches!(stranger.next(), Some(Reply::Simple(_)) | None));
        assert_eq!(stranger.next(), None);
    }
    assert_eq!(producer.json("INFO")["server"]["connections"], 1);
}

/// Half a line, and many lines in one piece, and one in many pieces.
#[test]
fn lines_come_in_pieces_of_any_size() {
    let rig = Rig::new();
    let mut half = rig.producer();
    half.send(b"PUSH {\"jid\":\"job-half-1\",\"jobtype\":\"T\",\"args\":[]}");
    half.leave();
    let mut producer = rig.producer();
    let line = format!("{}\r\n", job("job-00001", ""));
    for byte in line.as_bytes() {
        producer.send(&[*byte]);
    }
    assert_eq!(producer.reply(), Reply::Simple("OK".to_owned()));
    let many: String = (100..1100).map(|n| format!("{}\n", job(&format!("job-{n:05}"), ""))).collect();
    producer.send(many.as_bytes());
    for _ in 100..1100 {
        assert_eq!(producer.reply(), Reply::Simple("OK".to_owned()));
    }
    assert_eq!(producer.state("job-half-1"), "unknown", "half a line is no command");
    assert_eq!(producer.json("INFO")["faktory"]["queues"]["default"], 1001);
}

/// A client that reads nothing is read from no more, and the others are served on.
#[test]
fn who_does_not_read_hurts_nobody_else() {
    let rig = Rig::new();
    let mut deaf = rig.producer();
    deaf.stream.set_write_timeout(Some(std::time::Duration::from_millis(500))).expect("timeout");
    let info = b"INFO\r\n".repeat(1000);
    let mut sent = 0;
    while sent < 10_000 && std::io::Write::write_all(&mut deaf.stream, &info).is_ok() {
        sent += 1;
    }
    assert!(sent < 10_000, "the server takes no more from it");
    let mut producer = rig.producer();
    producer.push("job-00001", "");
}

#[test]
fn one_client_too_many_is_told() {
    let rig = Rig::with(|config| config.connections = 2);
    let _both = (rig.producer(), rig.producer());
    let mut third = rig.stranger();
    assert!(matches!(third.reply(), Reply::Refused { text, .. } if text.contains("too many connections")));
    assert_eq!(third.next(), None);
}

/// More commands in one burst than answers can be owed, behind one that is not on disk yet.
#[test]
fn a_burst_of_any_length_is_answered_to_its_end() {
    let rig = Rig::new();
    for (round, commands) in [20_000, 60_000].into_iter().enumerate() {
        let mut producer = rig.producer();
        let mut sending = producer.stream.try_clone().expect("clone");
        let burst = [format!("{}\n", job(&format!("job-{round:05}"), "")), "\n".repeat(commands)].concat();
        let sent = std::thread::spawn(move || std::io::Write::write_all(&mut sending, burst.as_bytes()).expect("send"));
        assert_eq!(producer.reply(), Reply::Simple("OK".to_owned()));
        for number in 0..commands {
            assert!(matches!(producer.reply(), Reply::Refused { .. }), "{number} of {commands}");
        }
        sent.join().expect("sent");
        producer.push(&format!("job-{round:05}-again"), "");
    }
    // Whoever closes its end behind the burst gets every answer, too.
    let mut producer = rig.producer();
    producer.send([format!("{}\n", job("job-closes", "")), "\n".repeat(20_000)].concat().as_bytes());
    producer.stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
    assert_eq!(producer.reply(), Reply::Simple("OK".to_owned()));
    assert_eq!(std::iter::from_fn(|| producer.next()).count(), 20_000);
}

/// TLS has no line that would end: it is told by its first bytes.
#[test]
fn other_protocols_are_told_what_this_is() {
    let rig = Rig::new();
    for (name, bytes) in corpus::files() {
        let words = match name.split('-').next() {
            Some("tls") => "this is TLS",
            Some("http" | "http2") => "this is HTTP",
            Some("redis") => "the protocol of Redis",
            _ => continue,
        };
        let mut stranger = rig.stranger();
        stranger.reply();
        stranger.send(&bytes);
        assert!(matches!(stranger.reply(), Reply::Refused { text, .. } if text.contains(words)), "{name}");
        assert_eq!(stranger.next(), None, "{name}");
    }
}

/// What small changes make of hostile input, from strangers, producers and workers, read by them or not: others are
/// served all the while, and every answer is one of the protocol.
#[test]
fn bytes_of_every_kind_hurt_nobody_else() {
    let mut rig = Rig::new();
    let files = corpus::files();
    let mut watcher = rig.producer();
    let rounds = if std::env::var_os("EVERCREW_LONG").is_some() { 100_000 } else { 5000 };
    for seed in 0..rounds {
        let mut client = match seed % 4 {
            0 => rig.stranger(),
            1 => rig.worker("worker-1"),
            _ => rig.producer(),
        };
        let _ = std::io::Write::write_all(&mut client.stream, &corpus::changed(&files, seed));
        if seed % 3 == 0 {
            drop(client);
        } else {
            let _ = client.stream.shutdown(std::net::Shutdown::Write);
            while client.next().is_some() {}
        }
        if seed % 100 == 0 {
            watcher.push(&format!("watched-{seed:06}"), r#""queue":"watched""#);
        }
    }
    watcher.ok("QUEUE RESUME *");
    let mut worker = rig.worker("worker-2");
    worker.fetch_the("watched", "watched-000000");
    worker.ack("watched-000000");
    drop(worker);
    while watcher.json("INFO")["server"]["connections"] != 1 {}
    assert_eq!(watcher.json("INFO")["evercrew"]["buffer_bytes"], 0);
    rig.stop().expect("it ends well");
}
