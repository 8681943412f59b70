//! Many connections to a queue server in one thread, each with one command that is not answered yet.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use evercrew_sys::epoll::{Epoll, Interest, Ready};

/// What a connection does with its answers.
pub(crate) trait Role {
    /// Takes an answer in and writes the next command to `out`; nothing written ends the connection's part.
    /// `None` comes once, at the start.
    fn next(&mut self, answer: Option<Answer<'_>>, now: Instant, out: &mut Vec<u8>);
}

/// An answer of the server.
#[derive(Debug)]
pub(crate) enum Answer<'a> {
    /// `+…`
    Line,
    /// `$…`; `None` is `$-1`.
    Bulk(Option<&'a [u8]>),
}

/// Connections with their parts.
pub(crate) struct Crew<R> {
    epoll: Epoll,
    members: Vec<Member<R>>,
}

struct Member<R> {
    socket: TcpStream,
    role: R,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
    is_done: bool,
}

impl<R: Role> Crew<R> {
    /// Connects one for each role, as workers where `wid` gives a name for its place.
    pub(crate) fn connect(address: SocketAddr, roles: Vec<R>, wid: impl Fn(usize) -> Option<String>) -> Self {
        let epoll = Epoll::new().expect("epoll");
        let mut members = Vec::new();
        for (place, role) in roles.into_iter().enumerate() {
            let socket = greeted(address, wid(place).as_deref());
            socket.set_nonblocking(true).expect("non-blocking");
            epoll.add(&socket, place as u64, Interest::READABLE).expect("watch");
            let (input, output) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
            members.push(Member { socket, role, input, output, sent: 0, is_done: false });
        }
        Self { epoll, members }
    }

    /// Lets all begin.
    pub(crate) fn begin(&mut self) {
        for place in 0..self.members.len() {
            self.members[place].advance(None);
            self.flush(place);
        }
    }

    /// Lets all play their parts until `end` or, without one, until every one is done.
    pub(crate) fn run(&mut self, end: Option<Instant>) {
        let mut ready: Vec<Ready> = Vec::new();
        while self.members.iter().any(|member| !member.is_done) {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return;
            }
            self.epoll.wait(&mut ready, left).expect("wait");
            for event in std::mem::take(&mut ready) {
                let place = usize::try_from(event.token).expect("a place");
                if event.readable || event.hangup {
                    self.members[place].read();
                }
                self.flush(place);
            }
        }
    }

    /// The roles, while they are played.
    pub(crate) fn roles(&mut self) -> impl Iterator<Item = &mut R> {
        self.members.iter_mut().map(|member| &mut member.role)
    }

    /// The roles, when all is over.
    pub(crate) fn into_roles(self) -> Vec<R> {
        self.members.into_iter().map(|member| member.role).collect()
    }

    fn flush(&mut self, place: usize) {
        let member = &mut self.members[place];
        let was_stuck = member.sent > 0;
        while member.sent < member.output.len() {
            match member.socket.write(&member.output[member.sent..]) {
                Ok(length) => member.sent += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.epoll.modify(&member.socket, place as u64, Interest::BOTH).expect("watch");
                    return;
                }
                Err(error) => panic!("the server is gone: {error}"),
            }
        }
        member.output.clear();
        member.sent = 0;
        if was_stuck {
            self.epoll.modify(&member.socket, place as u64, Interest::READABLE).expect("watch");
        }
    }
}

impl<R: Role> Member<R> {
    fn advance(&mut self, answer: Option<Answer<'_>>) {
        let before = self.output.len();
        self.role.next(answer, Instant::now(), &mut self.output);
        self.is_done = self.output.len() == before;
    }

    fn read(&mut self) {
        let mut piece = [0; 65536];
        match self.socket.read(&mut piece) {
            Ok(0) => panic!("the server hung up"),
            Ok(length) => self.input.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("the server is gone: {error}"),
        }
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while let Some((answer, length)) = parse(rest) {
            rest = &rest[length..];
            self.advance(Some(answer));
        }
        self.input = rest.to_vec();
    }
}

/// The first whole answer in `input`, and its length.
fn parse(input: &[u8]) -> Option<(Answer<'_>, usize)> {
    let end = input.windows(2).position(|two| two == b"\r\n")?;
    let line = std::str::from_utf8(&input[..end]).expect("text");
    let body = end + 2;
    match line.split_at(1) {
        ("+", _) => Some((Answer::Line, body)),
        ("$", "-1") => Some((Answer::Bulk(None), body)),
        ("$", length) => {
            let length: usize = length.parse().expect("a length");
            input.len().checked_sub(body + length + 2)?;
            Some((Answer::Bulk(Some(&input[body..body + length])), body + length + 2))
        }
        _ => panic!("the server refuses: {line}"),
    }
}

/// A blocking connection that has said who it is.
pub(crate) fn greeted(address: SocketAddr, wid: Option<&str>) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("connect");
    socket.set_nodelay(true).expect("no delay");
    read_line(&mut socket);
    let hello = match wid {
        Some(wid) => format!("HELLO {{\"v\":2,\"wid\":\"{wid}\",\"hostname\":\"bench\",\"labels\":[]}}\r\n"),
        None => "HELLO {\"v\":2}\r\n".to_owned(),
    };
    socket.write_all(hello.as_bytes()).expect("greet");
    assert_eq!(read_line(&mut socket), "+OK");
    socket
}

/// Asks one thing on a blocking connection.
pub(crate) fn ask(socket: &mut TcpStream, command: &str) -> String {
    socket.write_all(command.as_bytes()).expect("ask");
    socket.write_all(b"\r\n").expect("ask");
    let line = read_line(socket);
    match line.strip_prefix('$').map(|length| length.parse::<usize>()) {
        Some(Ok(length)) => {
            let mut body = vec![0; length + 2];
            socket.read_exact(&mut body).expect("an answer");
            body.truncate(length);
            String::from_utf8(body).expect("text")
        }
        _ => line,
    }
}

fn read_line(socket: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        socket.read_exact(&mut byte).expect("a line");
        line.push(byte[0]);
    }
    line.truncate(line.len() - 2);
    String::from_utf8(line).expect("text")
}
