//! Operators' connections: lines in, lines out, everything bounded.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use evercrew_sys::{descriptor, peer};
use evercrew_wire::control::{MAX_LINE, Reply, ReplyStatus, Request};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::manager::Input;

/// Connections at a time; later ones wait in the accept queue.
const MAX_CLIENTS: usize = 1024;
/// Lines that wait for a client to read them; one more and it is cut off.
const MAX_PENDING: usize = 1024;
/// Wait after a failed accept (no descriptors left), so that it never spins.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How long the last replies may take to leave when the engine ends.
const LAST_FLUSH: Duration = Duration::from_millis(500);

/// One connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientId(pub(crate) u64);

#[derive(Debug)]
struct Client {
    lines: mpsc::Sender<String>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    next: u64,
    open: BTreeMap<ClientId, Client>,
}

/// Accepts for ever; each connection is an input of the loop.
///
/// # Errors
/// When the socket cannot be watched.
pub(crate) fn listen(socket: OwnedFd, inputs: mpsc::Sender<Input>) -> io::Result<()> {
    // Managers alone accept from it, one at a time: nobody else depends on it being blocking.
    descriptor::set_nonblocking(&socket, true)?;
    let listener = UnixListener::from_std(StdListener::from(socket))?;
    tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(MAX_CLIENTS));
        while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if inputs.send(Input::Connected(stream, permit)).await.is_err() {
                        return;
                    }
                }
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            }
        }
    });
    Ok(())
}

impl Clients {
    /// Takes a connection in; one of another user is refused.
    pub(crate) fn connected(
        &mut self,
        stream: UnixStream,
        permit: tokio::sync::OwnedSemaphorePermit,
        inputs: &mpsc::Sender<Input>,
    ) {
        let allowed =
            peer::credentials(&stream).is_ok_and(|peer| peer.uid == 0 || peer.uid == evercrew_sys::user::current().0);
        self.next += 1;
        let id = ClientId(self.next);
        let (read, mut write) = stream.into_split();
        let (lines, mut pending) = mpsc::channel::<String>(MAX_PENDING);
        let writer = tokio::spawn(async move {
            let _permit = permit;
            while let Some(line) = pending.recv().await {
                if write.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let inputs = inputs.clone();
        let reader = tokio::spawn(async move {
            if allowed {
                read_requests(id, read, &inputs).await;
            } else {
                let refusal = failure("", 77, "another user's engine", "run the command as that user or as root");
                let _ = inputs.send(Input::Reply(id, refusal)).await;
            }
            // The loop is gone when this fails, and every connection with it.
            let _ = inputs.send(Input::Disconnected(id)).await;
        });
        self.open.insert(id, Client { lines, reader, writer });
    }

    /// Forgets a connection: nothing more is read, what is queued still leaves.
    pub(crate) fn disconnected(&mut self, id: ClientId) {
        self.open.remove(&id);
    }

    /// Lines that this connection takes now.
    pub(crate) fn room(&self, id: ClientId) -> usize {
        // A place is left for a terminal reply.
        self.open.get(&id).map_or(0, |client| client.lines.capacity().saturating_sub(8))
    }

    /// Queues a reply; a client that does not read is cut off.
    pub(crate) fn reply(&mut self, id: ClientId, reply: &Reply) {
        let Some(client) = self.open.get(&id) else { return };
        if client.lines.try_send(reply.line()).is_err() {
            client.reader.abort();
            client.writer.abort();
            self.open.remove(&id);
        }
    }

    /// Lets the last replies leave, for a bounded time.
    pub(crate) async fn finish(&mut self) {
        let until = tokio::time::Instant::now() + LAST_FLUSH;
        for (_, client) in std::mem::take(&mut self.open) {
            client.reader.abort();
            drop(client.lines);
            let _ = tokio::time::timeout_at(until, client.writer).await;
        }
    }
}

/// A terminal failure.
pub(crate) fn failure(id: &str, code: u8, message: impl Into<String>, hint: impl Into<String>) -> Reply {
    let mut reply = Reply::new(id, ReplyStatus::Failure, message);
    reply.code = Some(code);
    let hint = hint.into();
    reply.hint = (!hint.is_empty()).then_some(hint);
    reply
}

async fn read_requests(id: ClientId, read: OwnedReadHalf, inputs: &mpsc::Sender<Input>) {
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        // One byte over the bound tells a line that is too long from one that just fits.
        let mut bounded = (&mut read).take(MAX_LINE as u64 + 1);
        match bounded.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if line.last() != Some(&b'\n') {
            if line.len() > MAX_LINE {
                let text = format!("a request line is longer than {MAX_LINE} bytes");
                let _ = inputs.send(Input::Reply(id, failure("", 2, text, "send less in one request"))).await;
            }
            return;
        }
        let input = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => Input::Request(id, request),
            Err(error) => Input::Reply(
                id,
                failure(
                    &id_of(&line),
                    2,
                    format!("not a request: {error}"),
                    r#"send one JSON object a line: {"id":"1","verb":"status","args":{}}"#,
                ),
            ),
        };
        if inputs.send(input).await.is_err() {
            return;
        }
    }
}

/// The id of a request that is wrong otherwise, so that its failure reaches it.
fn id_of(line: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
    value.get("id").and_then(|id| id.as_str()).unwrap_or_default().to_owned()
}
