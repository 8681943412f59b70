//! Ways in which workers can share a listener, side by side under load.
//!
//! **What it does.** Runs 1 to 16 bare workers that differ in nothing but how they accept, opens a connection for each
//! request over 4 and over 64 lanes, and prints for each way what a connection costs, how evenly connections are shared,
//! and how long eight handlers take that each hold their worker for 100 ms.
//! `cargo run --release -p evercrew-benches --bin accept [CONNECTIONS]`
//!
//! **Where to start.** `main`; `ways.rs` has the ways, `worker.rs` what is equal in all.
//!
//! **What it must never know.** The product: the ways that it did not take live here alone.
//!
//! **How it is tested.** By its reader; docs/measurements/accept.md has the last table.

#[path = "../http/pump.rs"]
mod pump;
mod ways;
mod worker;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pump::{Connections, Pump};
use ways::Way;

const ROUNDS: usize = 5;
const HELD: Duration = Duration::from_millis(100);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, way, port] = arguments.as_slice()
        && role == "worker"
    {
        let way = Way::ALL.into_iter().find(|known| known.name() == way).expect("a way");
        return worker::run(way, port.parse().expect("a port"));
    }
    let connections = arguments.first().map_or(10_000, |text| text.parse().expect("a number of connections"));
    println!("| way | workers | lanes | CPU per connection | most : least | connections/s | p99 |");
    println!("|---|---|---|---|---|---|---|");
    for workers in [1, 2, 4, 8, 16] {
        for lanes in [4, 64] {
            let mut all: Vec<Vec<Row>> = Way::ALL.map(|_| Vec::new()).into();
            for _ in 0..ROUNDS {
                for (way, rows) in Way::ALL.into_iter().zip(&mut all) {
                    rows.push(measure(way, workers, lanes, connections));
                }
            }
            for (way, rows) in Way::ALL.into_iter().zip(all) {
                print(way, workers, lanes, rows);
            }
        }
    }
    println!("\n| way | 8 workers, 8 handlers that hold theirs for 100 ms: median, worst of 20 |\n|---|---|");
    for way in Way::ALL {
        let mut times = held(way);
        times.sort();
        println!(
            "| {} | {} ms, {} ms |",
            way.name(),
            times[times.len() / 2].as_millis(),
            times[times.len() - 1].as_millis()
        );
    }
}

/// Workers of one way on one port.
struct Crew {
    port: u16,
    children: Vec<Child>,
    _listener: Option<TcpListener>,
}

/// What one worker says at its end.
struct Said {
    accepted: u64,
    cpu: Duration,
}

impl Crew {
    fn start(way: Way, workers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let listener = if way == Way::Reuseport {
            drop(listener);
            None
        } else {
            listener.set_nonblocking(way != Way::Thread).expect("a flag");
            rustix::net::listen(&listener, 1024).expect("a backlog");
            Some(listener)
        };
        let mut children: Vec<Child> = (0..workers)
            .map(|_| {
                let mut command = Command::new(std::env::current_exe().expect("our own path"));
                command.args(["worker", way.name(), &port.to_string()]).stdout(Stdio::piped());
                match &listener {
                    Some(listener) => {
                        command.stdin(Stdio::from(listener.as_fd().try_clone_to_owned().expect("a copy")))
                    }
                    None => command.stdin(Stdio::null()),
                };
                command.spawn().expect("run a worker")
            })
            .collect();
        for child in &mut children {
            // One line says that it accepts.
            let mut byte = [0];
            child.stdout.as_mut().expect("a pipe").read_exact(&mut byte).expect("a worker");
        }
        Self { port, children, _listener: listener }
    }

    /// Ends all, and tells what each has done.
    fn end(self) -> Vec<Said> {
        self.children
            .into_iter()
            .map(|mut child| {
                let process = evercrew_e2e::processes::Process::open(child.id());
                process.signal(evercrew_core::Signal::Term);
                let mut line = String::new();
                BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
                let _ = child.wait();
                let mut numbers = line.split_whitespace().map(|text| text.parse::<u64>().expect("a number"));
                let mut next = || numbers.next().expect("two numbers");
                Said { accepted: next(), cpu: Duration::from_nanos(next()) }
            })
            .collect()
    }
}

struct Row {
    micros: f64,
    ratio: f64,
    rate: f64,
    p99: f64,
}

fn measure(way: Way, workers: usize, lanes: usize, connections: u64) -> Row {
    let crew = Crew::start(way, workers);
    let took = Pump { port: crew.port, lanes, connections: Connections::New }.run(connections);
    let said = crew.end();
    let total: u64 = said.iter().map(|said| said.accepted).sum();
    let most = said.iter().map(|said| said.accepted).max().unwrap_or(0);
    let least = said.iter().map(|said| said.accepted).min().unwrap_or(0);
    let cpu: Duration = said.iter().map(|said| said.cpu).sum();
    Row {
        micros: cpu.as_secs_f64() * 1e6 / total as f64,
        ratio: most as f64 / least as f64,
        rate: connections as f64 / took.time.as_secs_f64(),
        p99: took.quantile(0.99).as_secs_f64() * 1e3,
    }
}

fn print(way: Way, workers: usize, lanes: usize, rows: Vec<Row>) {
    let median = |of: fn(&Row) -> f64| {
        let mut values: Vec<f64> = rows.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "| {} | {workers} | {lanes} | {:.1} µs | {:.1} | {:.0} | {:.1} ms |",
        way.name(),
        median(|row| row.micros),
        median(|row| row.ratio),
        median(|row| row.rate),
        median(|row| row.p99),
    );
}

/// Eight requests at once to eight workers, each of which holds its worker.
fn held(way: Way) -> Vec<Duration> {
    let crew = Crew::start(way, 8);
    let port = crew.port;
    let times = (0..20)
        .map(|_| {
            let begin = Instant::now();
            let ask = |_| {
                std::thread::spawn(move || {
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
                    let request = format!("GET /hold?ms={} HTTP/1.1\r\nConnection: close\r\n\r\n", HELD.as_millis());
                    stream.write_all(request.as_bytes()).expect("it reads");
                    stream.read_to_end(&mut Vec::new()).expect("an answer");
                })
            };
            [(); 8].map(ask).into_iter().for_each(|client| client.join().expect("an answer"));
            begin.elapsed()
        })
        .collect();
    crew.end();
    times
}
