//! As much of an HTTP client as the tests need.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// A request that is on its way.
pub(crate) struct Begun(TcpStream);

/// Sends a request; its answer ends with the connection.
pub(crate) fn begin(address: SocketAddr, method: &str, path: &str, body: &str) -> Begun {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    Begun(stream)
}

impl Begun {
    /// The whole answer: status and body. Nothing when the connection ended without one.
    pub(crate) fn end(mut self) -> Option<(u16, String)> {
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        (length.is_none_or(|length| length == body.len())).then(|| (status, body.to_owned()))
    }
}

/// Status and body of one request.
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    begin(address, "GET", path, "").end().expect("an answer")
}
