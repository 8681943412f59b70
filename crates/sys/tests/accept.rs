//! A thread that blocks in accept, and its interruption.

mod support;

use evercrew_sys::accept::{self, AcceptThread};
use evercrew_sys::listener::{self, Address, Options};
use evercrew_sys::{descriptor, process};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

fn listening() -> (OwnedFd, SocketAddr) {
    let address = Address::Tcp("127.0.0.1:0".parse().expect("address"));
    let fd = listener::bind(&address, &Options::default()).expect("bind");
    let Address::Tcp(address) = listener::local_address(&fd).expect("address") else { panic!("TCP") };
    (fd, address)
}

/// Accepts in a thread until told to stop. Sends the thread first, then each connection.
fn serve(nonblocking: bool) {
    accept::interrupt_handler_install().expect("handler");
    let (fd, address) = listening();
    descriptor::set_nonblocking(&fd, nonblocking).expect("flag");
    let stop = AtomicBool::new(false);
    let (handle_sender, handle) = mpsc::channel();
    let (connection_sender, connections) = mpsc::channel();
    thread::scope(|scope| {
        let accepting = scope.spawn(|| {
            handle_sender.send(AcceptThread::current().expect("thread")).expect("send");
            while !stop.load(Ordering::SeqCst) {
                if let Some(connection) = accept::accept(&fd).expect("accept") {
                    connection_sender.send(connection).expect("send");
                }
            }
        });
        let handle = handle.recv().expect("handle");
        for _ in 0..3 {
            let _client = TcpStream::connect(address).expect("connect");
            let connection: OwnedFd = connections.recv().expect("connection");
            let flags = rustix::fs::fcntl_getfl(&connection).expect("flags");
            assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
        }
        stop.store(true, Ordering::SeqCst);
        while !accepting.is_finished() {
            handle.interrupt();
            thread::yield_now();
        }
    });
    assert!(connections.try_recv().is_err());
}

#[test]
fn a_blocked_accept_is_interrupted() {
    serve(false);
}

#[test]
fn a_listener_that_another_process_made_nonblocking_is_waited_for() {
    serve(true);
}

#[test]
fn what_does_not_listen_is_an_error() {
    let (one, _other) = std::os::unix::net::UnixStream::pair().expect("pair");
    assert_eq!(accept::accept(&one).expect_err("no listener").kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_thread_that_ended_is_told() {
    accept::interrupt_handler_install().expect("handler");
    let handle = thread::spawn(|| AcceptThread::current().expect("thread")).join().expect("join");
    // The kernel ends the thread a moment after the join.
    while handle.interrupt() {
        thread::yield_now();
    }
}

#[test]
fn two_processes_share_one_listener() {
    let (fd, address) = listening();
    let copy = TcpListener::from(descriptor::duplicate(&fd).expect("duplicate"));
    let _client = TcpStream::connect(address).expect("connect");
    assert!(accept::accept(&copy).expect("accept").is_some());
    assert!(!process::exited(process::open(std::process::id()).expect("pidfd").as_fd()).expect("exited"));
}
