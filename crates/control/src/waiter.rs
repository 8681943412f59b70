//! Who waits for replies.

use std::collections::VecDeque;

use evercrew_core::session::End;
use evercrew_wire::control::{Reply, ReplyStatus};
use tokio::sync::{mpsc, oneshot};

use crate::request::Request;

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Message {
    Reply(Reply),
    End(End, String),
}

/// Who waits.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// For the last reply.
    Last(oneshot::Sender<Message>),
    /// For every one; what does not fit waits here, and nothing more is read until it does.
    Each(mpsc::Sender<Message>, VecDeque<Message>),
}

/// A request with who waits for it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) waiter: Waiter,
}

impl Waiter {
    pub(crate) fn tell(&mut self, message: Message) {
        match self {
            Self::Last(_) => {}
            Self::Each(sender, waiting) => {
                if waiting.is_empty()
                    && let Err(mpsc::error::TrySendError::Full(message)) = sender.try_send(message)
                {
                    waiting.push_back(message);
                }
            }
        }
    }

    /// Tells the last of it.
    pub(crate) fn finish(self, message: Message) {
        match self {
            Self::Last(sender) => {
                // Nobody waits any more where this fails.
                let _ = sender.send(message);
            }
            Self::Each(sender, mut waiting) => {
                waiting.push_back(message);
                tokio::spawn(async move {
                    for message in waiting {
                        if sender.send(message).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
    }

    /// What it has to take before more is read.
    pub(crate) fn is_behind(&self) -> bool {
        matches!(self, Self::Each(_, waiting) if !waiting.is_empty())
    }

    /// Waits until it takes one of those.
    pub(crate) async fn catch_up(&mut self) {
        let Self::Each(sender, waiting) = self else { return };
        let Ok(permit) = sender.reserve().await else {
            // Whoever lets the other end fall cancels.
            return std::future::pending().await;
        };
        if let Some(message) = waiting.pop_front() {
            permit.send(message);
        }
    }
}

/// Whether a reply is the last one.
pub(crate) fn is_terminal(reply: &Reply) -> bool {
    reply.status != ReplyStatus::Processing
}
