use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use evercrew_sys::accept;
use tokio::sync::mpsc;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// Accepts in a runtime of its own. Each connection is told to `events`; its handler then blocks the runtime until
/// `gate` lets it go.
fn acceptor(
    name: &'static str,
    listener: &TcpListener,
    stages: watch::Receiver<Stage>,
    events: Sender<(&'static str, OwnedFd)>,
) -> (Sender<()>, JoinHandle<()>) {
    let listener = OwnedFd::from(listener.try_clone().expect("a descriptor"));
    let (open, gate) = channel::<()>();
    let (started, has_started) = channel();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let serve = |connection, place: OwnedSemaphorePermit, _| {
            let (events, gate) = (events.clone(), Arc::clone(&gate));
            tokio::spawn(async move {
                events.send((name, connection)).expect("the test listens");
                wait(&gate.lock().expect("nobody panicked"));
                drop(place);
            });
        };
        let places = Arc::new(Semaphore::new(100));
        let started = move || started.send(()).expect("the test listens");
        runtime
            .block_on(accept_until_drain(listener, places, stages, started, serve, |_| std::future::ready(())))
            .expect("a listener");
    });
    has_started.recv().expect("it starts");
    (open, thread)
}

/// Blocks until it is let go, or nobody is there to do it.
fn wait(gate: &Receiver<()>) {
    let _ = gate.recv();
}

#[test]
fn a_blocked_runtime_takes_no_connection_from_its_sibling() {
    accept::interrupt_handler_install().expect("a handler");
    for nonblocking in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(nonblocking).expect("a flag");
        blocked_beside_a_sibling(&listener);
    }
}

fn blocked_beside_a_sibling(listener: &TcpListener) {
    let address: SocketAddr = listener.local_addr().expect("its address");
    let stage = watch::Sender::new(Stage::Serving);
    let (sender, events) = channel();
    let mut acceptors: Vec<_> = ["one", "two"]
        .map(|name| (name, acceptor(name, listener, stage.subscribe(), sender.clone())))
        .into_iter()
        .collect();
    drop(sender);
    let mut clients = vec![TcpStream::connect(address).expect("it listens")];
    let (blocked, _) = events.recv_timeout(PATIENCE).expect("the first connection");
    // The other one is let go for each of its connections, the first one stays in its handler.
    let (other, (open, _)) = acceptors.iter().find(|(name, _)| *name != blocked).expect("there are two");
    for _ in 0..6 {
        clients.push(TcpStream::connect(address).expect("it listens"));
        let (name, _) = events.recv_timeout(PATIENCE).expect("the sibling takes it");
        assert_eq!(name, *other);
        open.send(()).expect("it waits");
    }
    stage.send_replace(Stage::Announcing);
    for (_, (open, thread)) in acceptors.drain(..) {
        drop(open);
        thread.join().expect("it ends in good order");
    }
    assert!(events.try_recv().is_err(), "no connection was taken twice");
}

#[tokio::test]
async fn a_connection_that_comes_with_the_stop_is_served_or_left_in_the_queue() {
    accept::interrupt_handler_install().expect("a handler");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    for round in 0..400 {
        listener.set_nonblocking(round % 2 == 0).expect("a flag");
        let copy = OwnedFd::from(listener.try_clone().expect("a descriptor"));
        let stage = watch::Sender::new(Stage::Serving);
        let (sender, mut served) = mpsc::unbounded_channel();
        let serve = move |connection: OwnedFd, _, _| sender.send(connection).expect("the test listens");
        let places = Arc::new(Semaphore::new(10));
        let accepting =
            tokio::spawn(accept_until_drain(copy, places, stage.subscribe(), || (), serve, |_| std::future::ready(())));
        let client = thread::spawn(move || TcpStream::connect(address).expect("it listens"));
        tokio::task::yield_now().await;
        stage.send_replace(Stage::Announcing);
        accepting.await.expect("no panic").expect("a listener");
        let client = client.join().expect("a connection");
        let taken = served.try_recv().is_ok();
        if !taken {
            // Not lost: it waits for a sibling.
            listener.set_nonblocking(false).expect("a flag");
            let (_, peer) = listener.accept().expect("it is in the queue");
            assert_eq!(peer, client.local_addr().expect("its address"));
        }
    }
}

/// Whoever shares a listener may change what it is for all.
#[tokio::test]
async fn a_listener_that_becomes_a_blocking_one_is_served_by_a_thread() {
    accept::interrupt_handler_install().expect("a handler");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    listener.set_nonblocking(true).expect("a flag");
    let mut source = Source::start(OwnedFd::from(listener.try_clone().expect("a descriptor"))).expect("a source");
    assert!(matches!(source, Source::Queue(_)));
    for nonblocking in [true, true, false, false, true] {
        listener.set_nonblocking(nonblocking).expect("a flag");
        source.allow().expect("a listener");
        let client = thread::spawn(move || TcpStream::connect(address).expect("it listens"));
        let accepted = timeout(PATIENCE, source.accepted()).await.expect("in time");
        assert!(accepted.is_some_and(|accepted| accepted.is_ok()));
        drop(client.join().expect("a connection"));
    }
    assert!(matches!(source, Source::Thread(_)));
    assert!(source.end().await.is_none());
}
