//! Requests and their answers, over connections that break.

use std::time::{Duration, Instant};

use evercrew_control::{Client, ErrorKind, Meanwhile, Outcome, Workers};
use serde_json::{Value, json};

use crate::engine::{Engine, Manager, SOON, run, status};

/// Answers every `status` with the number that its request names.
async fn answer_all(mut manager: Manager) {
    loop {
        let request = manager.request().await;
        if request.is_null() {
            return;
        }
        let revision: u64 = request["args"]["names"][0].as_str().expect("a name").parse().expect("a number");
        manager.reply(&request, "ok", status(revision)).await;
    }
}

#[test]
fn requests_at_once_share_a_connection_and_each_gets_its_own_answer() {
    run(async {
        let engine = Engine::new();
        let client = engine.client();
        let asked: Vec<_> = (0..200)
            .map(|n: u64| {
                let client = client.clone();
                tokio::spawn(async move { (n, client.status().of([n.to_string()]).await) })
            })
            .collect();
        let manager = tokio::spawn(answer_all(engine.manager().await));
        for one in asked {
            let (n, status) = one.await.expect("a task");
            assert_eq!(status.expect("an answer").revision, n);
        }
        drop(client);
        tokio::time::timeout(SOON, manager).await.expect("the connection ends with the client").expect("a task");
    });
}

#[test]
fn a_look_is_asked_again_and_a_change_that_had_left_is_unknown() {
    run(async {
        let engine = Engine::new();
        let client = engine.client();
        let look = tokio::spawn(client.status().into_future());
        let change = tokio::spawn(client.scale([("web", Workers::More(2))]).into_future());
        let mut manager = engine.manager().await;
        manager.asked("status").await;
        assert_eq!(manager.asked("scale").await["args"], json!({"names": ["web=+2"]}));
        drop(manager);
        let mut next = engine.manager().await;
        let request = next.asked("status").await;
        next.reply(&request, "ok", status(7)).await;
        assert_eq!(look.await.expect("a task").expect("an answer").revision, 7);
        let error = change.await.expect("a task").expect_err("nobody knows");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unknown, 1));
        // The connection serves on.
        let again = tokio::spawn(client.stop(["web"]).now().into_future());
        let request = next.asked("stop").await;
        assert_eq!(request["args"], json!({"names": ["web"], "now": true}));
        next.reply(&request, "ok", Value::Null).await;
        assert_eq!(again.await.expect("a task").expect("an answer").message, "so");
    });
}

#[test]
fn a_change_that_never_left_is_asked_over_the_next_connection() {
    run(async {
        let engine = Engine::new();
        let client = engine.client();
        // More than a socket takes from one who is not read from.
        let long = json!("x".repeat(900_000));
        let full = tokio::spawn(client.call("web", "a").args(long.clone()).into_future());
        let waits = tokio::spawn(client.start(["web"]).into_future());
        let manager = engine.manager().await;
        tokio::task::yield_now().await;
        drop(manager);
        let mut next = engine.manager().await;
        assert_eq!(next.asked("call").await["args"]["with"], long, "half a request is none");
        let request = next.asked("start").await;
        next.reply(&request, "ok", Value::Null).await;
        waits.await.expect("a task").expect("an answer");
        full.abort();
        assert_eq!(next.asked("cancel").await["args"], json!({"id": "1"}));
    });
}

#[test]
fn a_deadline_is_told_and_kept() {
    run(async {
        let engine = Engine::new();
        let client = engine.client();
        let began = Instant::now();
        let asked = tokio::spawn(client.wait().timeout(Duration::from_secs(1)).into_future());
        let mut manager = engine.manager().await;
        assert!(manager.asked("wait").await["deadline_ms"].as_u64().expect("a deadline") <= 900);
        let error = asked.await.expect("a task").expect_err("nobody answers");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Late, 124));
        assert!(began.elapsed() >= Duration::from_secs(1));
        assert_eq!(manager.asked("cancel").await["args"], json!({"id": "1"}));
        // A look has a bound of its own.
        let error = client.patience(Duration::from_millis(100)).version().await.expect_err("nobody answers");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Silent, 69));
    });
}

#[test]
fn nobody_there_another_user_and_one_who_takes_nobody_are_told_apart() {
    run(async {
        let mut engine = Engine::new();
        let client = engine.client();
        let asked = tokio::spawn(client.version().into_future());
        let mut manager = engine.manager().await;
        manager.say(&json!({"id": "", "status": "failure", "message": "another user's engine", "code": 77})).await;
        let error = asked.await.expect("a task").expect_err("refused");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, 77));
        drop(manager);
        engine.turn_away();
        let error = engine.client().patience(Duration::from_millis(100)).start(["web"]).await.expect_err("nobody");
        assert_eq!(error.kind(), ErrorKind::Silent, "{error}");
        engine.end();
        let error = client.start(["web"]).await.expect_err("nobody");
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotRunning, 69), "{error}");
        let error = Client::new("/nonexistent").status().await.expect_err("nobody");
        assert_eq!(error.kind(), ErrorKind::NotRunning, "{error}");
        let error = client.call("web", "x").args(json!("x".repeat(2_000_000))).await.expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::Unsendable, "{error}");
    });
}

#[test]
fn a_call_tells_each_outcome_and_fails_with_all_of_them() {
    run(async {
        let engine = Engine::new();
        let mut call = engine.client().call("web", "flush").quorum(2).stream().expect("it begins");
        let mut manager = engine.manager().await;
        let request = manager.asked("call").await;
        assert_eq!(request["args"], json!({"names": ["web"], "call": "flush", "quorum": 2, "stream": true}));
        manager.reply(&request, "processing", json!({"worker": "web.1", "progress": 50})).await;
        manager.reply(&request, "processing", json!({"name": "web.1", "outcome": "died", "message": "it ended"})).await;
        let workers = json!([{"name": "web.1", "outcome": "died", "message": "it ended"}]);
        let content = json!({"workers": workers, "missing": ["web.2"], "took_seconds": 0.25});
        manager
            .say(&json!({"id": request["id"], "status": "failure", "code": 1, "message": "1 died", "content": content}))
            .await;
        let progress = call.next().await.expect("progress");
        assert_eq!(progress, Meanwhile::Progress { worker: "web.1".into(), content: json!(50) });
        match call.next().await.expect("an outcome") {
            Meanwhile::Answered(answered) => assert_eq!(answered.outcome, Outcome::Died),
            other => panic!("{other:?}"),
        }
        assert!(call.next().await.is_none());
        let error = call.end().await.expect_err("one died");
        let called = error.called().expect("what each said");
        assert_eq!((called.workers.len(), &called.missing), (1, &vec!["web.2".to_owned()]));
        assert_eq!(called.took, Duration::from_millis(250));
    });
}
