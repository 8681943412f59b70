//! Workers and clients against whole servers: our own, and a Faktory server where FAKTORY_BIN names one.

use std::collections::HashMap;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evercrew_jobs::{Address, Client, Context, Failure, Job, Worker};

use crate::pace::until;
use crate::rig::Rig;

/// Two workers share jobs of three queues, in which some fail at first; each job is done once.
async fn share(address: Address, jobs: u32) {
    let client = Client::new(address.clone());
    let ran: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let queue = |number: u32| ["live-a", "live-b", "live-c"][number as usize % 3];
    let all =
        (0..jobs).map(|number| Job::new("Count", (number,)).queue(queue(number)).named(format!("live-job-{number}")));
    assert!(client.push_many(all).await.expect("push").is_empty());
    let mut crew = Vec::new();
    for number in 0..2 {
        let kept = Arc::clone(&ran);
        let handler = move |context: Context, (_,): (u32,)| {
            *kept.lock().expect("no panic").entry(context.jid().to_owned()).or_default() += 1;
            async { Ok::<(), Failure>(()) }
        };
        let builder = Worker::builder().address(address.clone()).concurrency(30).labels(["live"]);
        let builder = match number {
            0 => builder.queues(["live-a", "live-b", "live-c"]),
            _ => builder.weighted_queues([("live-a", 1), ("live-b", 2), ("live-c", 3)]),
        };
        let worker = builder.handler("Count", handler).build().expect("worker");
        let remote = worker.remote();
        crew.push((remote, tokio::spawn(worker.run())));
    }
    let seen = Arc::clone(&ran);
    until(move || seen.lock().expect("no panic").len() == jobs as usize).await;
    let mut done = 0;
    for (remote, running) in crew {
        remote.stop();
        let report = running.await.expect("no panic").expect("it ends well");
        assert_eq!((report.failed, report.abandoned, report.undelivered), (0, 0, 0));
        done += report.done;
    }
    assert_eq!(done, u64::from(jobs));
    assert!(ran.lock().expect("no panic").values().all(|runs| *runs == 1));
}

#[tokio::test]
async fn two_workers_share_the_jobs_of_our_server() {
    let folder = tempfile::tempdir().expect("folder");
    let rig = Rig::on_disk(&folder.path().join("jobs.db"));
    let jobs = if std::env::var_os("EVERCREW_LONG").is_some() { 30_000 } else { 3000 };
    share(rig.url(), jobs).await;
    assert_eq!((rig.total("done"), rig.total("leased"), rig.total("failed")), (jobs.into(), jobs.into(), 0));
}

/// Strict queues: the first one is emptied before the second is looked at.
#[tokio::test]
async fn strict_queues_are_served_in_their_order() {
    let rig = Rig::new();
    let client = Client::new(rig.url());
    for number in 0..10 {
        let queue = if number % 2 == 0 { "low" } else { "high" };
        client.push(Job::new("T", ()).queue(queue)).await.expect("push");
    }
    let order: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&order);
    let worker = Worker::builder()
        .address(rig.url())
        .concurrency(1)
        .queues(["high", "low"])
        .raw_handler("T", move |context: Context| {
            kept.lock().expect("no panic").push(context.queue().to_owned());
            async { Ok::<(), Failure>(()) }
        })
        .build()
        .expect("worker");
    let remote = worker.remote();
    let running = tokio::spawn(worker.run());
    until(|| rig.total("done") == 10).await;
    remote.stop();
    running.await.expect("no panic").expect("it ends well");
    let order = order.lock().expect("no panic");
    assert!(
        order[..5].iter().all(|queue| queue == "high") && order[5..].iter().all(|queue| queue == "low"),
        "{order:?}"
    );
}

/// The same against a Faktory server.
#[tokio::test]
async fn two_workers_share_the_jobs_of_a_faktory_server() {
    let Some(program) = std::env::var_os("FAKTORY_BIN") else {
        println!("SKIP FAKTORY_BIN names no Faktory server");
        return;
    };
    let folder = tempfile::tempdir().expect("folder");
    // Two ports that are free, as far as anybody can know.
    let ports: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").expect("bind")).collect();
    let [port, web] = [0, 1].map(|place: usize| ports[place].local_addr().expect("address"));
    drop(ports);
    let mut server = Command::new(program)
        .args(["-b", &port.to_string(), "-w", &web.to_string()])
        .env("HOME", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("FAKTORY_BIN runs");
    let address = Address::parse(&format!("tcp://{port}")).expect("address");
    let client = Client::with_patience(address.clone(), Duration::from_secs(30));
    client.info().await.expect("the server answers");
    share(address, 3000).await;
    server.kill().expect("kill");
    server.wait().expect("wait");
}
