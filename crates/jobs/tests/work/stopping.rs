//! How a worker stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use evercrew_jobs::{Client, Context, Failure, Job, Reason, Worker};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::pace::lasts;
use crate::rig::Rig;
use crate::script::Script;

/// Fault 1: a stop lets running jobs end within the grace; they are done, and not tried again.
#[tokio::test]
async fn a_stop_lets_running_jobs_end_and_each_is_told_once() {
    let rig = Rig::new();
    let client = Client::new(rig.url());
    let begun = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&begun);
    for number in 0..4 {
        client.push(Job::new("Slow", ()).named(format!("slow-job-{number}"))).await.expect("push");
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = Worker::builder()
        .address(rig.url())
        .concurrency(4)
        .handler("Slow", move |_, (): ()| {
            count.fetch_add(1, Ordering::Relaxed);
            async {
                lasts(Duration::from_millis(1500)).await;
                Ok::<(), Failure>(())
            }
        })
        .stop_when(async { drop(stopped.await) })
        .build()
        .expect("worker");
    let running = tokio::spawn(worker.run());
    while begun.load(Ordering::Relaxed) < 4 {
        tokio::task::yield_now().await;
    }
    stop.send(()).expect("it runs");
    let report = running.await.expect("no panic").expect("it ends well");
    assert_eq!((report.done, report.abandoned, report.undelivered), (4, 0, 0));
    assert_eq!((rig.total("done"), rig.total("failed"), rig.total("leased")), (4, 0, 4));
}

/// A job over the grace is told to end by its token, and when it does not, it fails and runs no further.
#[tokio::test]
async fn a_job_over_the_grace_is_told_and_then_let_go() {
    let rig = Rig::new();
    let client = Client::new(rig.url());
    let (began, ran_on) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (notify, flag) = (Arc::clone(&began), Arc::clone(&ran_on));
    client.push(Job::new("Deaf", ()).named("deaf-job-1")).await.expect("push");
    client.push(Job::new("Polite", ()).named("polite-job")).await.expect("push");
    let worker = Worker::builder()
        .address(rig.url())
        .grace(Duration::from_secs(1))
        .last_words(Duration::from_secs(1))
        .handler("Deaf", move |_, (): ()| {
            let (notify, flag) = (Arc::clone(&notify), Arc::clone(&flag));
            async move {
                notify.notify_one();
                lasts(Duration::from_secs(4)).await;
                flag.store(true, Ordering::Relaxed);
                Ok::<(), Failure>(())
            }
        })
        .handler("Polite", |context: Context, (): ()| async move {
            assert_eq!(context.token().cancelled().await, Reason::Stopping);
            Err::<(), _>(Failure::give_back())
        })
        .build()
        .expect("worker");
    let remote = worker.remote();
    let running = tokio::spawn(worker.run());
    began.notified().await;
    let stopped = Instant::now();
    remote.stop();
    let report = running.await.expect("no panic").expect("it ends well");
    assert!(stopped.elapsed() >= Duration::from_secs(2), "grace and last words: {:?}", stopped.elapsed());
    assert_eq!((report.abandoned, report.undelivered), (1, 0));
    let job = rig.job("deaf-job-1");
    assert_eq!(
        (job["state"].as_str(), job["failure"]["errtype"].as_str()),
        (Some("retries"), Some("Stopped")),
        "{job}"
    );
    assert_eq!(rig.state("polite-job"), "enqueued");
    lasts(Duration::from_secs(3)).await;
    assert!(!ran_on.load(Ordering::Relaxed), "a job that was let go ran on");
}

