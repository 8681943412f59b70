//! A server that follows a script, one connection after the other.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) const BODY: &str = "hello\n";
const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";

/// What is done with one request. Every act that ends the connection is the last of its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Answer,
    AnswerAfter(Duration),
    /// These bytes instead of the good answer; the connection stays open.
    Say(&'static str),
    /// These bytes, then a close in good order.
    SayAndClose(&'static str),
    /// These bytes, then a reset.
    SayAndReset(&'static str),
    /// Nothing, until the client closes.
    Ignore,
    /// A reset before the request is read.
    ResetUnread,
}

pub(crate) const ANNOUNCED: Act =
    Act::SayAndClose("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n");

/// Runs `script`, a list of acts for each connection, and then accepts no more.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(script: Vec<Vec<Act>>) -> Self {
        Self::on((Ipv4Addr::LOCALHOST, 0).into(), script).expect("a loopback port")
    }

    pub(crate) fn on(address: SocketAddr, script: Vec<Vec<Act>>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let thread = thread::spawn(move || {
            for acts in script {
                let (connection, _) = listener.accept().expect("a connection");
                play(connection, &acts);
            }
        });
        Ok(Self { address, thread })
    }

    /// Waits for the end of the script: a client that opened too few connections hangs the test here.
    pub(crate) fn finish(self) {
        self.thread.join().expect("the script was played");
    }
}

pub(crate) fn start_unix(path: &Path, script: Vec<Vec<Act>>) -> JoinHandle<()> {
    let listener = UnixListener::bind(path).expect("a socket file");
    thread::spawn(move || {
        for acts in script {
            let (connection, _) = listener.accept().expect("a connection");
            play(connection, &acts);
        }
    })
}

pub(crate) trait Connection: Read + Write + AsFd {}
impl Connection for TcpStream {}
impl Connection for UnixStream {}

fn play(mut connection: impl Connection, acts: &[Act]) {
    for act in acts {
        if !matches!(act, Act::ResetUnread) {
            read_request(&mut connection);
        }
        match *act {
            Act::Answer => say(&mut connection, GOOD),
            Act::AnswerAfter(delay) => {
                // The fault to be made is lateness itself.
                let until = Instant::now() + delay;
                while let Some(left) = until.checked_duration_since(Instant::now()) {
                    thread::park_timeout(left);
                }
                say(&mut connection, GOOD);
            }
            Act::Say(text) => say(&mut connection, text),
            Act::SayAndClose(text) => return say(&mut connection, text),
            Act::SayAndReset(text) => {
                say(&mut connection, text);
                return reset(&connection);
            }
            Act::ResetUnread => return reset(&connection),
            Act::Ignore => {
                let _ = connection.read_to_end(&mut Vec::new());
            }
        }
    }
}

fn say(connection: &mut impl Write, text: &str) {
    connection.write_all(text.as_bytes()).expect("the client is there");
}

fn reset(connection: &impl AsFd) {
    rustix::net::sockopt::set_socket_linger(connection, Some(Duration::ZERO)).expect("a socket option");
}

fn read_request(connection: &mut impl Read) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).expect("a whole request");
        request.push(byte[0]);
    }
}
