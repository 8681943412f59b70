//! A stop at any byte of any answer: what was begun arrives whole.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use evercrew_core::Signal;
use evercrew_sys::process::Status;

use crate::child::{PATIENCE, Start, listener};

/// Stops in each run of the tests; ten times as many with EVERCREW_LONG.
const STOPS: u64 = 500;
/// At once: slow readers mostly sleep.
const LANES: usize = 8;
/// The longest answer. A tenth of a run's volume has answers of a tenth of that.
const LONGEST: u64 = 50_000_000;

/// What a body consists of, over and over.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| (0..257 * 1024).map(|place| (place % 251) as u8).collect());

/// Numbers that look random and are the same in each run.
struct Lots(u64);

impl Lots {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut lot = self.0;
        lot = (lot ^ (lot >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        lot = (lot ^ (lot >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (lot ^ (lot >> 31)) % below.max(1)
    }

    /// As often small as large.
    fn size(&mut self, most: u64) -> u64 {
        let bits = u64::from(most.ilog2());
        let most = most.min(2 << self.next(bits + 1));
        1 + self.next(most)
    }
}

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
enum Exchange {
    /// An answer with a length, read at once or in small pieces.
    Sized { slowly: bool },
    /// An answer in chunks.
    Chunked,
    /// A body of this many bytes, read by the service.
    Upload,
    /// Several requests at once.
    Pipelined,
    /// An answer that comes before the body of the request was read.
    Early,
}

const EXCHANGES: [Exchange; 6] = [
    Exchange::Sized { slowly: false },
    Exchange::Sized { slowly: true },
    Exchange::Chunked,
    Exchange::Upload,
    Exchange::Pipelined,
    Exchange::Early,
];

#[test]
fn whatever_was_begun_arrives_whole() {
    let is_long = std::env::var_os("EVERCREW_LONG").is_some();
    let alone: Option<u64> = std::env::var("EVERCREW_STOP").ok().map(|seed| seed.parse().expect("a number"));
    let (stops, longest) = match alone {
        Some(_) => (STOPS, LONGEST),
        None if is_long => (STOPS * 10, LONGEST),
        None => (STOPS, LONGEST / 10),
    };
    let lane = |lane: u64| {
        thread::spawn(move || {
            let (socket, address) = listener();
            // Both kinds of listener.
            socket.set_nonblocking(lane.is_multiple_of(2)).expect("a flag");
            let seeds = (lane..stops).step_by(LANES).map(|seed| alone.unwrap_or(seed));
            seeds.for_each(|seed| stop_within(&socket, address, seed, longest));
        })
    };
    for lane in (0..LANES as u64).map(lane).collect::<Vec<_>>() {
        lane.join().expect("every answer is whole");
    }
}

/// One stop, at a byte that follows from the seed.
fn stop_within(socket: &std::net::TcpListener, address: SocketAddr, seed: u64, longest: u64) {
    let mut lots = Lots(seed);
    let exchange = EXCHANGES[(seed % EXCHANGES.len() as u64) as usize];
    let size = lots.size(longest);
    let at = lots.next(size);
    let mut worker = Start::on(&[socket]).answers().ready();
    let (reached, stop) = channel();
    let client = thread::spawn(move || run(address, exchange, size, at, &reached));
    // Ends without a message when the client has failed.
    let _ = stop.recv_timeout(PATIENCE);
    worker.signal(Signal::Term);
    let stopped = Instant::now();
    let result = client.join();
    let (client, status) = (stopped.elapsed(), worker.end());
    let (end, line) = (stopped.elapsed(), worker.line());
    assert!(
        result.is_ok() && status == Status::Code(0) && line.is_empty(),
        "stop {seed}: {exchange:?} of {size} bytes, stopped at {at}: since then {client:?} to the end of the client and \
         {end:?} to that of the worker, {status:?}, which said `{line}`"
    );
}

fn run(address: SocketAddr, exchange: Exchange, size: u64, at: u64, reached: &Sender<()>) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
    let mut reading = Reading { stream: stream.try_clone().expect("a descriptor"), taken: 0, at, reached };
    let tell = |request: String| stream.try_clone().expect("a descriptor").write_all(request.as_bytes());
    match exchange {
        Exchange::Sized { slowly } => {
            tell(format!("GET /bytes?n={size} HTTP/1.1\r\nHost: a\r\n\r\n")).expect("it reads");
            if slowly {
                reading.stream = slowed(reading.stream);
            }
            reading.answer(200, size, slowly);
        }
        Exchange::Chunked => {
            tell(format!("GET /chunks?n={size} HTTP/1.1\r\nHost: a\r\n\r\n")).expect("it reads");
            reading.answer(200, size, false);
        }
        Exchange::Upload => {
            // What is in the kernel's queue is not begun: a first answer shows that the worker has the connection.
            tell("GET /bytes?n=1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()).expect("it reads");
            reading.at = u64::MAX;
            reading.answer(200, 1, false);
            tell(format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")).expect("it reads");
            let body = vec![b'a'; size as usize];
            let (before, after) = body.split_at(at as usize);
            stream.write_all(before).expect("it reads");
            reading.reached();
            stream.write_all(after).expect("it reads");
            let text = reading.text();
            assert!(text.ends_with(&format!("\r\n\r\n{size}\n")), "{text}");
        }
        Exchange::Pipelined => {
            let part = size / 4 + 1;
            tell(format!("GET /bytes?n={part} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(4)).expect("it reads");
            for _ in 0..4 {
                reading.answer(200, part, false);
            }
        }
        Exchange::Early => {
            tell(format!("POST /early HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"))
                .expect("it reads");
            let sending = stream.try_clone().expect("a descriptor");
            let rest = thread::spawn(move || {
                // It may be told to stop before the end.
                let _ = { sending }.write_all(&vec![b'a'; size as usize]);
            });
            let text = reading.text();
            assert!(text.starts_with("HTTP/1.1 413 ") && text.ends_with("too large for me\n"), "{text}");
            rest.join().expect("no panic");
        }
    }
    reading.reached();
}

/// With a small window, so that the server waits for this client.
fn slowed(stream: TcpStream) -> TcpStream {
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 256 * 1024).expect("a socket option");
    stream
}

/// The answers of a connection, read to the byte.
struct Reading<'a> {
    stream: TcpStream,
    taken: u64,
    at: u64,
    reached: &'a Sender<()>,
}

impl Reading<'_> {
    fn reached(&self) {
        let _ = self.reached.send(());
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).expect("a whole answer");
        byte[0]
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.byte());
        }
        String::from_utf8(line).expect("UTF-8").trim_end().to_owned()
    }

