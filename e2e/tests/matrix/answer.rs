//! One question to a program over a connection of its own, in the language it speaks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

/// A program that takes longer to answer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a program speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Answers {
    Http,
    Redis,
    FastCgi,
    /// It has no socket.
    Nothing,
}

impl Answers {
    /// Asks once; anything but the right answer is an error.
    pub(super) fn ask(self, port: u16) -> io::Result<()> {
        let (question, answer): (Vec<u8>, &[u8]) = match self {
            Self::Http => {
                (b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec(), b"hello\n".as_slice())
            }
            Self::Redis => (b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n".to_vec(), b"+PONG\r\n+OK\r\n".as_slice()),
            Self::FastCgi => (fastcgi_ping(), b"hello".as_slice()),
            Self::Nothing => return Ok(()),
        };
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&question)?;
        let mut said = Vec::new();
        stream.read_to_end(&mut said)?;
        if said.windows(answer.len()).any(|window| window == answer) {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&said).into_owned();
        Err(io::Error::new(ErrorKind::InvalidData, format!("not the answer: {text:?}")))
    }

    /// Asks again and again on new connections until `enough`; how many were answered, and what failed.
    pub(super) fn ask_until<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        port: u16,
        enough: &'scope AtomicBool,
    ) -> ScopedJoinHandle<'scope, (u64, Vec<io::Error>)> {
        scope.spawn(move || {
            let (mut answered, mut failed) = (0, Vec::new());
            while !enough.load(Ordering::Relaxed) {
                match self.ask(port) {
                    Ok(()) => answered += 1,
                    Err(error) => failed.push(error),
                }
                // A gentle rate: the programs are not what is measured.
                std::thread::park_timeout(Duration::from_millis(10));
            }
            (answered, failed)
        })
    }
}

/// GET /ping as FastCGI has it: begin, parameters, their end, no body.
fn fastcgi_ping() -> Vec<u8> {
    let parameters: Vec<u8> = [("SCRIPT_NAME", "/ping"), ("SCRIPT_FILENAME", "/ping"), ("REQUEST_METHOD", "GET")]
        .iter()
        .flat_map(|(name, value)| {
            let lengths = [name.len(), value.len()].map(|length| u8::try_from(length).unwrap_or(0));
            [lengths.as_slice(), name.as_bytes(), value.as_bytes()].concat()
        })
        .collect();
    let record = |kind: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap_or(0).to_be_bytes();
        [&[1, kind, 0, 1, length[0], length[1], 0, 0], content].concat()
    };
    [record(1, &[0, 1, 0, 0, 0, 0, 0, 0]), record(4, &parameters), record(4, &[]), record(5, &[])].concat()
}
