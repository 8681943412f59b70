//! Dropping anything neither panics nor blocks, also on a runtime with one thread.

use std::time::{Duration, Instant};

use evercrew_jobs::{Client, Failure, Job, Worker, blocking};

use crate::rig::Rig;
use crate::script::Script;

fn in_time<T>(work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = work();
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    result
}

fn one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime")
}

/// Fault 8: a worker, its clients and their runtime are dropped while a job runs and the server stands still.
#[test]
fn a_worker_is_dropped_while_its_server_stands_still() {
    let script = Script::new();
    script.job("dropped-job", "T");
    in_time(|| {
        let runtime = one_thread();
        runtime.block_on(async {
            let worker = Worker::builder()
                .address(script.url())
                .fallback(|_| async {
                    std::future::pending::<()>().await;
                    Ok::<(), Failure>(())
                })
                .build()
                .expect("worker");
            let client = Client::new(script.url());
            client.push(Job::new("T", ())).await.expect("push");
            tokio::select! {
                _ = worker.run() => panic!("it has no end"),
                () = script.until_async("it runs", |state| {
                    (state.ready.is_empty() && state.count("FETCH") > 0).then_some(())
                }) => {}
            }
            script.with(|state| state.stalls = true);
            drop(client);
        });
        drop(runtime);
    });
}

/// A blocking client is used and dropped inside of a runtime, and in none.
#[test]
fn a_blocking_client_is_dropped_anywhere() {
    let rig = Rig::new();
    let client = blocking::Client::new(rig.url()).expect("client");
    client.push(Job::new("T", (1,)).named("blocking-1")).expect("push");
    let other = client.clone();
    in_time(|| {
        one_thread().block_on(async move {
            other.push(Job::new("T", (2,)).named("blocking-2")).expect("push");
            drop(other);
        });
        assert_eq!(client.info().expect("info").queues["default"], 2);
        drop(client);
    });
    let alone = blocking::Client::new(rig.url()).expect("client");
    in_time(|| one_thread().block_on(async move { drop(alone) }));
}

/// A client goes on when the runtime that it was first used in is gone; without one it says so.
#[test]
fn a_client_outlives_its_runtime() {
    let rig = Rig::new();
    let client = Client::new(rig.url());
    for number in 0..3 {
        let jid = format!("runtime-{number}");
        let client = client.clone();
        one_thread().block_on(async move { client.push(Job::new("T", ()).named(jid)).await }).expect("push");
    }
    assert_eq!(rig.total("pushed"), 3);
}
