//! What a client pushes and asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use evercrew_jobs::{Client, ClientError, Context, Failure, Filter, Job, Place, Worker};

use crate::pace::until;
use crate::proxy::Proxy;
use crate::rig::Rig;
use crate::script::Script;

/// Everything that a client can ask of our own server.
#[tokio::test]
async fn a_client_pushes_asks_and_changes() {
    let rig = Rig::new();
    let client = Client::new(rig.url());
    client.push(Job::new("A", ("x", 1)).named("pushed-job-1")).await.expect("push");
    client.push(Job::new("B", ()).named("later-job-1").after(Duration::from_secs(600))).await.expect("push");
    let refused = client
        .push_many(
            (0..2500).map(|number| Job::new("C", (number,)).queue("bulk").named(format!("bulk-job-{}", number % 2499))),
        )
        .await
        .expect("push");
    assert!(refused.len() == 1 && refused[0].0 == "bulk-job-0" && refused[0].1.contains("Duplicate"), "{refused:?}");
    let info = client.info().await.expect("info");
    assert_eq!((info.queues["default"], info.queues["bulk"], info.sets.scheduled), (1, 2499, 1));
    client.requeue(Place::Scheduled, Filter::all().jids(["later-job-1"])).await.expect("requeue");
    assert_eq!(client.info().await.expect("info").queues["default"], 2);
    client.pause_queues(&["bulk"]).await.expect("pause");
    client.resume_queues(&["*"]).await.expect("resume");
    assert!(client.latency(&["bulk"]).await.expect("latency")[0].0 == "bulk");
    client.remove_queues(&["bulk"]).await.expect("remove");
    assert!(matches!(client.pause_queues(&["a b"]).await, Err(ClientError::Unsendable(_))));
    let refused = client.push(Job::new("A", ()).named("short")).await.expect_err("refused");
    assert!(matches!(&refused, ClientError::Refused(_, text) if text.contains("reasonable jid")), "{refused}");
    assert!(
        matches!(client.progress("pushed-job-1").await, Err(ClientError::Refused(..))),
        "our server tracks no jobs"
    );
    client.flush().await.expect("flush");
    assert_eq!(client.info().await.expect("info").sets.scheduled, 0);
}

/// Many tasks push at once over two connections.
#[tokio::test]
async fn pushes_share_connections() {
    let script = Script::new();
    let client = Client::new(script.url());
    let pushes: Vec<_> = (0..500)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { client.push(Job::new("T", (number,))).await })
        })
        .collect();
    for push in pushes {
        push.await.expect("no panic").expect("push");
    }
    let state = script.state();
    assert_eq!((state.count("PUSH"), state.logged_in), (500, 2));
}

/// A client whose server was away goes on; what may have happened is told, and not done twice.
#[tokio::test]
async fn a_client_connects_again_and_says_what_it_does_not_know() {
    let rig = Rig::new();
    let proxy = Proxy::new(rig.address);
    let client = Client::with_patience(proxy.url(), Duration::from_secs(3));
    client.push(Job::new("T", ()).named("before-cut-1")).await.expect("push");
    proxy.cut_all();
    until(|| rig.total("pushed") == 1).await;
    // Either the lost connection was seen before, or it is said that nobody knows.
    for number in 0..3 {
        match client.push(Job::new("T", ()).named(format!("after-cut-{number}"))).await {
            Ok(()) => assert_eq!(rig.state(&format!("after-cut-{number}")), "enqueued"),
            Err(error) => assert!(error.is_outcome_unknown(), "{error}"),
        }
    }
    proxy.stall(true);
    let late = client.push(Job::new("T", ()).named("into-stall-1")).await.expect_err("nobody answers");
    assert!(late.is_outcome_unknown(), "{late}");
    proxy.stall(false);
    proxy.lead_to(None);
    proxy.cut_all();
    let away = client.info().await.expect_err("nobody is there");
    assert!(matches!(away, ClientError::Unreachable(..) | ClientError::Unknown(..)), "{away}");
    proxy.lead_to(Some(rig.address));
    client.info().await.expect("it is there again");
}

/// A password that is wrong is told as what it is.
#[tokio::test]
async fn a_worker_that_is_not_let_in_says_so() {
    let script = Script::new();
    script.with(|state| state.denies = true);
    let refused = Client::new(script.url()).push(Job::new("T", ())).await.expect_err("refused");
    assert!(matches!(&refused, ClientError::Refused(_, text) if text == "Invalid password"), "{refused}");
    let worker = Worker::builder().address(script.url()).fallback(|_| async { Ok::<(), Failure>(()) }).build();
    let denied = worker.expect("worker").run().await.expect_err("denied");
    assert!(
        denied.to_string().ends_with("does not let this worker in: it lets nobody in: Invalid password"),
        "{denied}"
    );
}

/// Programs are tested without a server.
#[tokio::test]
async fn fake_and_inline_clients_need_no_server() {
    let fake = Client::fake();
    fake.push(Job::new("SendMail", ("ada", 1)).queue("mail")).await.expect("push");
    let pushed = fake.pushed();
    assert_eq!((pushed.len(), pushed[0].kind(), pushed[0].args()), (1, "SendMail", r#"["ada",1]"#));
    assert!(fake.pushed().is_empty() && fake.info().await.is_ok());
    let sum = Arc::new(AtomicU32::new(0));
    let total = Arc::clone(&sum);
    let handlers = Worker::builder()
        .handler("Add", move |context: Context, (number,): (u32,)| {
            total.fetch_add(number, Ordering::Relaxed);
            async move {
                match number {
                    0 => Err(Failure::new("Zero", "nothing to add")),
                    1 => Ok(()),
                    // Jobs push jobs.
                    _ => context.client().push(Job::new("Add", (number - 1,))).await.map_err(Failure::from),
                }
            }
        })
        .handlers();
    let inline = Client::inline(handlers);
    inline.push(Job::new("Add", (3,))).await.expect("push");
    assert_eq!((sum.load(Ordering::Relaxed), inline.pushed().len()), (6, 3));
    let failed = inline.push(Job::new("Add", (0,))).await.expect_err("it fails");
    assert_eq!(failed.to_string(), "the job failed: Zero: nothing to add");
}
