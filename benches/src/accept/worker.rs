//! What every worker does alike: one epoll, a fixed answer.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use crate::ways::{Source, Way};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nhello\n";

/// The worker's life: it says a byte when it accepts, and its counts when it is asked to end.
pub(crate) fn run(way: Way, port: u16) {
    let signals = requests_to_end();
    let listener = if way == Way::Reuseport {
        own(port)
    } else {
        std::io::stdin().as_fd().try_clone_to_owned().expect("the listener")
    };
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
    epoll::add(&epoll, &signals, epoll::EventData::new_u64(u64::MAX), epoll::EventFlags::IN).expect("watch signals");
    let mut source = Source::new(way, listener, &epoll);
    let mut connections: BTreeMap<u64, TcpStream> = BTreeMap::new();
    let mut accepted = 0_u64;
    std::io::stdout().write_all(b"\n").and_then(|()| std::io::stdout().flush()).expect("the parent listens");
    let mut events = Vec::with_capacity(64);
    loop {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), None).expect("wait");
        for event in &events {
            let data = event.data;
            match data.u64() {
                u64::MAX => {
                    println!("{accepted} {}", cpu());
                    return;
                }
                0 => {
                    let new = source.take(&epoll);
                    for connection in new {
                        accepted += 1;
                        let number = connection.as_raw_fd() as u64;
                        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
                        epoll::add(&epoll, &connection, epoll::EventData::new_u64(number), flags).expect("watch it");
                        if !answer(&connection) {
                            connections.insert(number, connection);
                        }
                    }
                    source.allow();
                }
                number => {
                    if connections.get(&number).is_some_and(answer) {
                        connections.remove(&number);
                    }
                }
            }
        }
    }
}

/// Answers a request that has come. Whether the connection is over.
fn answer(mut connection: &TcpStream) -> bool {
    let mut request = [0; 2048];
    match connection.read(&mut request) {
        Ok(count) if count > 0 => {
            let text = String::from_utf8_lossy(&request[..count]);
            if let Some(millis) = text.split("/hold?ms=").nth(1).and_then(|rest| rest.split(' ').next()) {
                let until = Instant::now() + Duration::from_millis(millis.parse().unwrap_or(0));
                while let Some(left) = until.checked_duration_since(Instant::now()) {
                    std::thread::park_timeout(left);
                }
            }
            let _ = connection.write_all(ANSWER);
            true
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
        Ok(_) | Err(_) => true,
    }
}

/// A socket of this worker alone.
fn own(port: u16) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).expect("a socket");
    sockopt::set_socket_reuseaddr(&socket, true).expect("an option");
    sockopt::set_socket_reuseport(&socket, true).expect("an option");
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port))).expect("the port");
    listen(&socket, 1024).expect("a backlog");
    socket
}

/// The request to end, as a descriptor.
fn requests_to_end() -> evercrew_sys::signal::SignalFd {
    evercrew_sys::signal::SignalFd::block_all().expect("signals")
}

/// Processor time of this process in nanoseconds.
fn cpu() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("our threads");
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    tasks.filter_map(of).sum()
}
