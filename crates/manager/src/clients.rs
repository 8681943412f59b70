//! Operators' connections: lines in, lines out, everything bounded.
//!
//! A client's next request reaches the loop when the one before was answered (or waits for the fleet) and most replies
//! were read: clients take turns, and one that does not read is not read from.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_sys::{clock, descriptor, peer};
use evercrew_wire::control::{MAX_LINE, Reply, ReplyStatus, Request};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::input::Input;
use crate::outbox::{Load, Outbox, Pending, Written, outbox};
use crate::readiness;

/// Connections at a time; one more, and the one that is idle longest is closed.
pub(crate) const MAX_CLIENTS: usize = 1024;
/// Connections that are being closed while others are already accepted.
const CLOSING: usize = 16;
/// Wait after a failed accept (no descriptors left), so that it never spins.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How long the last replies may take to leave when the engine ends.
const LAST_FLUSH: Duration = Duration::from_millis(500);

/// One connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientId(pub(crate) u64);

/// A client's right to have one request before the loop; dropped when that is answered or waits for the fleet.
pub(crate) type Turn = OwnedSemaphorePermit;

#[derive(Debug)]
struct Client {
    /// `None`: nothing more is sent, it ends when all is written.
    outbox: Option<Outbox>,
    turn: Arc<Semaphore>,
    /// When it last asked or was told something.
    used: Mono,
    /// It sends no more requests.
    ended: bool,
    /// Whose it is: `uid 0 (pid 7)`.
    who: String,
    reader: JoinHandle<()>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
        if let Some(writer) = &self.writer {
            writer.abort();
        }
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    next: u64,
    open: BTreeMap<ClientId, Client>,
    /// Those that were cut off: what is kept for them elsewhere has to go.
    cut: Vec<ClientId>,
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
        let room = Arc::new(Semaphore::new(MAX_CLIENTS + CLOSING));
        while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if inputs.send(Input::Connected(stream, permit)).await.is_err() {
                        return;
                    }
                }
                Err(_) => {
                    if inputs.send(Input::Crowded).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    });
    Ok(())
}

impl Clients {
    /// Whose connection it is.
    pub(crate) fn who(&self, client: ClientId) -> String {
        self.open.get(&client).map_or_else(|| "somebody".to_owned(), |client| client.who.clone())
    }

