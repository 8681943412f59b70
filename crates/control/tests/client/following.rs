//! Events across managers.

use evercrew_control::Told;
use serde_json::{Value, json};

use crate::engine::{Engine, run, status};

fn event(seq: u64) -> Value {
    json!({"seq": seq, "at": "2026-01-01T00:00:00.000Z", "kind": "worker.exit", "worker": "web.1", "code": 1})
}

fn number(told: Option<Told>) -> u64 {
    match told {
        Some(Told::Event(event)) => event.seq,
        other => panic!("no event: {other:?}"),
    }
}

#[test]
fn a_follower_goes_on_behind_the_last_event_with_one_snapshot_and_ends_with_its_engine() {
    run(async {
        let engine = Engine::new();
        let mut events = engine.client().events().snapshot().kind("worker").follow().expect("it begins");
        let mut manager = engine.manager().await;
        let request = manager.asked("events").await;
        assert_eq!(request["args"], json!({"follow": true, "snapshot": true, "kind": ["worker"]}));
        let greeting = json!({"next": 5, "engine": "00ff", "snapshot": status(3)});
        manager.reply(&request, "processing", greeting).await;
        assert!(matches!(events.next().await, Ok(Some(Told::Snapshot(status))) if status.revision == 3));
        manager.reply(&request, "processing", event(5)).await;
        assert_eq!(number(events.next().await.expect("an event")), 5);
        drop(manager);
        let mut next = engine.manager().await;
        let request = next.asked("events").await;
        assert_eq!(request["args"], json!({"follow": true, "kind": ["worker"], "since": 6}));
        next.reply(&request, "processing", json!({"next": 6, "engine": "00ff"})).await;
        next.reply(&request, "processing", json!({"kind": "gap", "lost": 3})).await;
        next.reply(&request, "processing", event(9)).await;
        assert_eq!(events.next().await.expect("a gap"), Some(Told::Gap(3)));
        match events.next().await.expect("an event") {
            Some(Told::Event(event)) => {
                assert_eq!((event.seq, event.worker.as_deref(), &event.fields["code"]), (9, Some("web.1"), &json!(1)));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(events.position(), Some(10));
        drop(next);
        let mut another = engine.manager().await;
        let request = another.asked("events").await;
        another.reply(&request, "processing", json!({"next": 10, "engine": "0100"})).await;
        assert_eq!(events.next().await.expect("an end"), None);
        assert_eq!(events.next().await.expect("an end"), None);
    });
}

#[test]
fn a_reader_who_takes_its_time_misses_nothing_and_holds_up_no_other_request() {
    run(async {
        let mut engine = Engine::new();
        let client = engine.client();
        let mut events = client.events().since(1).follow().expect("it begins");
        let mut followed = engine.manager().await;
        let request = followed.asked("events").await;
        let feeding = tokio::spawn(async move {
            for seq in 1..=2000 {
                followed.reply(&request, "processing", event(seq)).await;
            }
            followed
        });
        let asked = tokio::spawn(client.status().into_future());
        let mut manager = engine.manager().await;
        let request = manager.asked("status").await;
        manager.reply(&request, "ok", status(1)).await;
        asked.await.expect("a task").expect("an answer");
        for seq in 1..=2000 {
            assert_eq!(number(events.next().await.expect("an event")), seq);
        }
        engine.end();
        drop(feeding.await.expect("a task"));
        assert_eq!(events.next().await.expect("an end"), None);
    });
}

#[test]
fn a_refusal_ends_it_and_one_that_is_let_fall_is_withdrawn() {
    run(async {
        let engine = Engine::new();
        let mut events = engine.client().events().since(1).follow().expect("it begins");
        let mut manager = engine.manager().await;
        let request = manager.asked("events").await;
        manager.say(&json!({"id": request["id"], "status": "failure", "code": 75, "message": "too many"})).await;
        assert_eq!(events.next().await.expect_err("refused").code(), 75);
        assert_eq!(events.next().await.expect("an end"), None);
        let events = engine.client().events().follow().expect("it begins");
        let mut manager = engine.manager().await;
        manager.asked("events").await;
        drop(events);
        let last = manager.request().await;
        assert!(last.is_null() || last["verb"] == "cancel", "{last}");
    });
}