/// Fault 2: a server's terminate lets a running job end, whatever its beats say meanwhile.
#[tokio::test]
async fn terminate_by_the_server_fails_no_running_job() {
    let script = Script::new();
    script.job("running-job", "Slow");
    let told = script.clone();
    let worker = Worker::builder()
        .address(script.url())
        .concurrency(1)
        .handler("Slow", move |_, (): ()| {
            let script = told.clone();
            async move {
                // A worker that lost its server says who it is and beats at once.
                script.with(|state| {
                    state.hint = Some("terminate");
                    state.forgets = 1;
                });
                script
                    .until_async("a beat tells that it ends", |state| {
                        (state.lines.iter().filter(|line| line.contains("\"terminate\"")).count() >= 1).then_some(())
                    })
                    .await;
                Ok::<(), Failure>(())
            }
        })
        .build()
        .expect("worker");
    let running = tokio::spawn(worker.run());
    let report = running.await.expect("no panic").expect("it ends well");
    assert_eq!((report.done, report.failed, report.abandoned), (1, 0, 0));
    let state = script.state();
    assert_eq!((state.count("ACK"), state.count("FAIL")), (1, 0));
    assert!(state.count("END") >= 2, "each connection is closed in the words of the protocol");
}

/// A quiet worker fetches nothing, beats on, and ends what runs.
#[tokio::test]
async fn a_quiet_worker_fetches_nothing() {
    let script = Script::new();
    script.with(|state| state.hint = Some("quiet"));
    let worker = Worker::builder().address(script.url()).fallback(|_| async { Ok::<(), Failure>(()) }).build();
    let worker = worker.expect("worker");
    let remote = worker.remote();
    let running = tokio::spawn(worker.run());
    script.until_async("it is asked to be quiet", |state| (state.count("BEAT") == 1).then_some(())).await;
    script.until_async("what was fetched is over", |state| (state.open.len() >= 2).then_some(())).await;
    lasts(Duration::from_secs(3)).await;
    script.job("never-runs", "T");
    lasts(Duration::from_secs(3)).await;
    assert_eq!(script.state().ready.len(), 1, "nobody fetched it");
    remote.stop();
    assert_eq!(running.await.expect("no panic").expect("it ends well").done, 0);
}

/// A fetch that is under way when the worker stops is waited for: the job it brings is not lost.
#[tokio::test]
async fn a_fetch_under_way_is_not_left_behind() {
    let script = Script::new();
    let worker = Worker::builder().address(script.url()).fallback(|_| async { Ok::<(), Failure>(()) }).build();
    let worker = worker.expect("worker");
    let remote = worker.remote();
    let running = tokio::spawn(worker.run());
    script.until_async("it fetches", |state| (state.count("FETCH") >= 1).then_some(())).await;
    remote.stop();
    script
        .until_async("it tells that it ends", |state| {
            state.lines.iter().any(|line| line.contains("terminate")).then_some(())
        })
        .await;
    script.job("last-minute", "T");
    let report = running.await.expect("no panic").expect("it ends well");
    let state = script.state();
    assert_eq!((report.done, state.ready.len(), state.count("ACK")), (1, 0, 1), "{:#?}", state.lines);
}

/// A stop at once fails what runs and waits for nothing.
#[tokio::test]
async fn a_stop_at_once_waits_for_nothing() {
    let rig = Rig::new();
    let client = Client::new(rig.url());
    client.push(Job::new("Ever", ()).named("for-ever-1")).await.expect("push");
    let began = Arc::new(Notify::new());
    let notify = Arc::clone(&began);
    let worker = Worker::builder()
        .address(rig.url())
        .blocking_handler("Ever", move |_, (): ()| -> Result<(), Failure> {
            notify.notify_one();
            std::thread::park_timeout(Duration::from_secs(20));
            Ok(())
        })
        .build()
        .expect("worker");
    let remote = worker.remote();
    let running = tokio::spawn(worker.run());
    began.notified().await;
    remote.stop();
    remote.stop_at_once();
    let begun = Instant::now();
    let report = running.await.expect("no panic").expect("it ends well");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!((report.abandoned, rig.state("for-ever-1").as_str()), (1, "retries"));
}
