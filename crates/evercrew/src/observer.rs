//! What happens in the engine, for the program.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

use evercrew_worker::{BoxError, Context};
use serde_json::{Value, json};

use crate::hooks::NAME;

/// A beat of a worker; those have no number, and are told to who asks for them alone.
pub(crate) const HEARTBEAT: &str = "worker.heartbeat";
/// How long a look at the socket may take: a stop is noticed that late, and progress is told that often.
const LOOK: Duration = Duration::from_millis(500);
/// In the engine's directory.
const SOCKET: &str = "control.sock";
/// How long the engine may take to say how it stands.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);
/// Between two attempts to reach an engine that changes its manager.
const AGAIN: Duration = Duration::from_millis(100);

/// Something that happened, as the reference of events describes it.
#[derive(Clone, PartialEq)]
pub struct Event {
    fields: Value,
}

impl Event {
    /// Of a service that was just started in this process.
    pub(crate) fn of_embedded(service: &str) -> Self {
        let pid = std::process::id();
        Self {
            fields: json!({"kind": "worker.ready", "service": service, "worker": format!("{service}.1"), "pid": pid}),
        }
    }

    /// Its number; each event has the next one. A beat has none, which is 0.
    pub fn number(&self) -> u64 {
        self.fields["seq"].as_u64().unwrap_or(0)
    }

    /// What it is: `worker.ready`, `worker.exit`, `rollout.finished`, …; `gap` where some were missed.
    pub fn kind(&self) -> &str {
        self.fields["kind"].as_str().unwrap_or_default()
    }

    /// About which service.
    pub fn service(&self) -> Option<&str> {
        self.fields["service"].as_str()
    }

    /// About which worker: `web.1`.
    pub fn worker(&self) -> Option<&str> {
        self.fields["worker"].as_str()
    }

    /// Everything that is told of it.
    pub fn fields(&self) -> &Value {
        &self.fields
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields.fmt(f)
    }
}

/// What somebody who follows is told.
struct Follower<'a> {
    observe: &'a dyn Fn(&Event),
    heartbeats: bool,
    /// The number of the next event that it has not seen.
    next: Option<u64>,
}

/// Reads events until a stop, across managers; the first process of an engine sees them from the first one on.
pub(crate) fn follow(context: &Context, observe: &dyn Fn(&Event), heartbeats: bool) -> Result<(), BoxError> {
    let Some(directory) = context.directory() else { return Err("there is no engine to observe".into()) };
    let next = (context.identity().generation == 1).then_some(1);
    let (socket, mut follower) = (directory.join(SOCKET), Follower { observe, heartbeats, next });
    while !context.wait_for_set(Duration::ZERO) {
        // A manager that changes closes its connections, and refuses new ones for a moment at most.
        if follower.read(context, &socket).is_err() {
            context.wait_for_set(AGAIN);
        }
    }
    Ok(())
}

/// Whether every other service has ended, or nobody is there to say.
pub(crate) fn is_alone(context: &Context) -> bool {
    let ask = || -> io::Result<bool> {
        let directory = context.directory().ok_or(io::ErrorKind::NotFound)?;
        let mut stream = UnixStream::connect(directory.join(SOCKET))?;
        stream.set_read_timeout(Some(LONGEST_ANSWER))?;
        stream.write_all(format!("{}\n", json!({"id": "1", "verb": "status", "args": {}})).as_bytes())?;
        let mut line = Vec::new();
        BufReader::new(stream).read_until(b'\n', &mut line)?;
        let reply: Value = serde_json::from_slice(&line).map_err(io::Error::other)?;
        let services = reply["content"]["services"].as_array().map_or(&[][..], Vec::as_slice);
        let others = services.iter().filter(|service| service["name"] != NAME);
        let mut workers = others.filter_map(|service| service["workers"].as_array()).flatten();
        Ok(workers.all(|worker| worker["pid"].is_null()))
    };
    ask().unwrap_or(true)
}

impl Follower<'_> {
    fn read(&mut self, context: &Context, socket: &Path) -> io::Result<()> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LOOK))?;
        let mut args = json!({"follow": true, "heartbeats": self.heartbeats});
        if let Some(next) = self.next {
            args["since"] = json!(next);
        }
        stream.write_all(format!("{}\n", json!({"id": "1", "verb": "events", "args": args})).as_bytes())?;
        let (mut reader, mut line) = (BufReader::new(stream), Vec::new());
        loop {
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {
                    let reply: Value = serde_json::from_slice(&line).map_err(io::Error::other)?;
                    line.clear();
                    let event = Event { fields: reply["content"].clone() };
                    if let Some(number) = event.fields["seq"].as_u64() {
                        self.next = Some(number + 1);
                    }
                    if !event.kind().is_empty() {
                        (self.observe)(&event);
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
            if context.wait_for_set(Duration::ZERO) {
                return Ok(());
            }
        }
    }
}
