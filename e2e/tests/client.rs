//! `evercrew::control` with a real engine whose managers are killed.

use std::time::Duration;

use evercrew_control::{Client, ErrorKind, Outcome, Told, Workers};
use evercrew_core::Signal;
use evercrew_e2e::Engine;
use serde_json::json;

use crate::calls::engine;

const SOON: Duration = Duration::from_secs(20);

fn client(engine: &Engine) -> Client {
    Client::new(engine.home().join(".evercrew"))
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(SOON * 3, test).await.expect("in time") })
}

#[test]
fn every_verb_is_asked_over_one_connection_and_read_into_its_type() {
    let mut engine = engine(2, "");
    let client = client(&engine);
    run(async {
        let status = client.status().of(["s"]).await.expect("status");
        assert_eq!((status.services[0].name.as_str(), status.services[0].ready), ("s", 2));
        assert!(status.services[0].workers.iter().all(|worker| worker.pid.is_some() && worker.state == "ready"));
        client.wait().timeout(SOON).await.expect("wait");
        client.scale([("s", Workers::More(1))]).await.expect("scale");
        assert_eq!(client.status().await.expect("status").services[0].wanted, 3);
        let mut rollout = client.restart(["s"]).stream().expect("restart");
        let mut told = 0;
        while let Some(progress) = rollout.next().await {
            told += u32::from(progress.content["service"] == "s");
        }
        assert!(told > 0);
        rollout.end().await.expect("a rollout");
        assert_eq!(client.rollout_history().await.expect("history").rollouts[0].service, "s");
        assert!(client.rollouts().of(["s"]).await.expect("rollouts").rollouts.is_empty());
        assert_eq!(client.pause_rollouts().await.expect_err("none runs").kind(), ErrorKind::Refused);
        let called = client.call("s", "echo").args(json!({"a": 1})).await.expect("call");
        assert!(
            called
                .workers
                .iter()
                .all(|worker| worker.outcome == Outcome::Ok && worker.content["args"] == json!({"a": 1}))
        );
        let error = client.call("s.1", "fail").await.expect_err("it fails");
        assert_eq!(error.called().expect("outcomes").workers[0].outcome, Outcome::Failed);
        assert_eq!(client.signal(["s.2"], "WINCH").await.expect("signal")[0].name, "s.2");
        client.stop(["s"]).now().await.expect("stop");
        client.start(["s"]).await.expect("start");
        let plan = client.reload().dry_run().await.expect("reload");
        assert!(plan.content.is_object(), "{plan:?}");
        let metrics = client.metrics().await.expect("metrics");
        assert_eq!(metrics.number("evercrew_service_workers_ready", &[("service", "s")]), Some(3.0));
        assert!(client.dump(4).await.expect("dump")["decisions"].is_array());
        assert_eq!(client.surroundings("s").await.expect("surroundings").service, "s");
        assert!(!client.version().await.expect("version").verbs.is_empty());
        assert!(client.events_since(1).await.expect("events").next > 1);
        assert_eq!(client.status().of(["nobody"]).await.expect_err("unknown").code(), 4);
        client.shutdown().await.expect("shutdown");
    });
    assert_eq!(engine.wait(SOON), 0);
    let error = run(async { client.status().await.expect_err("nobody") });
    assert_eq!(error.kind(), ErrorKind::NotRunning, "{error}");
}

#[test]
fn when_managers_die_looks_go_on_events_miss_nothing_unsaid_and_calls_end() {
    let mut engine = engine(2, "");
    let client = client(&engine);
    run(async {
        let mut events = client.events().snapshot().follow().expect("events");
        let Ok(Some(Told::Snapshot(status))) = events.next().await else { panic!("no snapshot") };
        let mut generation = status.manager.generation;
        for _ in 0..5 {
            // A worker that never answers, and one that is never ready: both wait for the manager.
            let hangs = tokio::spawn(client.call("s", "hang").timeout(SOON).into_future());
            let looks = tokio::spawn(client.wait().into_future());
            // What came before on this connection has reached the manager when this is answered.
            let manager = client.status().await.expect("status").manager;
            engine.manager().signal(Signal::Kill);
            let error = hangs.await.expect("a task").expect_err("nobody knows");
            assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
            looks.await.expect("a task").expect("it is ready");
            let next = client.status().await.expect("status").manager;
            assert_ne!((manager.pid, manager.generation), (next.pid, next.generation));
        }
        let mut next = events.position();
        while generation < status.manager.generation + 5 {
            match events.next().await.expect("events go on").expect("the engine lives") {
                Told::Event(event) => {
                    assert_eq!(Some(event.seq), next, "{event:?}");
                    next = events.position();
                    generation += u64::from(event.kind == "engine.manager-started");
                }
                // A manager keeps no event of the one before.
                Told::Gap(lost) => next = next.map(|next| next + lost),
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(engine.down(), 0);
}

#[test]
fn the_command_line_tells_that_the_outcome_of_a_call_is_unknown_when_the_manager_dies() {
    let mut engine = engine(1, "");
    let mut events = engine.events(1);
    let output = std::thread::scope(|scope| {
        let call = scope.spawn(|| engine.run(&["call", "s", "heard", "--timeout", "50s"]));
        // The worker has the question when it says so.
        events.wait("the question", SOON, |event| event["kind"] == "worker.event");
        engine.manager().signal(Signal::Kill);
        call.join().expect("a thread")
    });
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains("the outcome is unknown"), "{}", output.stderr);
    assert_eq!(engine.down(), 0);
}
