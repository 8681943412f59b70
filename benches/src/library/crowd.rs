//! Good traffic beside clients that drip their heads and clients that hardly read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use evercrew_load::{Load, Report};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{median, millis, start};

/// Clients that send a byte of their head each second.
const DRIPPING: usize = 5000;
/// Clients that read 4 KiB of 20 MB ten times a second.
const READING: usize = 200;
const PAIRS: usize = 5;
const STRETCH: Duration = Duration::from_secs(8);
const TICK: Duration = Duration::from_millis(100);
/// Each tick serves one part of those who drip.
const PARTS: usize = 10;
const RATE: f64 = 300.0;

pub(crate) fn measure() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("more descriptors");
    // Both workers together could take all of them twice.
    let (_engine, address) = start("limits = { nofile = 20000 }\n");
    let load = Load::builder(address).rate(RATE).keep_alive(32).fresh(32).duration(STRETCH);
    let stretch = || -> Report { load.clone().start_thread().expect("start the load").finish() };
    let (mut calm, mut ratios, mut failed, mut opened) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..PAIRS {
        let before = stretch();
        let crowd = Crowd::start(address);
        let beside = stretch();
        opened += crowd.end();
        calm.push(millis(before.latency.p99));
        ratios.push(millis(beside.latency.p99) / millis(before.latency.p99));
        failed += before.failed() + beside.failed();
    }
    println!(
        "crowd: {DRIPPING} that drip and {READING} that hardly read ({opened} connections in all): good traffic's p99 \
         {:.1} ms without, {:.2} times that beside them (medians of {PAIRS} pairs); {failed} of its requests failed",
        median(&calm),
        median(&ratios),
    );
}

/// Hostile clients in a thread.
struct Crowd {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Crowd {
    /// Returns when all of them are connected.
    fn start(address: SocketAddr) -> Self {
        let mut dripping: Vec<TcpStream> = (0..DRIPPING).map(|_| open(address, b"GET / HTTP/1.1\r\nX: ")).collect();
        let request = b"GET /bytes/20000000 HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut reading: Vec<TcpStream> = (0..READING).map(|_| open(address, request)).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut opened = dripping.len() + reading.len();
            let (mut part, mut bytes) = (0, [0; 4096]);
            while !stopped.load(Ordering::Relaxed) {
                let begin = Instant::now();
                for stream in dripping.iter_mut().skip(part).step_by(PARTS) {
                    // Its time was over, and it was told so.
                    if stream.write_all(b"a").is_err() {
                        *stream = open(address, b"GET / HTTP/1.1\r\nX: ");
                        opened += 1;
                    }
                }
                part = (part + 1) % PARTS;
                reading.iter_mut().for_each(|stream| drop(stream.read(&mut bytes)));
                thread::park_timeout(TICK.saturating_sub(begin.elapsed()));
            }
            opened
        });
        Self { stop, thread }
    }

    /// Disconnects all; how many connections there were.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic")
    }
}

fn open(address: SocketAddr, begin: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(begin).expect("it reads");
    stream.set_nonblocking(true).expect("a flag");
    stream
}
