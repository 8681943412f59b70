//! What happens in an engine.

use std::fmt;

use evercrew_core::session::Upon;
use evercrew_wire::control::Reply;
use evercrew_wire::status::Status;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answers::Stream;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::request::Request;
use crate::verb::fine;
use crate::waiter::is_terminal;

/// Something that happened; the reference of events lists kinds and fields.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Its number; each event has the next one, also across managers.
    pub seq: u64,
    /// When: RFC 3339, UTC.
    #[serde(default)]
    pub at: String,
    /// `worker.exit`, `rollout.finished`, …
    pub kind: String,
    /// About which service.
    #[serde(default)]
    pub service: Option<String>,
    /// About which worker: `web.1`.
    #[serde(default)]
    pub worker: Option<String>,
    /// Everything else that is told of it.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// The events that are kept.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Kept {
    /// Oldest first; a gap (`{"kind":"gap","lost":n}`) where some are no longer kept.
    pub events: Vec<Value>,
    /// The number of the next one.
    pub next: u64,
}

/// What a follower is told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Told {
    /// How things stood before the first event.
    Snapshot(Box<Status>),
    /// Something happened.
    Event(Event),
    /// So many events are not told: they were no longer kept.
    Gap(u64),
}

/// Which events, from [`Client::events`].
#[derive(Debug)]
#[must_use = "nothing is asked before `follow`"]
pub struct Follow {
    client: Client,
    request: Request,
}

impl Client {
    /// Follows what happens, from here on or from a number on, across managers: none is told twice, and where some are
    /// missing a [`Told::Gap`] says how many.
    ///
    /// ```no_run
    /// # async fn example(client: evercrew_control::Client) -> evercrew_control::Result<()> {
    /// use evercrew_control::Told;
    ///
    /// let mut events = client.events().snapshot().service("web").kind("worker").follow()?;
    /// while let Some(told) = events.next().await? {
    ///     match told {
    ///         Told::Snapshot(status) => println!("{} services", status.services.len()),
    ///         Told::Event(event) => println!("{} {} {:?}", event.seq, event.kind, event.worker),
    ///         Told::Gap(lost) => println!("{lost} are missing"),
    ///         _ => {}
    ///     }
    /// }
    /// // The engine has ended.
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self) -> Follow {
        let request = Request::new("events").with("follow", json!(true)).upon(Upon::Resume);
        Follow { client: self.clone(), request }
    }
}

impl Follow {
    /// From this number on, instead of from the next event.
    pub fn since(mut self, since: u64) -> Self {
        self.request = self.request.with("since", json!(since));
        self
    }

    /// How things stand first; no event behind it is missing.
    pub fn snapshot(mut self) -> Self {
        self.request = self.request.with("snapshot", json!(true));
        self
    }

    /// Only of this service; several where it is said again.
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.add("service", name.into());
        self
    }

    /// Only this kind: `worker.exit`, or `worker` for all that begin so; several where it is said again.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.add("kind", kind.into());
        self
    }

    fn add(&mut self, name: &str, text: String) {
        let list = self.request.args.entry(name).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(json!(text));
        }
    }

    /// Begins.
    ///
    /// # Errors
    /// When the request is longer than the engine takes.
    pub fn follow(self) -> Result<Events> {
        Ok(Events { stream: self.client.each(self.request)?, waiting: None, position: None })
    }
}

/// Events as they come. A reader who takes its time is told of a gap where the engine no longer keeps what it missed.
pub struct Events {
    stream: Stream,
    waiting: Option<Told>,
    position: Option<u64>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Events {
    /// The number of the next event: where [`Follow::since`] goes on, in another process as well. `None` until the engine
    /// has answered.
    pub fn position(&self) -> Option<u64> {
        self.position
    }

    /// The next one; `None` when the engine has ended.
    ///
    /// # Errors
    /// When no engine ran to begin with, it refuses, or cannot be reached again for the client's
    /// [`patience`](Client::patience).
    pub async fn next(&mut self) -> Result<Option<Told>> {
        loop {
            if let Some(told) = self.waiting.take() {
                return Ok(Some(told));
            }
            let reply = match self.stream.next().await {
                None => return Ok(None),
                Some(Err(error)) if error.kind() == ErrorKind::Over => return Ok(None),
                Some(reply) => reply?,
            };
            if is_terminal(&reply) {
                fine(reply)?;
                return Ok(None);
            }
            self.waiting = self.read(reply)?;
        }
    }

    fn read(&mut self, reply: Reply) -> Result<Option<Told>> {
        let mut content = reply.content;
        let unreadable = |error| Error::unreadable(&error);
        if let Some(next) = content["next"].as_u64() {
            self.position = Some(next);
            let snapshot = content.get_mut("snapshot").map(Value::take);
            let status = snapshot.map(Status::deserialize).transpose().map_err(unreadable)?;
            return Ok(status.map(|status| Told::Snapshot(Box::new(status))));
        }
        if content["kind"] == "gap" {
            return Ok(Some(Told::Gap(content["lost"].as_u64().unwrap_or(0))));
        }
        if content.is_null() {
            return Ok(None);
        }
        let event = Event::deserialize(content).map_err(unreadable)?;
        self.position = Some(event.seq + 1);
        Ok(Some(Told::Event(event)))
    }
}
