//! Listening sockets.

mod support;

use evercrew_sys::listener::{self, Address, BindErrorKind, Options};
use evercrew_sys::peer;
use rustix::fs::OFlags;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

fn tcp(text: &str) -> Address {
    Address::Tcp(text.parse().expect("address"))
}

fn bound(address: &Address) -> (OwnedFd, SocketAddr) {
    let fd = listener::bind(address, &Options::default()).expect("bind");
    match listener::local_address(&fd).expect("address") {
        Address::Tcp(address) => (fd, address),
        Address::Unix(path) => panic!("expected TCP, got {path:?}"),
    }
}

fn kind(address: &Address, options: &Options) -> BindErrorKind {
    listener::bind(address, options).expect_err("refused").kind
}

#[test]
fn tcp_listens_blocking_and_closed_on_exec() {
    let (fd, address) = bound(&tcp("127.0.0.1:0"));
    assert_ne!(address.port(), 0);
    assert!(!rustix::fs::fcntl_getfl(&fd).expect("flags").contains(OFlags::NONBLOCK));
    assert!(rustix::io::fcntl_getfd(&fd).expect("flags").contains(rustix::io::FdFlags::CLOEXEC));
    let mut client = TcpStream::connect(address).expect("connect");
    let (mut server, _) = TcpListener::from(fd).accept().expect("accept");
    client.write_all(b"hi").expect("write");
    let mut bytes = [0; 2];
    server.read_exact(&mut bytes).expect("read");
    assert_eq!(&bytes, b"hi");
}

#[test]
fn a_taken_port_is_in_use_and_one_left_in_time_wait_is_free() {
    let (fd, address) = bound(&tcp("127.0.0.1:0"));
    let taken = Address::Tcp(address);
    let error = listener::bind(&taken, &Options::default()).expect_err("taken");
    assert_eq!((error.kind, error.errno()), (BindErrorKind::InUse, libc::EADDRINUSE));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let client = TcpStream::connect(address).expect("connect");
    let (server, _) = TcpListener::from(fd).accept().expect("accept");
    // The server's end closes first, so its port is the one that waits.
    drop(server);
    drop(client);
    listener::bind(&taken, &Options::default()).expect("free again");
}

#[test]
fn one_port_is_shared_where_asked() {
    let options = Options { reuse_port: true, ..Options::default() };
    let one = listener::bind(&tcp("127.0.0.1:0"), &options).expect("bind");
    let address = listener::local_address(&one).expect("address");
    listener::bind(&address, &options).expect("shared");
    assert_eq!(kind(&address, &Options::default()), BindErrorKind::InUse);
}

#[test]
fn the_wildcard_of_ipv6_takes_ipv4_unless_told_otherwise() {
    let options = Options::default();
    let Ok(fd) = listener::bind(&tcp("[::]:0"), &options) else {
        println!("SKIP no IPv6");
        return;
    };
    let Address::Tcp(address) = listener::local_address(&fd).expect("address") else { panic!("TCP") };
    TcpStream::connect(("127.0.0.1", address.port())).expect("IPv4 reaches it");
    let fd = listener::bind(&tcp("[::]:0"), &Options { only_v6: true, ..options }).expect("bind");
    let Address::Tcp(address) = listener::local_address(&fd).expect("address") else { panic!("TCP") };
    assert!(TcpStream::connect(("127.0.0.1", address.port())).is_err());
}

#[test]
fn an_address_of_another_machine_is_not_available() {
    assert_eq!(kind(&tcp("192.0.2.1:0"), &Options::default()), BindErrorKind::NotAvailable);
}

fn unix(path: &Path) -> Address {
    Address::Unix(path.to_owned())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
}

#[test]
fn a_unix_socket_has_its_mode_from_the_start() {
    let directory = tempfile::tempdir().expect("directory");
    for wanted in [0o600, 0o660, 0o666, 0o777] {
        let path = directory.path().join(format!("{wanted:o}.sock"));
        let options = Options { mode: Some(wanted), ..Options::default() };
        let fd = listener::bind(&unix(&path), &options).expect("bind");
        assert_eq!(mode(&path), wanted);
        assert_eq!(listener::local_address(&fd).expect("address"), unix(&path));
        assert!(!rustix::fs::fcntl_getfl(&fd).expect("flags").contains(OFlags::NONBLOCK));
    }
    // What decides at the moment of creation is the socket's own mode: shown by a bind alone.
    let path = directory.path().join("bare.sock");
    let fd =
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).expect("socket");
    rustix::fs::fchmod(&fd, rustix::fs::Mode::RUSR).expect("fchmod");
    rustix::net::bind(&fd, &rustix::net::SocketAddrUnix::new(&path).expect("address")).expect("bind");
    assert_eq!(mode(&path), 0o400);
}

