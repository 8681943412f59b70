//! A connection to a server, logged in.

use std::fmt;
use std::io;

use evercrew_wire::faktory::{Reply, ask, password};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::address::Address;

/// Who connects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// A worker has a name.
    pub(crate) wid: Option<String>,
    pub(crate) hostname: String,
    pub(crate) labels: Vec<String>,
}

/// Why there is no connection, or no more.
#[derive(Debug)]
pub(crate) enum Lost {
    Io(io::Error),
    /// What answers is no server of this protocol.
    Foreign(String),
    /// It does not let us in.
    Denied(String),
}

#[derive(Default, Deserialize)]
struct Hi {
    #[serde(default)]
    i: Option<u32>,
    #[serde(default)]
    s: Option<String>,
}

/// What comes in.
#[derive(Debug)]
pub(crate) struct Incoming {
    stream: OwnedReadHalf,
    received: Vec<u8>,
    /// How much of it was given out.
    read: usize,
}

impl Incoming {
    /// The next answer.
    ///
    /// Nothing is lost when this is not waited for to its end.
    pub(crate) async fn reply(&mut self) -> Result<Reply, Lost> {
        loop {
            if let Some(reply) = self.ready()? {
                return Ok(reply);
            }
            self.received.drain(..self.read);
            self.read = 0;
            self.received.reserve(16 << 10);
            if self.stream.read_buf(&mut self.received).await.map_err(Lost::Io)? == 0 {
                return Err(Lost::Io(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection")));
            }
        }
    }

    /// The next answer, if all of it is here.
    pub(crate) fn ready(&mut self) -> Result<Option<Reply>, Lost> {
        match Reply::read(&self.received[self.read..]) {
            Ok(Some((reply, length))) => {
                self.read += length;
                Ok(Some(reply))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(Lost::Foreign(error.0.to_owned())),
        }
    }
}

/// Connects, whose name is resolved anew, and says who we are.
pub(crate) async fn dial(address: &Address, who: &Identity) -> Result<(Incoming, OwnedWriteHalf), Lost> {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(Lost::Io)?;
    stream.set_nodelay(true).map_err(Lost::Io)?;
    let (stream, mut out) = stream.into_split();
    let mut incoming = Incoming { stream, received: Vec::new(), read: 0 };
    let hi = match incoming.reply().await? {
        Reply::Simple(text) => text.strip_prefix("HI ").and_then(|hi| serde_json::from_str::<Hi>(hi).ok()),
        Reply::Refused { text, .. } => return Err(Lost::Denied(text)),
        Reply::Bulk(_) | Reply::Nothing => None,
    };
    let hi = hi.ok_or_else(|| Lost::Foreign("it does not begin with HI".to_owned()))?;
    let pwdhash = match hi.s {
        None => None,
        Some(salt) => {
            let rounds = hi.i.unwrap_or(1);
            if rounds > password::MOST_ROUNDS {
                return Err(Lost::Foreign("it asks for too many rounds of hashing".to_owned()));
            }
            let secret = address.password.as_deref().unwrap_or_default();
            Some(password::answer(secret.as_bytes(), &salt, rounds))
        }
    };
    let greeting = ask::Greeting {
        v: 2,
        wid: who.wid.as_deref(),
        hostname: Some(&who.hostname),
        pid: Some(std::process::id()),
        labels: &who.labels,
        pwdhash,
    };
    let mut line = Vec::new();
    ask::line(&mut line, "HELLO", &greeting);
    out.write_all(&line).await.map_err(Lost::Io)?;
    match incoming.reply().await? {
        Reply::Refused { text, .. } => Err(Lost::Denied(text)),
        Reply::Simple(_) | Reply::Bulk(_) | Reply::Nothing => Ok((incoming, out)),
    }
}

/// The name of this machine; empty where it has none.
pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Foreign(why) => write!(f, "it is no server of jobs: {why}"),
            Self::Denied(why) => write!(f, "it lets nobody in: {why}"),
        }
    }
}
