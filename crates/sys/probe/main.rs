//! A process with one thread, for the tests of what belongs to a whole process. Ends with 0 when all is as it should be.

#[path = "../tests/support/mod.rs"]
mod support;

use evercrew_core::Signal;
use evercrew_sys::process::{self, Status};
use evercrew_sys::signal::{self, SignalFd};
use evercrew_sys::{pipe, user};
use std::os::fd::AsFd;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("senders") => senders(),
        Some("broken-pipe") => broken_pipe(),
        Some("ignored-children") => ignored_children(),
        Some("defaults") => defaults(),
        Some("terminal") => terminal(),
        other => panic!("no such part: {other:?}"),
    }
}

fn send_to_self(signal: Signal) {
    let own = process::open(std::process::id()).expect("pidfd");
    process::signal(own.as_fd(), signal).expect("send");
}

fn senders() {
    let signals = SignalFd::block_all().expect("block");
    assert_eq!(signals.read().expect("read"), None);
    for sent in [Signal::Term, Signal::Hup, Signal::Usr1, Signal::Ttou, Signal::Winch, Signal::Abrt, Signal::Urg] {
        send_to_self(sent);
        send_to_self(sent);
        support::wait_readable(&signals);
        let received = signals.read().expect("read").expect("signal");
        assert_eq!((received.signal, received.number), (Some(sent), signal::number(sent)));
        assert_eq!((received.sender_pid, received.sender_uid), (std::process::id(), user::current().0));
        assert!(!received.from_kernel);
        assert_eq!(signals.read().expect("read"), None, "two equal ones count once");
    }
    // SAFETY: sends a signal to ourselves.
    unsafe { libc::kill(libc::getpid(), libc::SIGRTMIN()) };
    let received = signals.read().expect("read").expect("signal");
    assert_eq!((received.signal, received.number), (None, libc::SIGRTMIN()));
}

fn broken_pipe() {
    let signals = SignalFd::block_all().expect("block");
    let (reader, writer) = pipe::pair().expect("pipe");
    drop(reader);
    let error = std::io::Write::write(&mut std::fs::File::from(writer), b"x").expect_err("nobody reads");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    assert_eq!(signals.read().expect("read"), None);
}

/// Some shells start their children with SIGCHLD ignored: then the kernel keeps no exit status.
fn ignored_children() {
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let signals = SignalFd::block_all().expect("block");
    let child = support::start(&support::shell("exit 4"));
    support::wait_readable(&signals);
    assert_eq!(signals.read().expect("read").and_then(|received| received.signal), Some(Signal::Chld));
    assert_eq!(support::finish(&child), Status::Code(4));
}

fn defaults() {
    let _signals = SignalFd::block_all().expect("block");
    signal::default_dispositions();
    send_to_self(Signal::Term);
    panic!("it should have ended");
}

/// Makes standard input the controlling terminal, says so, and waits for what is typed there.
fn terminal() {
    let signals = SignalFd::block_all().expect("block");
    // SAFETY: the calls take numbers only.
    let results = unsafe { (libc::setsid(), libc::ioctl(0, libc::TIOCSCTTY, 0)) };
    // A session leader already: setsid is refused.
    assert_eq!(results.1, 0, "the terminal becomes ours");
    println!("ready");
    support::wait_readable(&signals);
    let received = signals.read().expect("read").expect("signal");
    assert_eq!(received.signal, Some(Signal::Int));
    assert!(received.from_kernel, "typed, not sent: {received:?}");
}