#[test]
fn a_stale_socket_file_is_replaced() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("s.sock");
    drop(UnixListener::bind(&path).expect("bind"));
    assert!(path.exists());
    let fd = listener::bind(&unix(&path), &Options::default()).expect("replaced");
    let client = UnixStream::connect(&path).expect("connect");
    let (server, _) = UnixListener::from(fd).accept().expect("accept");
    let own = peer::Peer {
        pid: std::process::id(),
        uid: evercrew_sys::user::current().0,
        gid: evercrew_sys::user::current().1,
    };
    assert_eq!(peer::credentials(&server).expect("peer"), own);
    drop(client);
}

#[test]
fn a_live_socket_is_in_use_even_when_its_queue_is_full() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("s.sock");
    let options = Options { backlog: 0, ..Options::default() };
    let _live = listener::bind(&unix(&path), &options).expect("bind");
    // Each probe stays in the queue, which has room for one.
    for _ in 0..3 {
        assert_eq!(kind(&unix(&path), &options), BindErrorKind::InUse);
    }
    assert!(fs::symlink_metadata(&path).expect("metadata").file_type().is_socket(), "it is still there");
}

#[test]
fn a_file_in_the_way_is_never_removed() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("precious");
    fs::write(&path, "text").expect("write");
    assert_eq!(kind(&unix(&path), &Options::default()), BindErrorKind::InUse);
    assert_eq!(fs::read_to_string(&path).expect("read"), "text");
    let datagram = directory.path().join("datagram");
    let _live = std::os::unix::net::UnixDatagram::bind(&datagram).expect("bind");
    assert_eq!(kind(&unix(&datagram), &Options::default()), BindErrorKind::InUse);
    assert!(datagram.exists());
}

#[test]
fn paths_have_107_bytes() {
    let directory = tempfile::tempdir().expect("directory");
    let base = directory.path().to_str().expect("text").len() + 1;
    let longest = directory.path().join("x".repeat(107 - base));
    let _held = listener::bind(&unix(&longest), &Options::default()).expect("107 bytes");
    UnixStream::connect(&longest).expect("connect");
    let longer = directory.path().join("y".repeat(108 - base));
    assert_eq!(kind(&unix(&longer), &Options::default()), BindErrorKind::PathTooLong);
    assert_eq!(kind(&unix(Path::new("")), &Options::default()), BindErrorKind::Other);
}

#[test]
fn a_missing_directory_is_not_available() {
    let path = PathBuf::from("/no/such/directory/s.sock");
    assert_eq!(kind(&unix(&path), &Options::default()), BindErrorKind::NotAvailable);
}

#[test]
fn a_retired_listener_keeps_its_queue_and_takes_no_newcomer() {
    use std::net::{SocketAddr, TcpListener, TcpStream};
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let fd = listener::bind(&Address::Tcp(free), &Options::default()).expect("listen");
    let Address::Tcp(address) = listener::local_address(&fd).expect("an address") else { panic!("not TCP") };
    let waiting: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(address).expect("connect")).collect();
    assert!(!listener::is_retired(&fd));
    listener::retire(&fd).expect("retire");
    assert!(listener::is_retired(&fd));
    let newcomer = TcpStream::connect_timeout(&address, std::time::Duration::from_millis(200));
    assert_eq!(newcomer.expect_err("nobody answers").kind(), std::io::ErrorKind::TimedOut);
    let socket = TcpListener::from(fd);
    let accepted: Vec<_> = waiting.iter().map(|_| socket.accept().expect("accept").0).collect();
    for (mut client, mut server) in waiting.into_iter().zip(accepted) {
        use std::io::{Read, Write};
        client.write_all(b"a").expect("write");
        let mut byte = [0];
        server.read_exact(&mut byte).expect("read");
    }
    drop(socket);
    let refused = TcpStream::connect(address).expect_err("closed");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
