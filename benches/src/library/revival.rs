//! From kill -9 of the only worker to the next answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_e2e::processes::Process;

use crate::{median, millis, start};

const ROUNDS: usize = 100;
const SOON: Duration = Duration::from_secs(30);

pub(crate) fn measure() {
    let backoff = "backoff = { min = \"0s\", max = \"0s\", stable = \"0s\" }\nstart_limit = false\n";
    let (engine, address) = start(&format!("workers = 1\n{backoff}"));
    let mut events = engine.events(0);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let pid = engine.pids("web")[0];
        let begin = Instant::now();
        Process::open(pid).signal(Signal::Kill);
        while ask(address).is_none() {
            assert!(begin.elapsed() < SOON, "nobody answers");
        }
        times.push(millis(begin.elapsed()));
        events.wait("ready", SOON, |event| event["kind"] == "worker.ready" && event["pid"] != pid);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "revival: kill -9 to the next answer: median {:.2} ms, p95 {:.2} ms, worst {:.2} ms of {ROUNDS}",
        median(&times),
        times[times.len() * 95 / 100],
        times[times.len() - 1],
    );
}

/// One answer. None when the connection was the dying worker's.
fn ask(address: SocketAddr) -> Option<()> {
    let mut stream = TcpStream::connect(address).expect("the listener outlives its workers");
    stream.set_read_timeout(Some(SOON)).expect("a socket option");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200 ").then_some(())
}