    /// Takes a connection in; one of another user is refused.
    pub(crate) fn connected(
        &mut self,
        stream: UnixStream,
        permit: OwnedSemaphorePermit,
        inputs: &mpsc::Sender<Input>,
    ) -> ClientId {
        let peer = peer::credentials(&stream).ok();
        let own = evercrew_sys::user::current().0;
        let allowed = peer.as_ref().is_some_and(|peer| peer.uid == 0 || peer.uid == own);
        let who = peer.map_or_else(|| "somebody".to_owned(), |peer| format!("uid {} (pid {})", peer.uid, peer.pid));
        self.next += 1;
        let id = ClientId(self.next);
        let (read, write) = stream.into_split();
        let (outbox, pending) = outbox();
        let turn = Arc::new(Semaphore::new(1));
        let source = Source { id, turn: Arc::clone(&turn), load: outbox.load(), inputs: inputs.clone() };
        let writer = tokio::spawn(write_replies(id, pending, write, permit, inputs.clone()));
        let reader = tokio::spawn(async move {
            let mut read = BufReader::new(read);
            if allowed {
                source.read_requests(&mut read).await;
            } else {
                let refusal = failure("", 77, "another user's engine", "run the command as that user or as root");
                source.send(Err(refusal)).await;
            }
            // The loop is gone when this fails, and every connection with it.
            let _ = source.inputs.send(Input::Ended(id)).await;
            closed(read.get_ref()).await;
            let _ = source.inputs.send(Input::Disconnected(id)).await;
        });
        let client =
            Client { outbox: Some(outbox), turn, used: clock::mono(), ended: false, who, reader, writer: Some(writer) };
        self.open.insert(id, client);
        id
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Says why to one that cannot stay, and closes it.
    pub(crate) fn refuse(&mut self, id: ClientId, reply: &Reply) {
        self.reply(id, reply);
        if let Some(client) = self.open.get_mut(&id) {
            client.reader.abort();
            client.outbox = None;
        }
    }

    /// Forgets a connection that is gone.
    pub(crate) fn disconnected(&mut self, id: ClientId) {
        self.open.remove(&id);
    }

    /// It sends no more requests; it stays until the ones it sent are answered.
    pub(crate) fn ended(&mut self, id: ClientId) {
        if let Some(client) = self.open.get_mut(&id) {
            client.ended = true;
        }
    }

    /// Closes those that send no more requests and wait for nothing, once what is queued has left.
    pub(crate) fn close_ended(&mut self, waits: impl Fn(ClientId) -> bool) {
        for (id, client) in &mut self.open {
            if client.ended && !waits(*id) {
                client.outbox = None;
            }
        }
    }

    /// Closes the connection without business that had none for longest; false when all have.
    pub(crate) fn close_idlest(&mut self, spare: Option<ClientId>, waits: impl Fn(ClientId) -> bool) -> bool {
        let idle =
            |id: &ClientId, client: &Client| Some(*id) != spare && client.turn.available_permits() > 0 && !waits(*id);
        let idlest = self.open.iter().filter(|(id, client)| idle(id, client)).min_by_key(|(_, client)| client.used);
        let Some(id) = idlest.map(|(id, _)| *id) else { return false };
        self.open.remove(&id);
        true
    }

    /// Lines of events that this connection takes now.
    pub(crate) fn room(&self, id: ClientId) -> usize {
        self.open.get(&id).and_then(|client| client.outbox.as_ref()).map_or(0, Outbox::room)
    }

    /// [`Input::Room`] comes when there is.
    pub(crate) fn wants_room(&self, id: ClientId) {
        if let Some(outbox) = self.open.get(&id).and_then(|client| client.outbox.as_ref()) {
            outbox.wants_room();
        }
    }

    /// Queues a reply; a client that does not read is cut off.
    pub(crate) fn reply(&mut self, id: ClientId, reply: &Reply) {
        let Some(client) = self.open.get_mut(&id) else { return };
        let Some(outbox) = &client.outbox else { return };
        client.used = clock::mono();
        if !outbox.push(reply.line()) {
            self.open.remove(&id);
            self.cut.push(id);
        }
    }

    /// Those that were cut off since the last time.
    pub(crate) fn take_cut(&mut self) -> Vec<ClientId> {
        std::mem::take(&mut self.cut)
    }

    /// Lets the last replies leave, for a bounded time.
    pub(crate) async fn finish(&mut self) {
        let until = tokio::time::Instant::now() + LAST_FLUSH;
        let mut open = std::mem::take(&mut self.open);
        for client in open.values_mut() {
            client.reader.abort();
            client.outbox = None;
        }
        for client in open.values_mut() {
            if let Some(writer) = client.writer.take() {
                let _ = tokio::time::timeout_at(until, writer).await;
            }
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

async fn write_replies(
    id: ClientId,
    mut pending: Pending,
    mut write: OwnedWriteHalf,
    _permit: OwnedSemaphorePermit,
    inputs: mpsc::Sender<Input>,
) {
    while pending.write(&mut write).await == Written::Room {
        if inputs.send(Input::Room).await.is_err() {
            return;
        }
    }
    drop(write);
    let _ = inputs.send(Input::Disconnected(id)).await;
}

/// Waits until the other end is closed altogether, not just for sending.
async fn closed(read: &OwnedReadHalf) {
    // Without a descriptor to watch, a write that fails tells it later.
    let Ok(watch) = readiness::watch(read.as_ref()) else { return std::future::pending().await };
    while let Ok(mut ready) = watch.writable().await {
        if ready.ready().is_write_closed() {
            return;
        }
        ready.clear_ready();
    }
}

/// Where a client's requests come from.
#[derive(Debug)]
struct Source {
    id: ClientId,
    turn: Arc<Semaphore>,
    load: Arc<Load>,
    inputs: mpsc::Sender<Input>,
}

impl Source {
    async fn read_requests(&self, read: &mut BufReader<OwnedReadHalf>) {
        loop {
            let mut line = Vec::new();
            // One byte over the bound tells a line that is too long from one that just fits.
            let mut bounded = (&mut *read).take(MAX_LINE as u64 + 1);
            match bounded.read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if line.len() > MAX_LINE && line.last() != Some(&b'\n') {
                let text = format!("a request line is longer than {MAX_LINE} bytes");
                self.send(Err(failure("", 2, text, "send less in one request"))).await;
                return;
            }
            // A last line without a newline is a request too; the next read tells that it was the last.
            let request = serde_json::from_slice::<Request>(&line).map_err(|error| {
                let hint = r#"send one JSON object a line: {"id":"1","verb":"status","args":{}}"#;
                failure(&id_of(&line), 2, format!("not a request: {error}"), hint)
            });
            if !self.send(request).await {
                return;
            }
        }
    }

    /// Hands a request, or what is wrong with it, to the loop when it is this client's turn; false when the loop is gone.
    async fn send(&self, request: Result<Request, Reply>) -> bool {
        // Taken and given back: the request before is answered, and what it was answered has to be read first.
        drop(self.turn.acquire().await);
        self.load.drained().await;
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else { return false };
        self.inputs.send(Input::Asked(self.id, request, turn)).await.is_ok()
    }
}

/// The id of a request that is wrong otherwise, so that its failure reaches it.
fn id_of(line: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
    value.get("id").and_then(|id| id.as_str()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        clients: Clients,
        room: Arc<Semaphore>,
        inputs: (mpsc::Sender<Input>, mpsc::Receiver<Input>),
    }

    impl Bench {
        fn new() -> Self {
            Self { clients: Clients::default(), room: Arc::new(Semaphore::new(8)), inputs: mpsc::channel(64) }
        }

        fn connect(&mut self) -> (ClientId, UnixStream) {
            let (ours, theirs) = UnixStream::pair().expect("a pair");
            let permit = Arc::clone(&self.room).try_acquire_owned().expect("room");
            (self.clients.connected(ours, permit, &self.inputs.0), theirs)
        }

        async fn input(&mut self) -> Input {
            let next = tokio::time::timeout(Duration::from_secs(10), self.inputs.1.recv());
            next.await.expect("an input in time").expect("an input")
        }
    }

    fn run<F: Future<Output = ()>>(test: impl FnOnce(Bench) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { test(Bench::new()).await });
    }

    #[test]
    fn one_that_does_not_read_is_cut_off_once_and_reported() {
        run(async |mut bench| {
            let (id, theirs) = bench.connect();
            let long = Reply::new("1", ReplyStatus::Processing, "x".repeat(1024 * 1024));
            let mut sent = 0;
            while bench.clients.take_cut() != [id] {
                bench.clients.reply(id, &long);
                sent += 1;
                assert!(sent < 8, "never cut off");
            }
            assert_eq!((bench.clients.len(), bench.clients.room(id)), (0, 0));
            bench.clients.reply(id, &long);
            assert!(bench.clients.take_cut().is_empty());
            drop(theirs);
        });
    }

    #[test]
    fn room_is_told_once_when_one_that_is_behind_has_read() {
        run(async |mut bench| {
            let (id, mut theirs) = bench.connect();
            let reply = Reply::new("1", ReplyStatus::Processing, "x".repeat(4000));
            while bench.clients.room(id) > 0 {
                bench.clients.reply(id, &reply);
            }
            bench.clients.wants_room(id);
            let mut sink = vec![0; 1024 * 1024];
            let reader = tokio::spawn(async move { while theirs.read(&mut sink).await.is_ok_and(|read| read > 0) {} });
            assert!(matches!(bench.input().await, Input::Room));
            assert!(bench.clients.room(id) > 0);
            bench.clients.reply(id, &reply);
            bench.clients.disconnected(id);
            reader.await.expect("the end");
            assert!(bench.inputs.1.try_recv().is_err(), "nobody asked for room again");
        });
    }

    #[test]
    fn the_next_request_comes_when_the_one_before_is_done() {
        use tokio::io::AsyncWriteExt;
        run(async |mut bench| {
            let (_, mut greedy) = bench.connect();
            let (other, mut theirs) = bench.connect();
            let line = b"{\"id\":\"1\",\"verb\":\"status\"}\n";
            greedy.write_all(&line.repeat(100)).await.expect("send");
            let first = bench.input().await;
            assert!(matches!(first, Input::Asked(..)));
            theirs.write_all(line).await.expect("send");
            assert!(matches!(bench.input().await, Input::Asked(id, ..) if id == other));
            drop(first);
            assert!(matches!(bench.input().await, Input::Asked(id, ..) if id != other));
        });
    }

    #[test]
    fn half_a_close_is_told_apart_from_a_whole_one() {
        use tokio::io::AsyncWriteExt;
        run(async |mut bench| {
            let (id, mut theirs) = bench.connect();
            theirs.write_all(b"{\"id\":\"1\",\"verb\":\"wait\"}").await.expect("send");
            theirs.shutdown().await.expect("half-close");
            assert!(matches!(bench.input().await, Input::Asked(_, Ok(_), _)));
            assert!(matches!(bench.input().await, Input::Ended(ended) if ended == id));
            bench.clients.ended(id);
            bench.clients.close_ended(|_| true);
            bench.clients.reply(id, &Reply::new("1", ReplyStatus::Processing, ""));
            let mut byte = [0];
            assert_eq!(theirs.read(&mut byte).await.expect("read"), 1, "it is still answered");
            assert!(bench.inputs.1.try_recv().is_err());
            drop(theirs);
            assert!(matches!(bench.input().await, Input::Disconnected(gone) if gone == id));
        });
    }

    #[test]
    fn the_idlest_goes_and_those_with_business_stay() {
        run(async |mut bench| {
            let (waiting, _theirs) = bench.connect();
            let (idle, _other) = bench.connect();
            let (new, _third) = bench.connect();
            assert!(bench.clients.close_idlest(Some(new), |id| id == waiting));
            assert!(bench.clients.open.keys().eq([&waiting, &new]), "{idle:?} should be gone");
            assert!(!bench.clients.close_idlest(Some(new), |id| id == waiting));
        });
    }
}
