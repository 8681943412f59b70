//! The client.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use evercrew_core::session::{AskId, End};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::{Semaphore, oneshot};

use crate::answers::Stream;
use crate::driver::{Driver, Hook, Input};
use crate::error::{Error, Result};
use crate::place::Place;
use crate::request::Request;
use crate::waiter::{Asked, Message, Waiter};
use evercrew_wire::control::Reply;

/// How long an answer that comes at once, and a connection, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests that wait over one connection at a time: as many as an engine lets wait. Others wait for their turn.
const MOST_OPEN: usize = 64;
/// Replies that a stream holds for its reader; then nothing more is read.
const MOST_READ: usize = 64;

/// A client of the engine in one directory.
///
/// Making one costs nothing: the first request connects. Clones share the connection, and so do all requests but those
/// that are streamed, which have one each. An engine that is not there, or not any more, is a failure of the request.
#[derive(Clone, Debug)]
pub struct Client {
    place: Place,
    patience: Duration,
    hook: Option<Hook>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    driver: Mutex<Option<UnboundedSender<Input>>>,
    next: AtomicU64,
    room: Semaphore,
}

/// How many workers a service is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// So many.
    Exactly(u32),
    /// So many more than there are wanted.
    More(u32),
    /// So many fewer.
    Fewer(u32),
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(count) => write!(f, "{count}"),
            Self::More(count) => write!(f, "+{count}"),
            Self::Fewer(count) => write!(f, "-{count}"),
        }
    }
}

impl Client {
    /// A client of the engine whose directory this is (`engine.directory` of its configuration).
    pub fn new(directory: impl AsRef<Path>) -> Self {
        let shared = Shared { driver: Mutex::new(None), next: AtomicU64::new(1), room: Semaphore::new(MOST_OPEN) };
        Self { place: Place::new(directory.as_ref()), patience: PATIENCE, hook: None, shared: Arc::new(shared) }
    }

    /// How long an answer that should come at once is waited for, and a connection while managers change; 10 s unless it is
    /// set. The returned client has a connection of its own.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self.another() }
    }

    /// Shows each new connection to `see` before anything is asked over it: who listens there can be asked of the kernel.
    #[must_use]
    pub fn on_connect(self, see: impl Fn(BorrowedFd<'_>) + Send + Sync + 'static) -> Self {
        Self { hook: Some(Hook(Arc::new(see))), ..self.another() }
    }

    /// The same with a connection of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        let Self { place, patience, hook, .. } = self;
        let new = Self::new(place.directory());
        Self { patience: *patience, hook: hook.clone(), ..new }
    }

    /// The engine's directory.
    pub fn directory(&self) -> &Path {
        self.place.directory()
    }

    /// Asks, and waits for the last reply, whatever its status.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn last(&self, request: Request) -> Result<Reply> {
        // It is made to see whether it can be.
        request.line(u64::MAX, None, None)?;
        let turn = self.shared.room.acquire();
        let bound = request.timeout.unwrap_or(Duration::MAX);
        let Ok(Ok(_turn)) = tokio::time::timeout(bound, turn).await else { return Err(self.ended(End::Late, "")) };
        let (sender, last) = oneshot::channel();
        let (driver, ask) = self.ask(Asked { request, waiter: Waiter::Last(sender) });
        let mut open = Open { driver, ask: Some(ask) };
        let message = last.await;
        open.ask = None;
        self.message(message.map_err(|_| Error::abandoned())?)
    }

    /// Asks over a connection of its own, and gives every reply.
    ///
    /// # Errors
    /// When the request cannot be sent.
    pub(crate) fn each(&self, request: Request) -> Result<Stream> {
        request.line(u64::MAX, None, None)?;
        let own = self.another();
        let (sender, replies) = mpsc::channel(MOST_READ);
        let (driver, ask) = own.ask(Asked { request, waiter: Waiter::Each(sender, Default::default()) });
        Ok(Stream { client: own, replies, open: Some(Open { driver, ask: Some(ask) }) })
    }

    fn ask(&self, asked: Asked) -> (UnboundedSender<Input>, AskId) {
        let ask = AskId(self.shared.next.fetch_add(1, Relaxed));
        let mut driver = self.shared.driver.lock().unwrap_or_else(PoisonError::into_inner);
        // The runtime of the last one may be gone.
        let running = driver.take().filter(|driver| !driver.is_closed());
        let running = running.unwrap_or_else(|| {
            let (sender, inputs) = mpsc::unbounded_channel();
            tokio::spawn(Driver::new(self.place.clone(), self.patience, self.hook.clone()).run(inputs));
            sender
        });
        // Where it was shut down at this moment, whoever waits is told that nobody answers.
        let _ = running.send(Input::Ask(ask, asked));
        *driver = Some(running.clone());
        (running, ask)
    }

    pub(crate) fn message(&self, message: Message) -> Result<Reply> {
        match message {
            Message::Reply(reply) => Ok(reply),
            Message::End(end, trouble) => Err(self.ended(end, &trouble)),
        }
    }

    fn ended(&self, end: End, trouble: &str) -> Error {
        Error::ended(end, self.directory(), trouble)
    }
}

/// Something that is asked; let fall, it is withdrawn.
#[derive(Debug)]
pub(crate) struct Open {
    driver: UnboundedSender<Input>,
    pub(crate) ask: Option<AskId>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(ask) = self.ask.take() {
            // Where the driver is gone, so is the request.
            let _ = self.driver.send(Input::Cancel(ask));
        }
    }
}
