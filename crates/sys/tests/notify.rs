//! Notifications over a real socket.

mod support;

use evercrew_sys::notify::{self, NotifySocket};
use evercrew_sys::process::Status;
use evercrew_sys::{memfd, pipe};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use support::{c, is_root};

#[test]
fn what_is_sent_is_received_with_its_sender() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("web.1");
    let socket = NotifySocket::bind(&path, None).expect("bind");
    assert!(socket.receive().expect("receive").is_none());
    assert_eq!(std::fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
    notify::send_to(path.as_os_str(), "READY=1\nSTATUS=up\n").expect("send");
    let message = socket.receive().expect("receive").expect("message");
    assert!(message.ready && !message.stopping);
    assert_eq!((message.status.as_deref(), message.sender_pid), (Some("up"), std::process::id()));
    assert!(socket.receive().expect("receive").is_none());
}

#[test]
fn a_barrier_is_answered_by_dropping_it() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("web.1");
    let socket = NotifySocket::bind(&path, None).expect("bind");
    let (reader, writer) = pipe::pair().expect("pipe");
    notify::send_with(path.as_os_str(), "BARRIER=1", &[writer.as_fd()]).expect("send");
    drop(writer);
    let message = socket.receive().expect("receive").expect("message");
    assert_eq!(message.barrier.len(), 1);
    drop(message);
    let mut rest = Vec::new();
    File::from(reader).read_to_end(&mut rest).expect("the last write end is closed");
}

#[test]
fn descriptors_of_other_messages_are_closed() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("web.1");
    let socket = NotifySocket::bind(&path, None).expect("bind");
    let (reader, writer) = pipe::pair().expect("pipe");
    notify::send_with(path.as_os_str(), "FDSTORE=1", &[writer.as_fd()]).expect("send");
    drop(writer);
    assert!(socket.receive().expect("receive").expect("message").barrier.is_empty());
    let mut rest = Vec::new();
    File::from(reader).read_to_end(&mut rest).expect("closed");
}

#[test]
fn an_overlong_message_says_nothing_and_the_next_one_counts() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("web.1");
    let socket = NotifySocket::bind(&path, None).expect("bind");
    notify::send_to(path.as_os_str(), &format!("READY=1\nSTATUS={}", "x".repeat(5000))).expect("send");
    notify::send_to(path.as_os_str(), "STOPPING=1").expect("send");
    let first = socket.receive().expect("receive").expect("message");
    assert!(!first.ready && first.status.is_none());
    assert!(socket.receive().expect("receive").expect("message").stopping);
}

#[test]
fn a_socket_that_nobody_reads_never_blocks_the_sender() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("web.1");
    let _socket = NotifySocket::bind(&path, None).expect("bind");
    let error = (0..100_000)
        .find_map(|_| notify::send_to(path.as_os_str(), "WATCHDOG=1").err())
        .expect("its queue has a bound");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_left_socket_file_is_replaced_and_another_file_is_not() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("web.1");
    drop(NotifySocket::bind(&path, None).expect("bind"));
    let socket = NotifySocket::bind(&path, None).expect("again");
    notify::send_to(path.as_os_str(), "READY=1").expect("send");
    assert!(socket.receive().expect("receive").expect("message").ready);
    let file = directory.path().join("file");
    std::fs::write(&file, "text").expect("write");
    assert!(NotifySocket::bind(&file, None).is_err());
    assert_eq!(std::fs::read_to_string(&file).expect("read"), "text");
}

#[test]
fn the_socket_belongs_to_its_owner() {
    if !is_root() {
        println!("SKIP needs root");
        return;
    }
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("web.1");
    let _socket = NotifySocket::bind(&path, Some((4321, 5432))).expect("bind");
    let metadata = std::fs::metadata(&path).expect("metadata");
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777), (4321, 5432, 0o600));
}

#[test]
fn an_abstract_address_is_understood_and_others_refused() {
    let name = format!("evercrew-sys-test-{}", std::process::id());
    let address = <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name)
        .expect("address");
    let socket = UnixDatagram::bind_addr(&address).expect("bind");
    notify::send_to(OsStr::new(&format!("@{name}")), "READY=1").expect("send");
    let mut bytes = [0; 32];
    let length = socket.recv(&mut bytes).expect("receive");
    assert_eq!(&bytes[..length], b"READY=1");
    for address in ["relative/path", "", "vsock:1:2"] {
        let error = notify::send_to(OsStr::new(address), "READY=1").expect_err("refused");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
    let fd = memfd::sealed("x", b"x").expect("memfd");
    assert!(notify::send_with(OsStr::new("/x"), "READY=1", &vec![fd.as_fd(); 100]).is_err());
}

#[test]
fn a_child_notifies_by_its_environment() {
    const NAME: &str = "a_child_notifies_by_its_environment";
    if support::role().is_some() {
        assert!(notify::send("READY=1").expect("send"));
        return;
    }
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("web.1");
    let socket = NotifySocket::bind(&path, None).expect("bind");
    let mut plan = support::myself(NAME, "child");
    plan.environment.push(c(&format!("NOTIFY_SOCKET={}", path.display())));
    let (reader, writer) = pipe::pair().expect("pipe");
    plan.descriptors.push((writer, 1));
    let child = support::start(&plan);
    drop(plan);
    support::wait_readable(&socket);
    let message = socket.receive().expect("receive").expect("message");
    assert!(message.ready);
    assert_eq!(message.sender_pid, child.pid);
    support::read_all(reader);
    assert_eq!(support::finish(&child), Status::Code(0));
}

#[test]
fn without_a_socket_nothing_is_sent() {
    if std::env::var_os("NOTIFY_SOCKET").is_some() {
        println!("SKIP somebody listens to this test");
        return;
    }
    assert!(!notify::send("READY=1").expect("send"));
}
