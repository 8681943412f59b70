//! A producer without a runtime: `cargo run -p evercrew-jobs --example push -- NAME`.

use std::time::Duration;

use evercrew_jobs::{Job, blocking};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "world".to_owned());
    let client = blocking::Client::from_environment()?;
    client.push(Job::new("Greet", (&name,)).retry(3).backtrace(10))?;
    client.push(Job::new("Greet", (format!("{name}, a minute later"),)).after(Duration::from_secs(60)))?;
    let info = client.info()?;
    println!("{:?}, {} for later", info.queues, info.sets.scheduled);
    Ok(())
}
