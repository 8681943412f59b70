//! A client that costs as little as it can: one thread, one epoll, answers counted by their length.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with};

/// No answer takes longer.
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    Kept,
    New,
}

pub(crate) struct Pump {
    pub(crate) port: u16,
    pub(crate) lanes: usize,
    pub(crate) connections: Connections,
}

/// What a run took.
pub(crate) struct Took {
    pub(crate) time: Duration,
    latencies: Vec<u32>,
}

impl Took {
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let place = ((self.latencies.len() - 1) as f64 * share).round() as usize;
        Duration::from_nanos(u64::from(self.latencies[place]))
    }
}

struct Lane {
    stream: TcpStream,
    begun: Instant,
    received: usize,
    is_sent: bool,
}

impl Pump {
    fn address(&self) -> SocketAddr {
        SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port))
    }

    fn request(&self) -> &'static [u8] {
        match self.connections {
            Connections::Kept => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            Connections::New => b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        }
    }

    /// The length of an answer.
    fn length(&self) -> usize {
        let mut stream = TcpStream::connect(self.address()).expect("it listens");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
        if self.connections == Connections::New {
            return answer.len();
        }
        let mut stream = TcpStream::connect(self.address()).expect("it listens");
        stream.write_all(self.request()).expect("it reads");
        let mut kept = vec![0; 4096];
        let mut length = 0;
        while !whole(&kept[..length]) {
            length += stream.read(&mut kept[length..]).expect("an answer");
        }
        length
    }

    /// Opens a connection without waiting for it.
    fn open(&self, epoll: &OwnedFd, lane: usize) -> Lane {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP)).expect("a socket");
        match connect(&socket, &self.address()) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => panic!("connect: {error}"),
        }
        let stream = TcpStream::from(socket);
        let _ = stream.set_nodelay(true);
        let events = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(epoll, &stream, epoll::EventData::new_u64(lane as u64), events).expect("watch it");
        Lane { stream, begun: Instant::now(), received: 0, is_sent: false }
    }

    /// So many requests, as fast as answers come.
    ///
    /// # Panics
    /// When an answer is not the expected one, or does not come.
    pub(crate) fn run(&self, requests: u64) -> Took {
        let length = self.length();
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
        let begin = Instant::now();
        let mut left = requests;
        let mut latencies = Vec::with_capacity(requests as usize);
        let mut lanes: Vec<Option<Lane>> = (0..self.lanes).map(|lane| Some(self.open(&epoll, lane))).collect();
        left -= lanes.len() as u64;
        let mut events = Vec::with_capacity(self.lanes);
        let mut scratch = [0; 4096];
        while latencies.len() < requests as usize {
            events.clear();
            let wait = rustix::event::Timespec { tv_sec: LONGEST.as_secs() as i64, tv_nsec: 0 };
            epoll::wait(&epoll, spare_capacity(&mut events), Some(&wait)).expect("wait");
            assert!(!events.is_empty(), "no answer in {LONGEST:?}");
            for event in &events {
                let (data, flags) = (event.data, event.flags);
                let place = data.u64() as usize;
                let Some(lane) = &mut lanes[place] else { continue };
                if !lane.is_sent {
                    if !flags.contains(epoll::EventFlags::OUT) {
                        continue;
                    }
                    lane.stream.write_all(self.request()).expect("send");
                    lane.is_sent = true;
                }
                let is_over = loop {
                    match lane.stream.read(&mut scratch) {
                        Ok(0) => break true,
                        Ok(count) => lane.received += count,
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break false,
                        Err(error) => panic!("read: {error}"),
                    }
                    if self.connections == Connections::Kept && lane.received == length {
                        break false;
                    }
                };
                let is_answered = match self.connections {
                    Connections::Kept => lane.received == length,
                    Connections::New => is_over,
                };
                if !is_answered && !is_over {
                    continue;
                }
                if !(is_over && self.connections == Connections::Kept && lane.received == 0) {
                    assert!(lane.received.abs_diff(length) <= 24, "{} bytes of {length}", lane.received);
                    latencies.push(u32::try_from(lane.begun.elapsed().as_nanos()).unwrap_or(u32::MAX));
                    if left == 0 {
                        lanes[place] = None;
                        continue;
                    }
                    left -= 1;
                }
                if is_over {
                    // The answer before may have said that it is the last one of its connection.
                    lanes[place] = Some(self.open(&epoll, place));
                } else {
                    (lane.begun, lane.received) = (Instant::now(), 0);
                    lane.stream.write_all(self.request()).expect("send");
                }
            }
        }
        latencies.sort_unstable();
        Took { time: begin.elapsed(), latencies }
    }
}

/// Whether an answer with a length is whole.
fn whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    body.len() >= length.parse().expect("a number")
}
