//! A queue server under an engine, and what it has used.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use evercrew_e2e::Engine;
use evercrew_e2e::processes::Process;
use evercrew_e2e::programs::workspace;
use serde_json::Value;

use crate::crew::{ask, greeted};

/// An engine whose only service is a queue server.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    talk: TcpStream,
}

/// What a server has used at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    pub(crate) syncs: u64,
    pub(crate) commits: u64,
    pub(crate) written: u64,
    pub(crate) at: Instant,
}

impl Server {
    /// Starts one with an empty store on the disk of the temporary directory.
    pub(crate) fn start(durability: &str) -> Self {
        let binary = workspace().join("target/release/evercrew");
        let binary = std::env::var("EVERCREW_BINARY").unwrap_or_else(|_| binary.display().to_string());
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let store = std::env::var("EVERCREW_BENCH_STORE").unwrap_or_else(|_| "sqlite:jobs.db".to_owned());
        let engine = Engine::up(
            &binary,
            &format!("[queue]\nlisten = \"{free}\"\nstore = \"{store}\"\ndurability = \"{durability}\"\n"),
        );
        engine.ready();
        let talk = greeted(free, None);
        Self { engine, address: free, talk }
    }

    /// The process.
    pub(crate) fn process(&self) -> Process {
        Process::open(*self.engine.pids("queue").first().expect("a queue server"))
    }

    /// Asks one thing.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        ask(&mut self.talk, command)
    }

    /// What INFO says.
    pub(crate) fn info(&mut self) -> Value {
        serde_json::from_str(&self.ask("INFO")).expect("JSON")
    }

    /// What it has used so far.
    pub(crate) fn used(&mut self) -> Used {
        let info = self.info();
        let total = |name: &str| info["evercrew"]["totals"][name].as_u64().unwrap_or(0);
        let process = self.process();
        let io = std::fs::read_to_string(format!("/proc/{}/io", process.pid)).unwrap_or_default();
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok()).unwrap_or(0);
        let (syncs, commits) = (total("syncs"), total("commits"));
        Used { cpu: process.cpu(), syncs, commits, written, at: Instant::now() }
    }

    /// Where its store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.engine.home().join("jobs.db")
    }

    /// Connects anew after the server was replaced.
    pub(crate) fn reconnect(&mut self) {
        self.talk = greeted(self.address, None);
    }

    /// Ends it.
    pub(crate) fn end(mut self) {
        self.engine.run(&["down", "--now"]);
        self.engine.wait(Duration::from_secs(60));
    }
}

/// What jobs took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Jobs a second.
    pub(crate) jobs: f64,
    /// Processor time of a job, in microseconds.
    pub(crate) cpu: f64,
    /// Syncs of a job.
    pub(crate) syncs: f64,
}

/// Prints what `jobs` jobs took between two moments.
pub(crate) fn print_rate(what: &str, jobs: u64, before: Used, after: Used) -> Rate {
    let seconds = after.at.duration_since(before.at).as_secs_f64();
    let each = |total: f64| total / jobs.max(1) as f64;
    let rate = Rate {
        jobs: jobs as f64 / seconds,
        cpu: each((after.cpu - before.cpu).as_secs_f64() * 1e6),
        syncs: each((after.syncs - before.syncs) as f64),
    };
    println!(
        "{what}: {:.0} jobs/s; processor {:.1} us a job; {:.4} syncs and {:.4} commits a job; {:.0} bytes written a job",
        rate.jobs,
        rate.cpu,
        rate.syncs,
        each((after.commits - before.commits) as f64),
        each((after.written - before.written) as f64),
    );
    rate
}

/// Some of a distribution of times, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// Half of them are shorter.
    pub(crate) p50: f64,
    /// One of a hundred is longer.
    pub(crate) p99: f64,
    /// The longest.
    pub(crate) max: f64,
}

/// Prints the distribution of times, in milliseconds.
pub(crate) fn print_times(what: &str, times: &mut [Duration]) -> Times {
    times.sort();
    let Some(last) = times.len().checked_sub(1) else {
        println!("{what}: nothing was measured");
        return Times::default();
    };
    let at = |part: f64| times[(last as f64 * part) as usize].as_secs_f64() * 1e3;
    println!(
        "{what}: p50 {:.3} ms, p90 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, max {:.3} ms ({} measured)",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0),
        times.len()
    );
    Times { p50: at(0.5), p99: at(0.99), max: at(1.0) }
}
