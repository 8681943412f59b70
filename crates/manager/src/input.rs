//! What the loop is told.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use evercrew_core::fleet::WorkerId;
use evercrew_sys::notify::Message;
use evercrew_sys::signal;
use evercrew_wire::control::Reply;
use tokio::sync::oneshot;

use crate::accepting::Connection;
use crate::clients::{ClientId, Turn};
use crate::exposition::Document;
use crate::intake::Line;
use crate::reload::Reread;
use crate::words::Spoken;

/// Everything the loop is told, the supervisor's records and its timer excepted.
#[derive(Debug)]
pub(crate) enum Input {
    Connected(Connection),
    /// No descriptor is left for another connection.
    Crowded,
    /// A request, or what to answer to one that is none.
    Asked(ClientId, Result<Line, Reply>, Turn),
    /// It sends no more requests.
    Ended(ClientId),
    /// Somebody who was behind has room again.
    Room,
    Disconnected(ClientId),
    /// What a worker says of itself, which is read away when the turn is given back.
    Notified(WorkerId, Box<Message>, Turn),
    SaidReady(WorkerId),
    /// On its command pipe.
    Said(Box<Spoken>),
    /// The configuration as it is in its files by now.
    Reread(Box<Reread>),
    /// A document of metrics was written.
    Measured(Box<Document>),
    /// Somebody scrapes metrics.
    Scraped(oneshot::Sender<Arc<str>>),
    /// Metrics cannot be served, and why.
    ScrapingFailed(String),
    DirectSignal(signal::Received),
    /// So many directories are watched; whether they are all.
    Watching {
        directories: usize,
        complete: bool,
    },
    /// Files of these services changed.
    Changed(BTreeSet<String>),
    /// A dump was written, or why not.
    Dumped(Result<PathBuf, String>),
}
