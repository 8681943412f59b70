//! Replies one after the other.

use std::marker::PhantomData;

use evercrew_wire::control::Reply;
use tokio::sync::mpsc;

use crate::client::{Client, Open};
use crate::error::{Error, Result};
use crate::verb::Verb;
use crate::waiter::{Message, is_terminal};

/// Replies as they come.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) client: Client,
    pub(crate) replies: mpsc::Receiver<Message>,
    pub(crate) open: Option<Open>,
}

impl Stream {
    /// The next one; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<Result<Reply>> {
        self.open.as_ref()?;
        let message = self.replies.recv().await;
        let reply = message.map_or_else(|| Err(Error::abandoned()), |message| self.client.message(message));
        if reply.as_ref().map_or(true, is_terminal)
            && let Some(mut open) = self.open.take()
        {
            open.ask = None;
        }
        Some(reply)
    }
}

/// What a request tells until it is over, from [`Ask::stream`](crate::Ask::stream).
///
/// It has a connection of its own, so that a reader who takes its time holds up no other request. Let fall, it tells the
/// engine that nobody waits any more.
#[derive(Debug)]
pub struct Answers<V> {
    stream: Stream,
    last: Option<Result<Reply>>,
    verb: PhantomData<fn() -> V>,
}

impl<V: Verb> Answers<V> {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, last: None, verb: PhantomData }
    }

    /// How far it is; `None` when it is over, and [`Answers::end`] says how.
    pub async fn next(&mut self) -> Option<V::Progress> {
        loop {
            match self.stream.next().await? {
                Ok(reply) if !is_terminal(&reply) => {
                    if let Some(progress) = V::progress(reply) {
                        return Some(progress);
                    }
                }
                last => {
                    self.last = Some(last);
                    return None;
                }
            }
        }
    }

    /// Waits for the end; what is told until then is dropped.
    ///
    /// # Errors
    /// As awaiting the [`Ask`](crate::Ask).
    pub async fn end(mut self) -> Result<V::Answer> {
        while self.last.is_none() && self.next().await.is_some() {}
        let reply = self.last.unwrap_or_else(|| Err(Error::abandoned()))?;
        V::answer(reply)
    }
}
