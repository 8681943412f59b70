//! What a pool carries: `cargo run --release -p evercrew-pool --example figures`, pinned to one core by `taskset -c 0` since
//! figures across cores depend on where the kernel puts the two.

use std::io::{BufRead, BufReader, BufWriter, Write, stdin, stdout};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use evercrew_pool::{Cancel, Config, Job, Outcome, Pool};

/// How long each figure is taken.
const TAKEN: Duration = Duration::from_secs(3);

fn main() {
    match std::env::args().nth(1).as_deref() {
        None => measure(),
        Some("plain") => echo(),
        Some("own") => {
            println!(r#"{{"ready":true,"protocol":1,"concurrency":64}}"#);
            echo();
        }
        Some(other) => eprintln!("`{other}` is no way to be a child: `plain` or `own`"),
    }
}

/// A child that answers at once; `{"ms":n}` takes so long.
fn echo() {
    let input = std::os::fd::AsFd::as_fd(&stdin()).try_clone_to_owned().expect("standard input");
    let (mut input, mut output) = (BufReader::new(std::fs::File::from(input)), BufWriter::new(stdout().lock()));
    let (_never, pause) = channel::<()>();
    let mut line = String::new();
    while input.read_line(&mut line).is_ok_and(|length| length > 0) {
        let id = line.split('"').nth(3).unwrap_or_default();
        if let Some(ms) = line.split("\"ms\":").nth(1).and_then(|rest| rest.split('}').next()?.parse().ok()) {
            let _ = pause.recv_timeout(Duration::from_millis(ms));
        }
        let written = writeln!(output, r#"{{"id":"{id}","status":"ok"}}"#);
        line.clear();
        // What came together is answered together.
        if written.is_err() || (input.buffer().is_empty() && output.flush().is_err()) {
            return;
        }
    }
}

fn own(mode: &str) -> Config {
    let program = std::env::current_exe().expect("our own path");
    let mut config = Config::new([program.into_os_string(), mode.into()]);
    config.plain_after = if mode == "plain" { Some(Duration::from_millis(100)) } else { None };
    config
}

fn measure() {
    let bare = bare();
    let line = |what: &str, rate: f64, note: String| println!("{what:<44} {rate:>10.0} /s  {note}");
    line("reference: one line there and back, no pool", bare, String::new());
    let (rate, p50, p99) = one_at_a_time(own("plain"));
    line("one at a time", rate, format!("p50 {p50:.1} µs, p99 {p99:.1} µs, {:.2} × reference", rate / bare));
    for window in [16, 64] {
        let rate = pipelined(own("own"), window);
        line(&format!("{window} in flight"), rate, format!("{:.2} × reference", rate / bare));
    }
    let python = r#"
import sys
for line in sys.stdin:
    id = line.split('"', 4)[3]
    sys.stdout.write('{"id":"' + id + '","status":"ok"}\n'); sys.stdout.flush()
"#;
    let mut config = Config::new(["python3", "-c", python]);
    config.plain_after = Some(Duration::from_millis(500));
    let (rate, p50, _) = one_at_a_time(config);
    line("Python, one at a time", rate, format!("p50 {p50:.1} µs"));
    let sdk = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/python");
    let python = "from evercrew import Worker\nw = Worker()\n@w.job('*')\ndef f(job): pass\nw.run(prefetch=64)";
    let mut config = Config::new(["python3", "-c", python]);
    config.env = vec![("PYTHONPATH".into(), Some(sdk.into()))];
    config.plain_after = None;
    line("Python SDK, 64 handed out ahead", pipelined(config, 64), String::new());
    mixed();
    behind_a_long_one();
    deaths();
}

/// A child without a pool.
fn bare() -> f64 {
    let mut child = Command::new(std::env::current_exe().expect("our own path"))
        .arg("plain")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let (mut input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let mut output = BufReader::new(output);
    let (begun, mut count, mut line) = (Instant::now(), 0_u32, String::new());
    while begun.elapsed() < TAKEN {
        input.write_all(format!("{{\"id\":\"{count}\",\"payload\":{{}}}}\n").as_bytes()).expect("write");
        line.clear();
        output.read_line(&mut line).expect("read");
        count += 1;
    }
    drop(input);
    child.wait().expect("it ends");
    f64::from(count) / begun.elapsed().as_secs_f64()
}

fn one_at_a_time(config: Config) -> (f64, f64, f64) {
    let pool = Pool::spawn(config).expect("a pool");
    let cancel = Cancel::new();
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < TAKEN {
        let one = Instant::now();
        let outcome = pool.run(Job::new(times.len().to_string(), "{}"), &cancel);
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        times.push(one.elapsed());
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    (rate, quantile(&mut times, 0.5) * 1e6, quantile(&mut times, 0.99) * 1e6)
}

fn pipelined(config: Config, window: u32) -> f64 {
    let pool = Pool::spawn(config).expect("a pool");
    let (told, outcomes) = channel();
    let submit = |number: u64, told: &Sender<Outcome>| {
        let told = told.clone();
        pool.submit(Job::new(number.to_string(), "{}"), move |outcome| drop(told.send(outcome)));
    };
    let (begun, mut count) = (Instant::now(), 0);
    for _ in 0..window {
        count += 1;
        submit(count, &told);
    }
    while begun.elapsed() < TAKEN {
        let outcome = outcomes.recv().expect("the pool lives");
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        count += 1;
        submit(count, &told);
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    pool.stop(false);
    rate
}

/// 8 children, 8 submitters, one job in 50 takes a second.
fn mixed() {
    let mut config = own("plain");
    config.size = 8;
    let pool = Pool::spawn(config).expect("a pool");
    let begun = Instant::now();
    let mut fast: Vec<Duration> = std::thread::scope(|scope| {
        let submitter = |thread: u32| {
            let pool = &pool;
            scope.spawn(move || {
                let mut fast = Vec::new();
                for number in 0..50 {
                    let slow = number == 25 && thread == 0;
                    let job = Job::new(format!("{thread}-{number}"), if slow { r#"{"ms":1000}"# } else { "{}" });
                    let one = Instant::now();
                    pool.run(job, &Cancel::new());
                    if !slow {
                        fast.push(one.elapsed());
                    }
                }
                fast
            })
        };
        let threads: Vec<_> = (0..8).map(submitter).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let p99 = quantile(&mut fast, 0.99) * 1e3;
    println!(
        "8 children, one of 400 jobs takes 1 s: p99 of the others {p99:.2} ms, all in {:.2} s",
        begun.elapsed().as_secs_f64()
    );
}

/// 2 children, one job that takes 10 s, 100 that take nothing.
fn behind_a_long_one() {
    let mut config = own("plain");
    config.size = 2;
    let pool = Pool::spawn(config).expect("a pool");
    let long = pool.submit(Job::new("long", r#"{"ms":10000}"#), |_| {});
    let mut times = Vec::new();
    for number in 0..100 {
        let one = Instant::now();
        pool.run(Job::new(number.to_string(), "{}"), &Cancel::new());
        times.push(one.elapsed());
    }
    pool.cancel(long);
    println!("2 children, one with a job of 10 s: p99 of 100 others {:.2} ms", quantile(&mut times, 0.99) * 1e3);
}

/// How long after a child is killed, with a job in hand, whoever waits for the job is told.
fn deaths() {
    let mut config = own("plain");
    (config.backoff.max, config.start_limit, config.log) = (Duration::from_millis(100), None, Box::new(|_| {}));
    let pool = Pool::spawn(config).expect("a pool");
    let mut times = Vec::new();
    for number in 0..20 {
        let (told, outcome) = channel();
        let job =
            pool.submit(Job::new(format!("j{number}"), r#"{"ms":60000}"#), move |outcome| drop(told.send(outcome)));
        let pid = loop {
            let children = pool.statistics().expect("it runs").children;
            if let Some(child) = children.iter().find(|child| !child.jobs_in_hand.is_empty()) {
                break child.pid;
            }
        };
        let child = evercrew_sys::process::open(pid).expect("a pidfd");
        let killed = Instant::now();
        evercrew_sys::process::signal(std::os::fd::AsFd::as_fd(&child), evercrew_core::Signal::Kill).expect("kill");
        // One that was not read yet has gone to the next child: no death of a job.
        match outcome.recv_timeout(Duration::from_secs(1)) {
            Ok(_) => times.push(killed.elapsed()),
            Err(_) => pool.cancel(job),
        }
    }
    let most = quantile(&mut times, 1.0) * 1e3;
    println!("a child killed with its job in hand: known within {most:.2} ms, {} kills", times.len());
}

fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let at = ((times.len() as f64 - 1.0) * share) as usize;
    times.get(at).map_or(0.0, Duration::as_secs_f64)
}
