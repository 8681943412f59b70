//! A connection of the client: TCP or unix.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::sleep;

use crate::fault::{Fault, Trouble};
use crate::target::Target;

/// Room that is made for each read.
const READ: usize = 16 * 1024;
/// Pauses while the queue of a unix listener is full, which the kernel answers by EAGAIN instead of waiting.
const FULL_QUEUE_PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! each {
    ($stream:expr, $name:ident => $body:expr) => {
        match $stream {
            Stream::Tcp($name) => $body,
            Stream::Unix($name) => $body,
        }
    };
}

/// What an idle connection shows before it is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// Nothing: it can be used.
    Open,
    /// The server has closed it in good order.
    Closed,
    /// The server has reset it.
    Reset,
    /// The server sent something that nobody asked for.
    Unasked,
}

impl Stream {
    /// Connects. The caller sets the deadline.
    ///
    /// # Errors
    /// Refused, reset at once, or local.
    pub(crate) async fn connect(target: &Target) -> Result<Self, Trouble> {
        match target {
            Target::Tcp(address) => connect_tcp(*address).await,
            Target::Unix(path) => connect_unix(path).await,
        }
        .map_err(|error| {
            let fault = match error.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Fault::Refused,
                io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Fault::Reset,
                io::ErrorKind::TimedOut => Fault::ConnectTimeout,
                _ => Fault::Local,
            };
            Trouble::new(fault, format!("connect: {error}"))
        })
    }

    /// Appends what has come to `buffer` and tells how much it was; 0 at the end.
    pub(crate) async fn read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        buffer.reserve(READ);
        loop {
            match each!(self, stream => stream.try_read_buf(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    each!(self, stream => stream.readable().await)?;
                }
                result => return result,
            }
        }
    }

    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match each!(self, stream => stream.try_write(bytes)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    each!(self, stream => stream.writable().await)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Looks whether the server has ended an idle connection; waits for nothing.
    pub(crate) fn idle(&self) -> Idle {
        match each!(self, stream => stream.try_read(&mut [0])) {
            Ok(0) => Idle::Closed,
            Ok(_) => Idle::Unasked,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Idle::Open,
            Err(_) => Idle::Reset,
        }
    }
}

async fn connect_tcp(address: SocketAddr) -> io::Result<Stream> {
    let stream = TcpStream::connect(address).await?;
    // Fails only on a connection that is gone already, which the request will tell.
    let _ = stream.set_nodelay(true);
    Ok(Stream::Tcp(stream))
}

async fn connect_unix(path: &Path) -> io::Result<Stream> {
    let (mut pause, longest) = FULL_QUEUE_PAUSES;
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
            result => return result.map(Stream::Unix),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// What an idle connection shows once the server has done something that the client can see.
    async fn idle_after<F: Future<Output = ()>>(server: impl FnOnce(TcpStream) -> F) -> Idle {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = Target::Tcp(listener.local_addr().expect("its address"));
        let client = Stream::connect(&target).await.expect("it listens");
        let (connection, _) = listener.accept().await.expect("a connection");
        assert_eq!(client.idle(), Idle::Open);
        server(connection).await;
        each!(&client, stream => stream.readable().await).expect("an event");
        client.idle()
    }

    #[tokio::test]
    async fn an_ended_idle_connection_is_seen_before_it_is_used() {
        assert_eq!(idle_after(|connection| async { drop(connection) }).await, Idle::Closed);
        let reset = |connection: TcpStream| async move {
            rustix::net::sockopt::set_socket_linger(&connection, Some(Duration::ZERO)).expect("a socket option");
        };
        assert_eq!(idle_after(reset).await, Idle::Reset);
        let unasked = |mut connection: TcpStream| async move {
            connection.write_all(b"x").await.expect("an open connection");
        };
        assert_eq!(idle_after(unasked).await, Idle::Unasked);
    }
}
