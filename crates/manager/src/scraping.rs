//! `[metrics] listen`: a scraper asks, the loop answers when it has looked, and nobody waits for a scraper.

use std::io;
use std::os::unix::net::UnixListener as StdUnix;
use std::sync::Arc;
use std::time::Duration;

use evercrew_config::Address;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::input::Input;
use crate::manager::Manager;
use crate::notices::Level;

/// Scrapers at a time; others wait in the queue.
const MOST: usize = 16;
/// How long one has for everything.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest head of a request.
const MOST_HEAD: usize = 8192;
/// Until a taken address is tried again, doubled up to the second: the manager before may still be about to end.
const AGAIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Where it listens, and the task that does.
#[derive(Debug)]
pub(crate) struct Scraping {
    address: Address,
    task: AbortHandle,
}

impl Drop for Scraping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Manager {
    /// Listens where the configuration says.
    pub(crate) fn serve_metrics(&mut self) {
        let wanted = self.crew.settings().metrics.listen.clone();
        if self.scraping.as_ref().map(|scraping| &scraping.address) == wanted.as_ref() {
            return;
        }
        self.scraping = wanted.map(|address| {
            let task = tokio::spawn(listen(address.clone(), self.inputs.clone())).abort_handle();
            Scraping { address, task }
        });
    }

    /// It cannot be listened there, and is tried again.
    pub(crate) fn scraping_failed(&mut self, why: &str) {
        self.tell(Level::Error, "engine.problem", json!({"message": why}), why);
    }
}

async fn listen(address: Address, inputs: mpsc::Sender<Input>) {
    let (mut pause, longest) = AGAIN;
    let mut told = false;
    loop {
        let error = match Socket::bind(&address).await {
            Ok(socket) => return accept(&socket, &inputs).await,
            Err(error) => error,
        };
        pause = (pause * 2).min(longest);
        if pause == longest && !std::mem::replace(&mut told, true) {
            let text = format!("metrics cannot be served on {}, which is tried again: {error}", address.text());
            if inputs.send(Input::ScrapingFailed(text)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// A scraper's connection.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    async fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            Address::Unix(path) => bind_unix(path).map(Self::Unix),
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(listener) => Ok(Box::new(listener.accept().await?.0)),
            Self::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

/// A socket that nobody answers at is replaced.
fn bind_unix(path: &std::path::Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
        std::fs::remove_file(path)?;
    }
    let listener = StdUnix::bind(path)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

async fn accept(socket: &Socket, inputs: &mpsc::Sender<Input>) {
    let room = Arc::new(Semaphore::new(MOST));
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        match socket.accept().await {
            Ok(stream) => {
                let inputs = inputs.clone();
                tokio::spawn(async move {
                    let _permit = permit;
                    // One that is slow or wrong is closed.
                    let _ = tokio::time::timeout(PATIENCE, serve(stream, inputs)).await;
                });
            }
            // No descriptor is left.
            Err(_) => tokio::time::sleep(AGAIN.1).await,
        }
    }
}

async fn serve(mut stream: Box<dyn Stream>, inputs: mpsc::Sender<Input>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MOST_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let line = String::from_utf8_lossy(&head);
    let mut words = line.lines().next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    let (status, body): (&str, Arc<str>) = match (method, path) {
        ("GET" | "HEAD", "/metrics") => {
            let (answer, document) = oneshot::channel();
            if inputs.send(Input::Scraped(answer)).await.is_err() {
                return Ok(());
            }
            match document.await {
                Ok(text) => ("200 OK", text),
                Err(_) => ("503 Service Unavailable", Arc::from("the engine is being stopped\n")),
            }
        }
        ("GET" | "HEAD", _) => ("404 Not Found", Arc::from("metrics are at /metrics\n")),
        _ => ("405 Method Not Allowed", Arc::from("GET /metrics\n")),
    };
    let kind = if status.starts_with("200") { "text/plain; version=0.0.4; charset=utf-8" } else { "text/plain" };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if method != "HEAD" {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}