    /// Everything to the end of the connection.
    fn text(&mut self) -> String {
        let mut first = [0];
        self.stream.read_exact(&mut first).expect("an answer");
        self.reached();
        let mut text = vec![first[0]];
        self.stream.read_to_end(&mut text).expect("a close in good order");
        String::from_utf8(text).expect("UTF-8")
    }

    /// One answer of `size` bytes, with a length or in chunks.
    fn answer(&mut self, status: u16, size: u64, slowly: bool) {
        let first = self.line();
        assert!(first.starts_with(&format!("HTTP/1.1 {status} ")), "{first}");
        let mut length: Option<u64> = None;
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            length = line.strip_prefix("content-length: ").map(|text| text.parse().expect("a number")).or(length);
        }
        let mut place = 0;
        if let Some(length) = length {
            assert_eq!(length, size);
            self.body(&mut place, size, slowly);
            return;
        }
        loop {
            let chunk = u64::from_str_radix(&self.line(), 16).expect("a size");
            self.body(&mut place, chunk, slowly);
            assert_eq!(self.line(), "");
            if chunk == 0 {
                break;
            }
        }
        assert_eq!(place, size);
    }

    /// `count` bytes of the pattern, the first of them at `place`.
    fn body(&mut self, place: &mut u64, count: u64, slowly: bool) {
        let mut left = count;
        let mut bytes = vec![0; if slowly { 16 * 1024 } else { 256 * 1024 }];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let read = self.stream.read(&mut bytes[..most]).expect("an open connection");
            assert!(read > 0, "the answer ends {left} bytes early");
            let begin = (*place % 251) as usize;
            assert!(bytes[..read] == PATTERN[begin..begin + read], "other bytes at {place}");
            *place += read as u64;
            left -= read as u64;
            let before = self.taken;
            self.taken += read as u64;
            if (before..self.taken).contains(&self.at) {
                self.reached();
            }
            if slowly && self.taken < 2_000_000 {
                thread::park_timeout(Duration::from_millis(1));
            }
        }
    }
}
