//! A worker that is a process: this test program, executed again.

use std::process::{Child, Command, Stdio};

use evercrew_jobs::{Client, Failure, Job, Worker};

use crate::pace::{lasts, until};
use crate::rig::Rig;

/// Where the server of such a process is; without it the test below does nothing.
const VARIABLE: &str = "EVERCREW_TEST_WORKER";

/// The signal by which service managers stop a process.
const TERM: &str = "TERM";

#[tokio::test]
async fn acts_as_a_worker() {
    let Ok(url) = std::env::var(VARIABLE) else { return };
    let worker = Worker::builder()
        .url(url)
        .handler("Lasts", |_, (millis,): (u64,)| async move {
            lasts(std::time::Duration::from_millis(millis)).await;
            Ok::<(), Failure>(())
        })
        .build()
        .expect("worker");
    let report = worker.run_to_completion().await.expect("it ends well");
    assert_eq!(report.undelivered, 0);
}

fn start(rig: &Rig) -> Child {
    let program = std::env::current_exe().expect("this program");
    Command::new(program)
        .args(["process::acts_as_a_worker", "--exact", "--nocapture"])
        .env(VARIABLE, rig.url().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs")
}

fn signal(process: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.id().to_string()]).status();
    assert!(sent.expect("kill").success());
}

async fn code(process: &mut Child) -> Option<i32> {
    let mut ended = None;
    until(|| {
        ended = process.try_wait().expect("wait");
        ended.is_some()
    })
    .await;
    ended.and_then(|ended| ended.code())
}

/// TERM lets what runs end, and the process ends with 0.
#[tokio::test]
async fn a_signal_lets_jobs_end_and_the_process_ends_well() {
    let rig = Rig::new();
    let client = Client::new(rig.url());
    client.push(Job::new("Lasts", (1500,)).named("lasts-long")).await.expect("push");
    let mut process = start(&rig);
    until(|| rig.state("lasts-long") == "working").await;
    signal(&process, TERM);
    assert_eq!(code(&mut process).await, Some(0));
    assert_eq!((rig.state("lasts-long").as_str(), rig.total("failed")), ("done", 0));
}

/// A second TERM ends it at once: what runs fails, and is tried again.
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let rig = Rig::new();
    let client = Client::new(rig.url());
    client.push(Job::new("Lasts", (60_000,)).named("lasts-ever")).await.expect("push");
    let mut process = start(&rig);
    until(|| rig.state("lasts-ever") == "working").await;
    signal(&process, TERM);
    until(|| {
        let workers = rig.asker().ask_json("WORKERS {}").expect("WORKERS");
        workers["workers"][0]["state"] == "terminate"
    })
    .await;
    signal(&process, TERM);
    assert_eq!(code(&mut process).await, Some(0));
    assert_eq!(rig.state("lasts-ever"), "retries");
}
