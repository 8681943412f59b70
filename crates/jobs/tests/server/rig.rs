//! A server in a thread, and clients that see every byte.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use evercrew_jobs::{Config, Error, Listen, Stopper, Storage, serve, stop};
use evercrew_wire::faktory::Reply;
use serde_json::{Value, json};

/// Longer than anything takes here, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Rig {
    /// One that keeps its jobs in memory.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// One whose settings are changed before it starts.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(Storage::Memory);
        config.listen = Listen::Address("127.0.0.1:0".parse().expect("address"));
        change(&mut config);
        let (stopper, stop) = stop().expect("stop");
        let (told, address) = channel();
        let thread = std::thread::spawn(move || serve(config, stop, |address| told.send(address).expect("told")));
        let address = address.recv_timeout(PATIENCE).expect("it serves");
        Self { address, stopper: Some(stopper), thread: Some(thread) }
    }

    /// Somebody who has said nothing yet.
    pub(crate) fn stranger(&self) -> Client {
        connect(self.address)
    }

    /// Somebody who pushes and asks.
    pub(crate) fn producer(&self) -> Client {
        let mut client = self.stranger();
        assert_eq!(client.reply(), Reply::Simple("HI {\"v\":2}".to_owned()));
        client.ok("HELLO {\"v\":2}");
        client
    }

    /// A worker.
    pub(crate) fn worker(&self, wid: &str) -> Client {
        self.worker_that_says(&json!({ "v": 2, "wid": wid, "hostname": "elsewhere", "pid": 7, "labels": ["test"] }))
    }

    pub(crate) fn worker_that_says(&self, hello: &Value) -> Client {
        let mut client = self.stranger();
        client.reply();
        client.ok(&format!("HELLO {hello}"));
        client
    }

    /// Has it stop, and gives how it ended.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        self.stopper.take().expect("it runs").stop();
        self.thread.take().expect("it runs").join().expect("no panic")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.stopper.is_some() {
            self.stop().expect("it ends well");
        }
    }
}

/// A connection to a server.
pub(crate) fn connect(address: SocketAddr) -> Client {
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.set_nodelay(true).expect("nodelay");
    Client { stream, received: Vec::new() }
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("send");
    }

    /// The next answer.
    pub(crate) fn reply(&mut self) -> Reply {
        self.next().expect("an answer")
    }

    /// The next answer; `None` when the connection is closed.
    pub(crate) fn next(&mut self) -> Option<Reply> {
        loop {
            if let Some((reply, length)) = Reply::read(&self.received).expect("a reply of the protocol") {
                self.received.drain(..length);
                return Some(reply);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(length) => self.received.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    /// Sends a line and gives its answer.
    pub(crate) fn ask(&mut self, line: &str) -> Reply {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// Sends a line that is answered with `+OK`.
    pub(crate) fn ok(&mut self, line: &str) {
        assert_eq!(self.ask(line), Reply::Simple("OK".to_owned()), "{line}");
    }

    /// Sends a line that is refused, and gives the whole text after the `-`.
    pub(crate) fn refused(&mut self, line: &str) -> String {
        match self.ask(line) {
            Reply::Refused { code, text } => format!("{code} {text}"),
            other => panic!("{line}: {other:?}"),
        }
    }

    /// Sends a line that is answered with JSON.
    pub(crate) fn json(&mut self, line: &str) -> Value {
        match self.ask(line) {
            Reply::Bulk(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("{line}: {other:?}"),
        }
    }

    /// As [`Client::json`], null for nothing.
    pub(crate) fn json_or_null(&mut self, line: &str) -> Value {
        match self.ask(line) {
            Reply::Nothing => Value::Null,
            Reply::Bulk(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("{line}: {other:?}"),
        }
    }

    /// Pushes a job with these members beside its name, type and arguments.
    pub(crate) fn push(&mut self, jid: &str, more: &str) {
        self.ok(&job(jid, more));
    }

    /// A job, or nothing.
    pub(crate) fn fetch(&mut self, queues: &str) -> Option<Value> {
        match self.ask(&format!("FETCH {queues}")) {
            Reply::Bulk(text) => Some(serde_json::from_str(&text).expect("JSON")),
            Reply::Nothing => None,
            other => panic!("{other:?}"),
        }
    }

    /// Fetches the job of this name.
    pub(crate) fn fetch_the(&mut self, queues: &str, jid: &str) -> Value {
        let job = self.fetch(queues).expect("a job");
        assert_eq!(job["jid"], jid);
        job
    }

    pub(crate) fn ack(&mut self, jid: &str) {
        self.ok(&format!("ACK {{\"jid\":\"{jid}\"}}"));
    }

    pub(crate) fn fail(&mut self, jid: &str) {
        self.ok(&format!(
            "FAIL {{\"jid\":\"{jid}\",\"errtype\":\"Oops\",\"message\":\"no\",\"backtrace\":[\"a\",\"b\",\"c\"]}}"
        ));
    }

    /// The state of a job.
    pub(crate) fn state(&mut self, jid: &str) -> String {
        self.json(&format!("JOB {{\"jid\":\"{jid}\"}}"))["state"].as_str().expect("state").to_owned()
    }

    /// Leaves without a word.
    pub(crate) fn leave(self) {
        self.stream.shutdown(Shutdown::Both).expect("shutdown");
    }
}

/// The line that pushes a job.
pub(crate) fn job(jid: &str, more: &str) -> String {
    let more = if more.is_empty() { String::new() } else { format!(",{more}") };
    format!("PUSH {{\"jid\":\"{jid}\",\"jobtype\":\"Test\",\"args\":[1]{more}}}")
}
