//! Connections are taken in, one after the other, also where descriptors are short.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::sync::Arc;
use std::time::Duration;

use evercrew_sys::descriptor;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;

use crate::clients::MAX_CLIENTS;
use crate::input::Input;
use crate::reserve::{self, Reserve};

/// Connections that are being closed while others are already accepted.
const CLOSING: usize = 16;
/// Wait after a failed accept (no descriptors left), so that it never spins.
pub(crate) const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A connection that was taken in.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: UnixStream,
    pub(crate) permit: OwnedSemaphorePermit,
    pub(crate) left: Left,
    /// No descriptor is left for another one.
    pub(crate) is_last: bool,
}

/// Wakes whoever waits for a descriptor when a connection is gone.
#[derive(Debug)]
pub(crate) struct Left(pub(crate) Arc<Notify>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// How many connections there may be.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    places: Arc<Semaphore>,
    left: Arc<Notify>,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_CLIENTS + CLOSING)), left: Arc::default() }
    }

    /// A connection that another manager had; `None` where there is no room or it cannot be watched.
    pub(crate) fn admit(&self, socket: OwnedFd) -> Option<Connection> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let stream = UnixStream::from_std(StdStream::from(socket)).ok()?;
        Some(Connection { stream, permit, left: Left(Arc::clone(&self.left)), is_last: false })
    }
}

/// Accepts until the task is aborted; each connection is an input of the loop.
///
/// # Errors
/// When the socket cannot be watched.
pub(crate) fn listen(
    socket: OwnedFd,
    mut reserve: Reserve,
    room: Room,
    inputs: mpsc::Sender<Input>,
) -> io::Result<AbortHandle> {
    // Managers alone accept from it, one at a time: nobody else depends on it being blocking.
    descriptor::set_nonblocking(&socket, true)?;
    let listener = UnixListener::from_std(StdListener::from(socket))?;
    let task = tokio::spawn(async move {
        let Room { places, left } = room;
        while let Ok(permit) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let is_last = !reserve.refill();
                    let connection = Connection { stream, permit, left: Left(Arc::clone(&left)), is_last };
                    if inputs.send(Input::Connected(connection)).await.is_err() {
                        return;
                    }
                }
                Err(error) if reserve::is_short(&error) && reserve.give() => {}
                Err(_) => {
                    if inputs.send(Input::Crowded).await.is_err() {
                        return;
                    }
                    // Who leaves meanwhile leaves one.
                    let _ = tokio::time::timeout(ACCEPT_RETRY, left.notified()).await;
                    tokio::task::yield_now().await;
                    reserve.refill();
                }
            }
        }
    });
    Ok(task.abort_handle())
}
