//! A socket where an engine's would be.

use std::time::Duration;

use evercrew_control::Client;
use evercrew_sys::lock::Lock;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Longer than anything takes on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// An engine's directory with its socket.
pub(crate) struct Engine {
    home: TempDir,
    listener: Option<UnixListener>,
    lock: Option<Lock>,
}

impl Engine {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let lock = Lock::acquire(&home.path().join("lock")).expect("the lock");
        let listener = UnixListener::bind(home.path().join("control.sock")).expect("a socket");
        Self { home, listener: Some(listener), lock: Some(lock) }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.home.path())
    }

    /// The next connection.
    pub(crate) async fn manager(&self) -> Manager {
        let accepted = self.listener.as_ref().expect("it runs").accept();
        let (stream, _) = tokio::time::timeout(SOON, accepted).await.expect("a connection in time").expect("accept");
        Manager(BufReader::new(stream))
    }

    /// Nobody is there any more.
    pub(crate) fn end(&mut self) {
        (self.listener, self.lock) = (None, None);
        std::fs::remove_file(self.home.path().join("control.sock")).expect("remove the socket");
    }

    /// Nobody listens, and an engine runs.
    pub(crate) fn turn_away(&mut self) {
        self.listener = None;
    }
}

/// One end of a connection: what a manager reads and says.
pub(crate) struct Manager(BufReader<UnixStream>);

impl Manager {
    /// The next request; null at the end of the connection.
    pub(crate) async fn request(&mut self) -> Value {
        let mut line = String::new();
        let read = tokio::time::timeout(SOON, self.0.read_line(&mut line));
        match read.await.expect("a request in time") {
            Ok(1..) => serde_json::from_str(&line).expect("a request"),
            Ok(0) | Err(_) => Value::Null,
        }
    }

    /// The next request, which has to be of this verb.
    pub(crate) async fn asked(&mut self, verb: &str) -> Value {
        let request = self.request().await;
        assert_eq!(request["verb"], verb, "{request}");
        request
    }

    pub(crate) async fn reply(&mut self, request: &Value, status: &str, content: Value) {
        self.say(&json!({"id": request["id"], "status": status, "message": "so", "content": content})).await;
    }

    pub(crate) async fn say(&mut self, line: &Value) {
        self.0.write_all(format!("{line}\n").as_bytes()).await.expect("say");
    }
}

/// Runs a test in the runtime of a command line.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(SOON * 3, test).await.expect("in time") });
}

/// A status document of this revision.
pub(crate) fn status(revision: u64) -> Value {
    json!({"version": "0.1.0", "supervisor": {"pid": 1}, "manager": {"pid": 2, "generation": 1}, "revision": revision, "services": []})
}
