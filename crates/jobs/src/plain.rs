//! A client that asks one thing after the other.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use evercrew_wire::faktory::{Reply, password};
use serde_json::{Value, json};

use crate::address::Address;

/// A connection to a queue server, logged in.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    address: Address,
    deadline: Instant,
}

/// Why a question has no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody answers there.
    Unreachable(Address, io::Error),
    /// It did not answer in time.
    Late(Address),
    /// What answers there is no queue server.
    Foreign(Address, String),
    /// It refused: a word and a text.
    Refused(String, String),
}

impl Client {
    /// Connects and says who it is; everything it asks has to be answered within `patience`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn connect(address: &Address, patience: Duration) -> Result<Self, ClientError> {
        Self::connect_as(address, patience, "{}")
    }

    /// As [`Client::connect`], with these members of its HELLO: `{"wid":"…"}` makes it a worker.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn connect_as(address: &Address, patience: Duration, hello: &str) -> Result<Self, ClientError> {
        let deadline = Instant::now() + patience;
        let unreachable = |error| ClientError::Unreachable(address.clone(), error);
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let mut connected = None;
        for candidate in (address.host.as_str(), address.port).to_socket_addrs().map_err(unreachable)? {
            match TcpStream::connect_timeout(&candidate, patience) {
                Ok(stream) => {
                    connected = Some(stream);
                    break;
                }
                Err(error) => last = error,
            }
        }
        let stream = connected.ok_or_else(|| ClientError::Unreachable(address.clone(), last))?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let mut client = Self { stream, received: Vec::new(), address: address.clone(), deadline };
        client.hello(hello)?;
        Ok(client)
    }

    fn hello(&mut self, members: &str) -> Result<(), ClientError> {
        let greeting = match self.reply()? {
            Reply::Simple(text) => text.strip_prefix("HI ").and_then(|hi| serde_json::from_str::<Value>(hi).ok()),
            Reply::Refused { code, text } => return Err(ClientError::Refused(code, text)),
            Reply::Bulk(_) | Reply::Nothing => None,
        };
        let greeting = greeting.ok_or_else(|| self.foreign("it does not begin with HI"))?;
        let mut hello = serde_json::from_str::<Value>(members).unwrap_or_else(|_| json!({}));
        hello["v"] = json!(2);
        if let Some(salt) = greeting["s"].as_str() {
            let rounds = greeting["i"].as_u64().and_then(|rounds| u32::try_from(rounds).ok()).unwrap_or(1);
            if rounds > password::MOST_ROUNDS {
                return Err(self.foreign("it asks for too many rounds of hashing"));
            }
            let secret = self.address.password.clone().unwrap_or_default();
            hello["pwdhash"] = json!(password::answer(secret.as_bytes(), salt, rounds));
        }
        self.ask(&format!("HELLO {hello}")).map(|_| ())
    }

    /// Sends one line and gives its answer, which is no refusal.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask(&mut self, line: &str) -> Result<Reply, ClientError> {
        let sent = self.time_left().and_then(|left| {
            self.stream.set_write_timeout(Some(left))?;
            self.stream.write_all(line.as_bytes())?;
            self.stream.write_all(b"\r\n")
        });
        sent.map_err(|error| self.failed(error))?;
        match self.reply()? {
            Reply::Refused { code, text } => Err(ClientError::Refused(code, text)),
            reply => Ok(reply),
        }
    }

    /// Sends one line and gives the JSON of its answer; null when there is nothing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask_json(&mut self, line: &str) -> Result<Value, ClientError> {
        match self.ask(line)? {
            Reply::Bulk(text) => serde_json::from_str(&text).map_err(|_| self.foreign("a bulk of it is no JSON")),
            Reply::Simple(_) | Reply::Nothing | Reply::Refused { .. } => Ok(Value::Null),
        }
    }

    /// Sends one line and gives the text of its answer; empty when there is nothing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask_text(&mut self, line: &str) -> Result<String, ClientError> {
        match self.ask(line)? {
            Reply::Bulk(text) | Reply::Simple(text) => Ok(text),
            Reply::Nothing | Reply::Refused { .. } => Ok(String::new()),
        }
    }

    fn reply(&mut self) -> Result<Reply, ClientError> {
        loop {
            match Reply::read(&self.received) {
                Ok(Some((reply, length))) => {
                    self.received.drain(..length);
                    return Ok(reply);
                }
                Ok(None) => {}
                Err(error) => return Err(self.foreign(error.0)),
            }
            let mut bytes = [0; 16 << 10];
            let length = self.time_left().and_then(|left| {
                self.stream.set_read_timeout(Some(left))?;
                self.stream.read(&mut bytes)
            });
            match length.map_err(|error| self.failed(error))? {
                0 => {
                    let closed = io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection");
                    return Err(ClientError::Unreachable(self.address.clone(), closed));
                }
                length => self.received.extend_from_slice(&bytes[..length]),
            }
        }
    }

    fn time_left(&self) -> io::Result<Duration> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }

    fn failed(&self, error: io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ClientError::Late(self.address.clone()),
            _ => ClientError::Unreachable(self.address.clone(), error),
        }
    }

    fn foreign(&self, why: &str) -> ClientError {
        ClientError::Foreign(self.address.clone(), why.to_owned())
    }
}

/// An identifier that no other job has.
///
/// # Errors
/// When the kernel has no random bytes.
pub fn new_jid() -> io::Result<String> {
    let mut bytes = [0; 12];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    debug_assert_eq!(filled, bytes.len(), "the kernel gives so few at once");
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(address, error) => write!(f, "the queue server at {address} does not answer: {error}"),
            Self::Late(address) => write!(f, "the queue server at {address} did not answer in time"),
            Self::Foreign(address, why) => write!(f, "what answers at {address} is no queue server: {why}"),
            Self::Refused(_, text) => write!(f, "the queue server refused: {text}"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable(_, error) => Some(error),
            Self::Late(_) | Self::Foreign(..) | Self::Refused(..) => None,
        }
    }
}
