//! Somebody who follows events and never reads.

use std::time::{Duration, Instant};

use evercrew_e2e::Engine;
use serde_json::json;

use crate::EVERCREW;
use crate::calls::Asking;

/// Requests in one write: fewer than may be open.
const AT_ONCE: usize = 50;

#[test]
fn a_follower_that_never_reads_costs_bounded_memory_and_delays_nobody() {
    let mut engine =
        Engine::up(EVERCREW, "[service.sleep]\ncommand = [\"sleep\", \"1000\"]\nstop = { signal = \"KILL\" }\n");
    let manager = engine.manager();
    let (mut deaf, mut other, mut busy) = (Asking::new(&engine), Asking::new(&engine), Asking::new(&engine));
    let begin = other.ask_now(json!({"id": "e", "verb": "events"}))["content"]["next"].as_u64().expect("a number");
    deaf.ask(json!({"id": "f", "verb": "events", "args": {"follow": true, "since": begin}}));
    // Each is two events: what was changed, and who changed it.
    let requests = if std::env::var_os("EVERCREW_LONG").is_some() { 500_000 } else { 50_000 };
    let (mut warm, mut slowest) = (0, Duration::ZERO);
    for round in 0..requests / AT_ONCE {
        for n in 0..AT_ONCE {
            busy.ask(json!({"id": n.to_string(), "verb": "log-level", "args": {"filter": "fatal"}}));
        }
        let asked = Instant::now();
        assert_eq!(other.ask_now(json!({"id": "s", "verb": "status"}))["status"], "ok");
        slowest = slowest.max(asked.elapsed());
        for _ in 0..AT_ONCE {
            assert_eq!(busy.reply()["status"], "ok");
        }
        if round == requests / AT_ONCE / 2 {
            warm = manager.anonymous_kib();
        }
    }
    let grown = manager.anonymous_kib().saturating_sub(warm);
    println!("{} events: the slowest status took {slowest:?}, the manager grew by {grown} KiB", 2 * requests);
    assert!(grown < 4 * 1024, "the manager grew by {grown} KiB");
    assert!(slowest < Duration::from_secs(10), "a status took {slowest:?}");
    let end = other.ask_now(json!({"id": "e", "verb": "events"}))["content"]["next"].as_u64().expect("a number");
    assert!(end - begin >= 2 * requests as u64, "{begin} to {end}");
    // It reads at last, and is told of every one, or how many it missed.
    assert_eq!(deaf.reply()["content"]["next"], begin);
    let (mut next, mut lost) = (begin, 0);
    while next < end {
        let content = deaf.reply()["content"].take();
        match content["lost"].as_u64() {
            Some(gap) => (next, lost) = (next + gap, lost + gap),
            None => {
                assert_eq!(content["seq"], next, "{content}");
                next += 1;
            }
        }
    }
    assert!(lost > 0 && lost < end - begin, "{lost} of {}", end - begin);
    assert_eq!(engine.down(), 0);
}
