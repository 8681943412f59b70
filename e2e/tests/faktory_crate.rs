//! A producer or a worker of the crate `faktory`, in a process of its own: this test program, executed again.
//!
//! As `faktory_client.py` and `faktory_client.js`, in what it is told, what it prints, and what its kinds of jobs do.

use std::io;
use std::time::Duration;

use faktory::mutate::{Filter, JobSet};
use faktory::{Client, Error, Job, Worker};

/// What the process is to do, in words with spaces between; without it the test below does nothing.
pub(crate) const VARIABLE: &str = "EVERCREW_TEST_FAKTORY_CRATE";

/// The words that become such a process.
pub(crate) fn words() -> Vec<String> {
    let words = ["faktory_crate::acts_as_it_is_told", "--exact", "--nocapture"].map(str::to_owned);
    std::iter::once(std::env::current_exe().expect("this program").display().to_string()).chain(words).collect()
}

#[test]
fn acts_as_it_is_told() {
    let Ok(told) = std::env::var(VARIABLE) else { return };
    let words: Vec<&str> = told.split(' ').collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    // The harness may have left the beginning of a line.
    println!();
    let outcome = runtime.block_on(async {
        match words[..] {
            ["push", url, kind, queue, count, retry] => push(url, kind, queue, number(count), number(retry)).await,
            ["work", url, queue] => work(url, queue).await,
            ["mutate", url, command, target] => mutate(url, command, target).await,
            ["info", url] => info(url).await,
            _ => panic!("what is {told}?"),
        }
    });
    outcome.expect("done");
    println!("end");
}

fn number(word: &str) -> isize {
    word.parse().expect("a number")
}

async fn push(url: &str, kind: &str, queue: &str, count: isize, retry: isize) -> Result<(), Error> {
    let mut client = Client::connect_to(url).await?;
    let job = |number: isize| Job::builder(kind).args([number]).queue(queue).retry(retry).build();
    for number in 0..count / 2 {
        client.enqueue(job(number)).await?;
    }
    let rest: Vec<Job> = (count / 2..count).map(job).collect();
    let taken = rest.len();
    let outcome = client.enqueue_many(rest).await?;
    assert!(outcome.0 == taken && outcome.1.is_none(), "{outcome:?}");
    Ok(())
}

async fn work(url: &str, queue: &str) -> Result<(), Error> {
    let ran = |job: &Job| println!("ran {} {:?}", job.kind(), job.args());
    let builder = Worker::builder::<io::Error>()
        .register_fn("Done", move |job| async move {
            ran(&job);
            Ok(())
        })
        .register_fn("Fails", move |job| async move {
            ran(&job);
            Err(io::Error::other("it fails as it should"))
        })
        .register_fn("Slow", move |job| async move {
            ran(&job);
            let _ = tokio::time::timeout(Duration::from_secs(2), std::future::pending::<()>()).await;
            Ok(())
        });
    let mut worker = builder.connect_to(url).await?;
    println!("ready");
    worker.run(&[queue]).await.map(|_| ())
}

async fn mutate(url: &str, command: &str, target: &str) -> Result<(), Error> {
    let mut client = Client::connect_to(url).await?;
    let set = match target {
        "scheduled" => JobSet::Scheduled,
        "retries" => JobSet::Retries,
        _ => JobSet::Dead,
    };
    match command {
        "requeue" => client.requeue(set, Filter::empty()).await,
        "kill" => client.kill(set, Filter::empty()).await,
        "discard" => client.discard(set, Filter::empty()).await,
        _ => client.clear(set).await,
    }
}

async fn info(url: &str) -> Result<(), Error> {
    let info = Client::connect_to(url).await?.current_info().await?;
    println!("{}", serde_json::to_string(&info).expect("JSON"));
    Ok(())
}
