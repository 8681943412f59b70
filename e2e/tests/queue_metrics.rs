//! The figures of the queue server where those of everything else are: at the metrics listener.

use std::net::SocketAddr;
use std::time::Instant;

use evercrew_core::Signal;
use evercrew_e2e::{Engine, programs};
use evercrew_jobs::Address;
use evercrew_jobs::plain::Client;

use crate::EVERCREW;
use crate::history::PATIENCE;
use crate::hub::{free, scrape};

/// Scrapes until it is so; what was scraped.
fn until(listener: SocketAddr, engine: &Engine, what: &str, so: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = scrape(listener);
        if so(&text) {
            return text;
        }
        assert!(Instant::now() < deadline, "never {what}:\n{text}\n{}", engine.log());
    }
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|known| known == line)
}

/// The value of the sample that begins so.
fn value(text: &str, sample: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok())
}

#[test]
fn the_queue_server_s_figures_are_at_the_metrics_listener() {
    let (port, listener) = (programs::free_port(), free());
    let mut engine =
        Engine::up(EVERCREW, &format!("[queue]\nlisten = \"127.0.0.1:{port}\"\n[metrics]\nlisten = \"{listener}\"\n"));
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).expect("address");
    let mut client = Client::connect_as(&address, PATIENCE, r#"{"wid":"worker-1"}"#).expect("connect");
    let mut ask = |line: &str| client.ask_json(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    for (number, queue, more) in [
        (1, "mail", ""),
        (2, "mail", ""),
        (3, "mail", ""),
        (4, "fails", r#","retry":2"#),
        (5, "dies", r#","retry":-1"#),
        (6, "later", r#","at":"2999-01-01T00:00:00Z""#),
        (7, "gone", ""),
    ] {
        ask(&format!(r#"PUSH {{"jid":"job-00000{number}","jobtype":"T","args":[],"queue":"{queue}"{more}}}"#));
    }
    for (queue, answer) in [("fails", "FAIL"), ("dies", "FAIL"), ("mail", "ACK")] {
        let jid = ask(&format!(r#"FETCHB {{"n":1,"queues":["{queue}"]}}"#))[0]["jid"].clone();
        ask(&format!(r#"{answer} {{"jid":{jid},"errtype":"E","message":"m","backtrace":[]}}"#));
    }
    ask(r#"FETCHB {"n":1,"queues":["mail"]}"#);
    ask("QUEUE PAUSE fails");
    let text =
        until(listener, &engine, "told", |text| has(text, r#"evercrew_queue_paused{service="queue",queue="fails"} 1"#));
    for line in [
        r#"evercrew_queue_depth{service="queue",queue="mail"} 1"#,
        r#"evercrew_queue_depth{service="queue",queue="gone"} 1"#,
        r#"evercrew_queue_wait_seconds_count{service="queue",queue="mail"} 2"#,
        r#"evercrew_queue_wait_seconds_bucket{service="queue",queue="dies",le="+Inf"} 1"#,
        r#"evercrew_queue_set_size{service="queue",set="retries"} 1"#,
        r#"evercrew_queue_set_size{service="queue",set="dead"} 1"#,
        r#"evercrew_queue_set_size{service="queue",set="scheduled"} 1"#,
        r#"evercrew_queue_set_size{service="queue",set="working"} 1"#,
        r#"evercrew_queue_pushed_total{service="queue"} 7"#,
        r#"evercrew_queue_leased_total{service="queue"} 4"#,
        r#"evercrew_queue_done_total{service="queue"} 1"#,
        r#"evercrew_queue_failed_total{service="queue"} 2"#,
        r#"evercrew_queue_dead_total{service="queue"} 1"#,
        r#"evercrew_queue_connections{service="queue"} 1"#,
    ] {
        assert!(has(&text, line), "{line} is not in\n{text}");
    }
    for name in ["commits_total", "syncs_total"] {
        assert!(value(&text, &format!("evercrew_queue_{name}{{service=\"queue\"}}")).is_some_and(|count| count > 0.0));
    }
    // Ages grow though nothing happens, and a new manager is told what the last one knew.
    let age = r#"evercrew_queue_oldest_ready_age_seconds{service="queue",queue="mail"}"#;
    let young = value(&text, age).expect("an age");
    engine.manager().signal(Signal::Kill);
    engine.ready();
    until(listener, &engine, "older", |text| value(text, age).is_some_and(|old| old > young));
    // A queue that is removed has no figures.
    ask("QUEUE REMOVE gone");
    until(listener, &engine, "gone", |text| text.contains("queue=\"mail\"") && !text.contains("queue=\"gone\""));
    let refused = engine.run(&["call", "queue", "hello"]);
    assert!(refused.code == 1 && refused.stdout.contains("over its own protocol"), "{refused:?}");
    // It hears the word that stops it.
    let mut events = engine.events(1);
    engine.ok(&["stop", "queue"]);
    let ended = events.worker("worker.exit", "queue.1", PATIENCE);
    assert_eq!(ended["code"], 0, "{ended:#}");
    assert_eq!(engine.down(), 0);
}
