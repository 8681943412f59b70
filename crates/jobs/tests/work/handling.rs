//! Handlers: what they are given, and what is told of how they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use evercrew_jobs::{Client, Context, Counts, Failure, Job, Perform, Timeout, Worker};

use crate::pace::until;
use crate::rig::Rig;
use crate::script::Script;

struct Adder(u32);

impl Perform for Adder {
    async fn perform(&self, context: Context) -> Result<(), Failure> {
        let (number,): (u32,) = context.args()?;
        assert_eq!(context.state::<AtomicU32>().expect("state").fetch_add(number + self.0, Ordering::Relaxed), 0);
        Ok(())
    }
}

fn fails() -> Result<u32, Failure> {
    Ok("x".parse::<u32>()?)
}

/// Every kind of handler runs, and each way to fail is told with its type, its words and where it was.
#[tokio::test]
async fn each_end_of_a_handler_is_told() {
    let rig = Rig::new();
    let client = Client::new(rig.url());
    let counts = Counts::default();
    let worker = Worker::builder()
        .address(rig.url())
        .state(AtomicU32::new(0))
        .middleware(counts.clone())
        .performer("Add", Adder(2))
        .handler("Error", |_, (): ()| async { fails().map(drop) })
        .handler("Words", |_, _: Vec<u8>| async { Err::<(), _>("only words") })
        .handler(
            "Panic",
            |_, (n,): (u32,)| async move { if n > 0 { panic!("number {n}") } else { Ok::<(), Failure>(()) } },
        )
        .blocking_handler("Blocks", |context: Context, (): ()| -> Result<(), Failure> {
            assert_eq!((context.attempt(), context.queue()), (1, "default"));
            Ok(())
        })
        .blocking_handler("BlockingPanic", |_, (): ()| -> Result<(), Failure> { panic!("in a thread") })
        .build()
        .expect("worker");
    for (jid, kind, args) in [
        ("job-add-1", "Add", vec![40]),
        ("job-error", "Error", vec![]),
        ("job-words", "Words", vec![]),
        ("job-panic", "Panic", vec![7]),
        ("job-args-", "Panic", vec![1, 2]),
        ("job-block", "Blocks", vec![]),
        ("job-bpanic", "BlockingPanic", vec![]),
        ("job-nobody", "Nobody", vec![]),
    ] {
        client.push(Job::new(kind, args).named(jid).backtrace(20)).await.expect("push");
    }
    let remote = worker.remote();
    let running = tokio::spawn(worker.run());
    until(|| counts.done() + counts.failed() == 8).await;
    remote.stop();
    let report = running.await.expect("no panic").expect("it ends well");
    assert_eq!((report.done, report.failed, report.abandoned, report.undelivered), (2, 6, 0, 0));
    assert_eq!((rig.state("job-add-1").as_str(), rig.state("job-block").as_str()), ("done", "done"));
    for (jid, kind, words, place) in [
        ("job-error", "core::num::error::ParseIntError", "invalid digit", Some("handling::fails")),
        ("job-words", "&str", "only words", None),
        ("job-panic", "Panic", "number 7, at ", Some("handling")),
        ("job-args-", "Arguments", "trailing characters", None),
        ("job-bpanic", "Panic", "in a thread", Some("handling")),
        ("job-nobody", "NoHandler", "no handler for jobs of the type Nobody", None),
    ] {
        let job = rig.job(jid);
        let failure = &job["failure"];
        assert_eq!((job["state"].as_str(), failure["errtype"].as_str()), (Some("retries"), Some(kind)), "{job}");
        assert!(failure["message"].as_str().is_some_and(|message| message.contains(words)), "{job}");
        if let Some(place) = place {
            assert!(failure["backtrace"].to_string().contains(place), "{job}");
        }
    }
}

/// Fault 6: a job as other languages push it stops no worker, and one that cannot be read is failed alone.
#[tokio::test]
async fn jobs_of_other_languages_run_and_an_unreadable_one_fails_alone() {
    let script = Script::new();
    for job in [
        r#"{"jid":"no-reserve","jobtype":"T","args":[1]}"#,
        r#"{"jid":"negative-1","jobtype":"T","args":[1],"retry":-1,"reserve_for":null,"custom":null,"queue":null}"#,
        r#"{"jid":"largest-11","jobtype":"T","args":[9223372036854775807],"retry":9223372036854775807,"reserve_for":9223372036854775807}"#,
        r#"{"jid":"unreadable","jobtype":5,"args":[]}"#,
        r#"{"jid":"unheard-of","jobtype":"T","args":[ 1.10 , 18446744073709551616 ],"priority":9,"x":{"y":[]}}"#,
    ] {
        script.push(job);
    }
    let seen: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&seen);
    let worker = Worker::builder()
        .address(script.url())
        .raw_handler("T", move |context: Context| {
            kept.lock().expect("no panic").push(context.raw_args().to_owned());
            async { Ok::<(), Failure>(()) }
        })
        .build()
        .expect("worker");
    let remote = worker.remote();
    let running = tokio::spawn(worker.run());
    script
        .until_async("all are told", |state| (state.count("ACK") == 4 && state.count("FAIL") == 1).then_some(()))
        .await;
    remote.stop();
    assert_eq!(running.await.expect("no panic").expect("it ends well").done, 4);
    let fail = script.state().lines.iter().find(|line| line.starts_with("FAIL")).cloned().expect("FAIL");
    assert!(fail.contains("\"jid\":\"unreadable\"") && fail.contains("\"errtype\":\"Undecodable\""), "{fail}");
    let seen = seen.lock().expect("no panic");
    assert!(seen.contains(&"[ 1.10 , 18446744073709551616 ]".to_owned()), "byte for byte: {seen:?}");
}

/// A job that takes longer than the middleware allows fails, and does not run on.
#[tokio::test]
async fn a_timeout_fails_the_job() {
    let rig = Rig::new();
    let client = Client::new(rig.url());
    client.push(Job::new("Long", ()).named("too-long-1")).await.expect("push");
    let worker = Worker::builder()
        .address(rig.url())
        .middleware(Timeout(Duration::from_millis(50)))
        .handler("Long", |_, (): ()| async {
            std::future::pending::<()>().await;
            Ok::<(), Failure>(())
        })
        .build()
        .expect("worker");
    assert_eq!(worker.run_one().await.expect("it ends well").failed, 1);
    assert_eq!(rig.job("too-long-1")["failure"]["errtype"], "Timeout");
}

/// A handler gives a job back: it is in its queue again, and no try is counted.
#[tokio::test]
async fn a_job_that_is_given_back_costs_no_try() {
    let rig = Rig::new();
    let client = Client::new(rig.url());
    client.push(Job::new("Not", ()).named("given-back")).await.expect("push");
    let worker = Worker::builder()
        .address(rig.url())
        .handler("Not", |_, (): ()| async { Err::<(), _>(Failure::give_back()) })
        .build()
        .expect("worker");
    worker.run_one().await.expect("it ends well");
    let job = rig.job("given-back");
    assert_eq!((job["state"].as_str(), job["tries"].as_u64()), (Some("enqueued"), Some(0)), "{job}");
}
