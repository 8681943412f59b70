//! What a job worker carries: ours and that of the crate `faktory`, one after the other, against our queue server.
//!
//! `cargo run --release -p evercrew-benches --bin crew -- [JOBS] [ROUNDS]`. Server and worker are processes of their own, each
//! this program once more; jobs do nothing, and the store is on disk with every commit synced.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use evercrew_jobs::{Address, Client, Config, Failure, Job, Listen, Storage, Worker};
use evercrew_sys::process;

/// Jobs at once.
const SLOTS: u32 = 20;
/// The other worker ends at a job that does not say this.
const RESERVED: Duration = Duration::from_secs(1800);
/// Longer than a round takes.
const PATIENCE: Duration = Duration::from_secs(600);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", folder] => serve(folder),
        ["ours", url] => runtime()?.block_on(ours(url)),
        ["theirs", url] => runtime()?.block_on(theirs(url)),
        _ => {
            let number = |place: usize, default| words.get(place).map_or(Ok(default), |word| word.parse::<u64>());
            compare(number(0, 100_000)?, number(1, 3)?)
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn serve(folder: &str) -> Outcome<()> {
    let mut config = Config::new(Storage::Sqlite(format!("{folder}/jobs.db").into()));
    config.listen = Listen::Address("127.0.0.1:0".parse()?);
    let (_stopper, stop) = evercrew_jobs::stop()?;
    evercrew_jobs::serve(config, stop, |address| {
        println!("{address}");
        // Whoever started it reads this line.
        let _ = std::io::stdout().flush();
    })?;
    Ok(())
}

async fn ours(url: &str) -> Outcome<()> {
    let worker = Worker::builder()
        .url(url)
        .concurrency(SLOTS)
        .raw_handler("Nothing", |_| async { Ok::<(), Failure>(()) })
        .build()?;
    worker.run_to_completion().await?;
    Ok(())
}

async fn theirs(url: &str) -> Outcome<()> {
    let mut worker = faktory::Worker::builder::<std::io::Error>()
        .register_fn("Nothing", |_| async { Ok(()) })
        .workers(SLOTS as usize)
        .connect_to(url)
        .await?;
    worker.run(&["default"]).await?;
    Ok(())
}

fn again(words: &[&str], out: Stdio) -> Outcome<Child> {
    Ok(Command::new(std::env::current_exe()?).args(words).stdout(out).spawn()?)
}

fn compare(jobs: u64, rounds: u64) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut server = again(&["serve", &folder.path().to_string_lossy()], Stdio::piped())?;
    let mut line = String::new();
    BufReader::new(server.stdout.take().ok_or("the server has no output")?).read_line(&mut line)?;
    let address: SocketAddr = line.trim().parse()?;
    let url = format!("tcp://{address}");
    let runtime = runtime()?;
    println!("{jobs} jobs that do nothing, {SLOTS} at once, {rounds} rounds");
    println!("| worker | jobs/s | its processor time a job | its memory at the end |\n|---|---|---|---|");
    for round in 0..rounds {
        for who in ["ours", "theirs"] {
            runtime.block_on(push(&url, round, who, jobs))?;
            let (took, cpu, memory) = runtime.block_on(work(&url, who, jobs))?;
            let rate = jobs as f64 / took.as_secs_f64();
            let each = cpu.as_secs_f64() * 1e6 / jobs as f64;
            println!("| {who} | {rate:.0} | {each:.1} µs | {:.1} MiB |", memory as f64 / f64::from(1 << 20));
        }
    }
    server.kill()?;
    server.wait()?;
    Ok(())
}

async fn push(url: &str, round: u64, who: &str, jobs: u64) -> Outcome<()> {
    let client = Client::with_patience(Address::parse(url)?, PATIENCE);
    let all = (0..jobs)
        .map(|number| Job::new("Nothing", (number,)).reserve_for(RESERVED).named(format!("{who}-{round}-{number:08}")));
    let refused = client.push_many(all).await?;
    if refused.is_empty() { Ok(()) } else { Err(format!("refused: {refused:?}").into()) }
}

/// Has a worker work until nothing is left.
async fn work(url: &str, who: &str, jobs: u64) -> Outcome<(Duration, Duration, u64)> {
    let client = Client::with_patience(Address::parse(url)?, PATIENCE);
    let before = done(&client).await?;
    let mut worker = again(&[who, url], Stdio::null())?;
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let begun = Instant::now();
    while done(&client).await? - before < jobs {
        looks.tick().await;
        if begun.elapsed() > PATIENCE {
            return Err("it takes too long".into());
        }
    }
    let took = begun.elapsed();
    let cpu = processor_time(worker.id())?;
    let memory = process::memory(worker.id()).unwrap_or(0);
    worker.kill()?;
    worker.wait()?;
    Ok((took, cpu, memory))
}

async fn done(client: &Client) -> Outcome<u64> {
    let info = client.info().await?;
    Ok(info.whole["evercrew"]["totals"]["done"].as_u64().ok_or("INFO has no count of what is done")?)
}

/// What a process has used of the processors, in hundredths of a second.
fn processor_time(pid: u32) -> Outcome<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("no name in stat")?;
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}
