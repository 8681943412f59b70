//! A worker: `cargo run -p evercrew-jobs --example worker`, against the server that FAKTORY_URL names.

use std::time::Duration;

use evercrew_jobs::{Context, Counts, Failure, Timeout, Worker};

async fn greet(context: Context, (name,): (String,)) -> Result<(), Failure> {
    println!("{}: attempt {}: hello, {name}", context.jid(), context.attempt());
    Ok(())
}

fn count(context: Context, (most,): (u32,)) -> Result<(), Failure> {
    for number in 1..=most {
        if context.token().is_cancelled() {
            // Another worker begins it anew.
            return Err(Failure::give_back());
        }
        println!("{number}");
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let counts = Counts::default();
    let worker = Worker::builder()
        .handler("Greet", greet)
        .blocking_handler("Count", count)
        .middleware(counts.clone())
        .middleware(Timeout(Duration::from_secs(600)))
        .weighted_queues([("critical", 3), ("default", 1)])
        .concurrency(20)
        .labels(["example"])
        .build()?;
    let report = worker.run_to_completion().await?;
    println!("{} done, {} failed, {:?} of work", report.done, report.failed, counts.time());
    Ok(())
}
