//! Readiness by asking: a worker's own port on 127.0.0.1.
//!
//! Only a port of its own proves anything: behind a shared socket a sibling would answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use evercrew_config::{Ready, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::launch;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(2);
/// What is read of an answer at most: its status line is all that counts.
const STATUS_LINE: usize = 64;

/// What to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    address: SocketAddr,
    /// `None` is content with a connection.
    path: Option<String>,
}

/// What makes this slot's worker ready, if it is a probe.
pub(crate) fn target(service: &Service, slot: u32) -> Option<Target> {
    let path = match &service.ready {
        Ready::Connect => None,
        Ready::Http(path) => Some(path.clone()),
        Ready::Exec | Ready::Notify | Ready::Fd(_) | Ready::Output(_) => return None,
    };
    let port = launch::port(service, slot)?;
    Some(Target { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), path })
}

/// Returns when it has answered. The worker's ready timeout ends the wait, by ending the worker.
pub(crate) async fn until_answered(target: &Target) {
    while !tokio::time::timeout(TRY, answers(target)).await.unwrap_or(false) {
        tokio::time::sleep(PAUSE).await;
    }
}

async fn answers(target: &Target) -> bool {
    let Ok(mut stream) = TcpStream::connect(target.address).await else { return false };
    let Some(path) = &target.path else { return true };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.address);
    if stream.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    let mut line = Vec::new();
    // A connection that is reset after its answer has answered.
    let _ = (&mut stream).take(STATUS_LINE as u64).read_to_end(&mut line).await;
    is_well(&line)
}

/// `HTTP/1.1 204 …`: 2xx and 3xx.
fn is_well(answer: &[u8]) -> bool {
    let mut words = answer.split(|byte| *byte == b' ');
    let is_http = words.next().is_some_and(|version| version.starts_with(b"HTTP/1."));
    is_http && words.next().is_some_and(|code| code.len() == 3 && matches!(code[0], b'2' | b'3'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_and_3xx_are_ready() {
        for (answer, well) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], true),
            (b"HTTP/1.0 302 Found\r\n", true),
            (b"HTTP/1.1 503 Busy\r\n", false),
            (b"HTTP/1.1 20 X\r\n", false),
            (b"SSH-2.0-x", false),
            (b"", false),
        ] {
            assert_eq!(is_well(answer), well, "{}", String::from_utf8_lossy(answer));
        }
    }
}
