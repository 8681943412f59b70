//! Operators' connections: lines in, lines out, everything bounded.
//!
//! A client's next request reaches the loop when the one before was answered (or waits for the fleet) and most replies
//! were read: clients take turns, and one that does not read is not read from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_sys::{clock, descriptor, peer, stream};
use evercrew_wire::Text;
use evercrew_wire::control::{Reply, ReplyStatus};
use evercrew_wire::handover;
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::accepting::{ACCEPT_RETRY, Connection, Left};
use crate::access::{Access, Who};
use crate::ahead::{Ahead, ReadHalf, Reading};
use crate::audit::Audited;
use crate::input::Input;
use crate::intake::Intake;
use crate::outbox::{Load, Outbox, Pending, Written, outbox};
use crate::readiness;
use crate::requests::{Heirloom, Source};

/// Connections at a time; one more, and the one that is idle longest is closed.
pub(crate) const MAX_CLIENTS: usize = 1024;
/// How long the last replies may take to leave when the engine ends.
const LAST_FLUSH: Duration = Duration::from_millis(500);

/// One connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientId(pub(crate) u64);

impl ClientId {
    /// Who asks for the engine itself; numbers of connections begin at 1.
    pub(crate) const NOBODY: Self = Self(0);
}

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
    who: Who,
    /// Its changing commands whose end was not told.
    audited: Vec<Audited>,
    /// It has the last descriptor, which others wait for: it is answered and asked to go.
    is_last: bool,
    /// What was read from it beyond the request that is read.
    ahead: Ahead,
    /// What cannot be told yet to one whose request was none, before its end.
    refused: Arc<Mutex<Option<Reply>>>,
    /// The connection itself.
    stream: Arc<UnixStream>,
    /// What is to be written to it, the end of it included.
    load: Arc<Load>,
    reader: JoinHandle<()>,
    writer: Option<JoinHandle<()>>,
    _left: Left,
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
    intake: Arc<Intake>,
    /// Who may use the socket for what.
    pub(crate) access: Access,
    /// Changing commands that are over, of connections that are gone.
    audited: Vec<(Who, Audited)>,
    /// Those that were cut off: what is kept for them elsewhere has to go.
    cut: Vec<ClientId>,
}

impl Clients {
    /// Who is at the other end.
    pub(crate) fn peer(&self, client: ClientId) -> Who {
        self.open.get(&client).map(|client| client.who).unwrap_or_default()
    }

    /// The end of this request is to be told.
    pub(crate) fn audit(&mut self, client: ClientId, audited: Audited) {
        if let Some(client) = self.open.get_mut(&client) {
            client.audited.push(audited);
        }
    }

    /// Nobody waits for the ends of its commands any more.
    pub(crate) fn leaves_alone(&mut self, client: ClientId) {
        let Some(client) = self.open.get_mut(&client) else { return };
        let who = client.who;
        for mut audited in std::mem::take(&mut client.audited) {
            audited.left_alone();
            self.audited.push((who, audited));
        }
    }

    /// The changing commands that are over and were not told.
    pub(crate) fn take_audited(&mut self) -> Vec<(Who, Audited)> {
        std::mem::take(&mut self.audited)
    }

    /// Takes a connection in; one of another user is refused.
    pub(crate) fn connected(&mut self, connection: Connection, inputs: &mpsc::Sender<Input>) -> ClientId {
        self.next += 1;
        let id = ClientId(self.next);
        self.admit(id, connection, Heirloom::default(), inputs);
        id
    }

    /// Takes a connection in, with what another manager had in hand of it.
    pub(crate) fn admit(
        &mut self,
        id: ClientId,
        Connection { stream, permit, left, is_last }: Connection,
        heirloom: Heirloom,
        inputs: &mpsc::Sender<Input>,
    ) {
        let peer = peer::credentials(&stream).ok();
        let role = peer.as_ref().and_then(|peer| self.access.role(peer));
        let allowed = role.is_some();
        let who = peer.map_or_else(Who::default, |peer| Who { uid: Some(peer.uid), pid: peer.pid, role });
        self.next = self.next.max(id.0);
        let stream = Arc::new(stream);
        let (outbox, pending) = outbox();
        outbox.restore(heirloom.outgoing);
        let source_load = outbox.load();
        let turn = Arc::new(Semaphore::new(1));
        let (ahead, refused) = (Ahead::new(heirloom.incoming), Arc::new(Mutex::new(heirloom.refused)));
        let source = Source {
            id,
            turn: Arc::clone(&turn),
            load: outbox.load(),
            intake: Arc::clone(&self.intake),
            refused: Arc::clone(&refused),
            inputs: inputs.clone(),
        };
        let writer = tokio::spawn(write_replies(id, pending, Arc::clone(&stream), permit, inputs.clone()));
        let (ended, reading) = (heirloom.ended, Reading::new(ReadHalf(Arc::clone(&stream)), ahead.clone()));
        let reader = tokio::spawn(async move {
            let mut read = reading;
            if !allowed {
                let refusal = failure("", 77, "another user's engine", "run the command as that user or as root");
                source.refuse(refusal);
            }
            if !ended {
                source.read_requests(&mut read).await;
                // The loop is gone when this fails, and every connection with it.
                let _ = source.inputs.send(Input::Ended(id)).await;
            }
            closed(&read.inner().0).await;
            let _ = source.inputs.send(Input::Disconnected(id)).await;
        });
        let client = Client {
            outbox: Some(outbox),
            turn,
            used: clock::mono(),
            ended,
            who,
            audited: heirloom.audited,
            is_last,
            ahead,
            refused,
            stream,
            load: source_load,
            reader,
            writer: Some(writer),
            _left: left,
        };
        self.open.insert(id, client);
    }

