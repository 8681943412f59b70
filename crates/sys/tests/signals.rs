//! Signals read from a descriptor: in processes of their own, since masks and dispositions belong to a process.

mod support;

use evercrew_core::Signal;
use evercrew_sys::process::{self, Status};
use evercrew_sys::signal::{self, SignalFd};
use evercrew_sys::{clock, pipe};
use std::os::fd::AsFd;
use support::output;

/// Runs the test `name` again in a process of its own; true in that process.
fn alone(name: &str) -> bool {
    if support::role().is_some() {
        return true;
    }
    let (status, text) = output(support::myself(name, "alone"));
    assert_eq!(status, Status::Code(0), "{text}");
    false
}

fn send_to_self(signal: Signal) {
    let own = process::open(std::process::id()).expect("pidfd");
    process::signal(own.as_fd(), signal).expect("send");
}

#[test]
fn a_signal_is_read_with_its_sender() {
    if !alone("a_signal_is_read_with_its_sender") {
        return;
    }
    let signals = SignalFd::block_all().expect("block");
    assert_eq!(signals.read().expect("read"), None);
    for sent in [Signal::Term, Signal::Hup, Signal::Usr1, Signal::Ttou, Signal::Winch, Signal::Abrt, Signal::Urg] {
        send_to_self(sent);
        send_to_self(sent);
        support::wait_readable(&signals);
        let received = signals.read().expect("read").expect("signal");
        assert_eq!((received.signal, received.number), (Some(sent), signal::number(sent)));
        assert_eq!(received.sender_pid, std::process::id());
        assert_eq!(received.sender_uid, evercrew_sys::user::current().0);
        assert!(!received.from_kernel);
        assert_eq!(signals.read().expect("read"), None, "two equal ones count once");
    }
    // SAFETY: sends a signal to ourselves.
    unsafe { libc::kill(libc::getpid(), libc::SIGRTMIN()) };
    let received = signals.read().expect("read").expect("signal");
    assert_eq!((received.signal, received.number), (None, libc::SIGRTMIN()));
}

#[test]
fn a_broken_pipe_is_an_error_and_no_signal() {
    if !alone("a_broken_pipe_is_an_error_and_no_signal") {
        return;
    }
    let signals = SignalFd::block_all().expect("block");
    let (reader, writer) = pipe::pair().expect("pipe");
    drop(reader);
    let error = std::io::Write::write(&mut std::fs::File::from(writer), b"x").expect_err("nobody reads");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    assert_eq!(signals.read().expect("read"), None);
}

#[test]
fn exit_statuses_are_kept_even_when_the_parent_ignored_them() {
    if !alone("exit_statuses_are_kept_even_when_the_parent_ignored_them") {
        return;
    }
    // SAFETY: ignoring a signal runs no code. This is how some shells start their children.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let signals = SignalFd::block_all().expect("block");
    let child = support::start(&support::shell("exit 4"));
    support::wait_readable(&signals);
    assert_eq!(signals.read().expect("read").and_then(|received| received.signal), Some(Signal::Chld));
    assert_eq!(support::finish(&child), Status::Code(4));
}

#[test]
fn defaults_are_restored() {
    if !alone("defaults_are_restored") {
        return;
    }
    let child = support::start(&support::myself("defaults_are_restored_helper", "helper"));
    assert_eq!(support::finish(&child), Status::Signal { number: 15, core_dumped: false });
}

#[test]
fn defaults_are_restored_helper() {
    if support::role().as_deref() == Some("helper") {
        let _signals = SignalFd::block_all().expect("block");
        signal::default_dispositions();
        send_to_self(Signal::Term);
        panic!("it should have ended");
    }
}

#[test]
fn the_monotonic_clock_goes_forward() {
    let first = clock::mono();
    assert!(clock::mono() >= first);
    assert!(clock::wall() > std::time::UNIX_EPOCH);
}
