//! A client that shows every byte.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::child::PATIENCE;

/// A connection whose answers are read as they are.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        Self { stream }
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("the server is there");
    }

    /// One answer whose length is told, on a connection that stays open.
    pub(crate) fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("a whole head");
            answer.push(byte[0]);
        }
        let head = String::from_utf8(answer).expect("UTF-8");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        self.stream.read_exact(&mut body).expect("a whole body");
        head + std::str::from_utf8(&body).expect("UTF-8")
    }

    pub(crate) fn get(&mut self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.answer()
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> io::Result<String> {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest)?;
        Ok(rest)
    }
}

/// One request on a connection of its own, and everything that comes back.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut client = Client::connect(address);
    client.send(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    client.rest().expect("a close in good order")
}
