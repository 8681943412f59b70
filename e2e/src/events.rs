//! The engine's events, followed over its own socket, also across managers.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A follower.
#[derive(Debug)]
pub struct Events {
    socket: PathBuf,
    next: u64,
    stream: Option<BufReader<UnixStream>>,
    seen: VecDeque<Value>,
}

impl Events {
    pub(crate) fn follow(socket: PathBuf, since: u64) -> Self {
        Self { socket, next: since, stream: None, seen: VecDeque::new() }
    }

    /// The number of the next event that was not read.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Everything read so far, oldest first.
    pub fn seen(&self) -> impl Iterator<Item = &Value> {
        self.seen.iter()
    }

    /// The next event that fits; earlier ones stay in [`Events::seen`].
    ///
    /// # Panics
    /// When none comes within `patience`.
    pub fn wait(&mut self, what: &str, patience: Duration, fits: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + patience;
        loop {
            let Some(event) = self.read(until) else {
                panic!("no event `{what}` within {patience:?}; seen: {:#?}", self.seen);
            };
            let found = fits(&event).then(|| event.clone());
            self.seen.push_back(event);
            if let Some(event) = found {
                return event;
            }
        }
    }

    /// As [`Events::wait`], for an event of this kind about this worker.
    pub fn worker(&mut self, kind: &str, worker: &str, patience: Duration) -> Value {
        self.wait(&format!("{kind} {worker}"), patience, |event| event["kind"] == kind && event["worker"] == worker)
    }

    /// Reads what comes until `until` and gives nothing back; everything is in [`Events::seen`].
    pub fn drain_until(&mut self, until: Instant) {
        while let Some(event) = self.read(until) {
            self.seen.push_back(event);
        }
    }

    fn read(&mut self, until: Instant) -> Option<Value> {
        loop {
            let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            let Some(stream) = &mut self.stream else {
                self.connect();
                continue;
            };
            stream.get_ref().set_read_timeout(Some(left)).expect("set a timeout");
            let mut line = String::new();
            match stream.read_line(&mut line) {
                Ok(0) => self.stream = None,
                Ok(_) => {
                    let reply: Value = serde_json::from_str(&line).expect("a reply is JSON");
                    let event = reply["content"].clone();
                    if let Some(seq) = event["seq"].as_u64() {
                        self.next = seq + 1;
                        return Some(event);
                    }
                    if event["kind"] == "gap" {
                        return Some(event);
                    }
                }
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                }
                Err(_) => self.stream = None,
            }
        }
    }

    fn connect(&mut self) {
        // A socket that is not there yet, or whose manager just ended, is tried again until the caller's deadline.
        let Ok(mut stream) = UnixStream::connect(&self.socket) else { return std::thread::yield_now() };
        let request = json!({"id": "events", "verb": "events", "args": {"follow": true, "since": self.next}});
        if writeln!(stream, "{request}").is_ok() {
            self.stream = Some(BufReader::new(stream));
        }
    }
}