    /// Whether it has the last descriptor there was.
    pub(crate) fn is_last(&self, id: ClientId) -> bool {
        self.open.get(&id).is_some_and(|client| client.is_last)
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// The highest number that one ever had.
    pub(crate) fn last(&self) -> u64 {
        self.next
    }

    /// Numbers up to this one were another manager's.
    pub(crate) fn skip_to(&mut self, last: u64) {
        self.next = self.next.max(last);
    }

    /// Every connection, with what is in hand of it. Tasks must not run until another manager has them.
    pub(crate) fn hand_on(&self) -> impl Iterator<Item = (handover::Client, Arc<UnixStream>)> {
        self.open.iter().map(|(id, client)| {
            let mut incoming = self.intake.undone(*id);
            incoming.extend(client.ahead.bytes());
            let handed = handover::Client {
                id: id.0,
                incoming: Text(incoming),
                outgoing: Text(client.load.unwritten()),
                refused: client.refused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
                ended: client.ended || client.outbox.is_none(),
                audited: client.audited.iter().filter_map(Audited::hand_on).collect(),
                ..handover::Client::default()
            };
            (handed, Arc::clone(&client.stream))
        })
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
        self.leaves_alone(id);
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

    /// Closes the connection without business that had none for longest, and for `least`; false when there is none.
    pub(crate) fn close_idlest(
        &mut self,
        spare: Option<ClientId>,
        least: Duration,
        waits: impl Fn(ClientId) -> bool,
    ) -> bool {
        let now = clock::mono();
        let idle = |id: &ClientId, client: &Client| {
            Some(*id) != spare && now.since(client.used) >= least && client.turn.available_permits() > 0 && !waits(*id)
        };
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
        if let Some(index) = client.audited.iter_mut().position(|audited| audited.ends_with(reply)) {
            let audited = client.audited.remove(index);
            self.audited.push((client.who, audited));
        }
        if !outbox.push(reply.line()) {
            self.leaves_alone(id);
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
    stream: Arc<UnixStream>,
    _permit: OwnedSemaphorePermit,
    inputs: mpsc::Sender<Input>,
) {
    while pending.write(&stream).await == Written::Room {
        if inputs.send(Input::Room).await.is_err() {
            return;
        }
    }
    // Whoever reads sees the end; one that is gone has seen it.
    let _ = stream::end_writing(&*stream);
    let _ = inputs.send(Input::Disconnected(id)).await;
}

/// Waits until the other end is closed altogether, not just for sending.
async fn closed(stream: &UnixStream) {
    let watch = loop {
        if descriptor::is_hung_up(stream) {
            return;
        }
        match readiness::watch(stream) {
            Ok(watch) => break watch,
            // Those who leave give descriptors back, so this has to be seen without one.
            Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
        }
    };
    while let Ok(mut ready) = watch.writable().await {
        if ready.ready().is_write_closed() {
            return;
        }
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;
    use tokio::sync::Notify;

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
            let left = Left(Arc::new(Notify::new()));
            let connection = Connection { stream: ours, permit, left, is_last: false };
            (self.clients.connected(connection, &self.inputs.0), theirs)
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
            assert!(!bench.clients.close_idlest(None, Duration::from_secs(60), |_| false), "all have just come");
            assert!(bench.clients.close_idlest(Some(new), Duration::ZERO, |id| id == waiting));
            assert!(bench.clients.open.keys().eq([&waiting, &new]), "{idle:?} should be gone");
            assert!(!bench.clients.close_idlest(Some(new), Duration::ZERO, |id| id == waiting));
        });
    }
}
