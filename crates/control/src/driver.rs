//! The one place that waits: performs what the session decides, and tells it what was observed.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::Mono;
use evercrew_core::session::{Action, AskId, Event, Session, Unreached, Upon};
use evercrew_sys::clock;
use evercrew_wire::control::Reply;
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::connection::Connection;
use crate::place::Place;
use crate::request::Request;
use crate::waiter::{Asked, Message, Waiter, is_terminal};

/// Sees each connection before anything is asked over it.
#[derive(Clone)]
pub(crate) struct Hook(pub(crate) Arc<dyn Fn(BorrowedFd<'_>) + Send + Sync>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// What a handle wants.
#[derive(Debug)]
pub(crate) enum Input {
    Ask(AskId, Asked),
    Cancel(AskId),
}

/// A client's task.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) place: Place,
    pub(crate) patience: Duration,
    pub(crate) hook: Option<Hook>,
    session: Session,
    asks: BTreeMap<AskId, Asked>,
    connection: Option<Connection>,
    /// Why there was no connection, last.
    trouble: String,
    /// Withdrawals have ids of their own, whose replies mean nothing.
    withdrawn: u64,
}

impl Driver {
    pub(crate) fn new(place: Place, patience: Duration, hook: Option<Hook>) -> Self {
        Self {
            place,
            patience,
            hook,
            session: Session::default(),
            asks: BTreeMap::new(),
            connection: None,
            trouble: String::new(),
            withdrawn: 0,
        }
    }

    /// Until no handle is left and nothing is asked.
    pub(crate) async fn run(mut self, mut inputs: UnboundedReceiver<Input>) {
        let mut is_closed = false;
        while !is_closed || !self.asks.is_empty() {
            let reads = !self.asks.values().any(|asked| asked.waiter.is_behind());
            let wait = self.session.deadline().map(|at: Mono| at.since(clock::mono()));
            let behind = self.asks.values_mut().map(|asked| &mut asked.waiter).find(|waiter| waiter.is_behind());
            tokio::select! {
                biased;
                input = inputs.recv(), if !is_closed => match input {
                    Some(input) => self.input(input),
                    None => is_closed = true,
                },
                () = ready(self.connection.as_ref(), reads) => self.exchange(reads),
                () = catch_up(behind) => self.digest(true),
                () = sleep(wait) => self.tell(Event::Tick),
            }
        }
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Ask(ask, asked) => {
                let terms = asked.request.terms(self.patience);
                self.asks.insert(ask, asked);
                self.tell(Event::Asked { ask, terms });
            }
            Input::Cancel(ask) => {
                if self.asks.remove(&ask).is_some() {
                    self.tell(Event::Cancelled { ask });
                }
            }
        }
    }

    fn tell(&mut self, event: Event) {
        let mut events = vec![event];
        while !events.is_empty() {
            let mut actions = Vec::new();
            for event in events.drain(..) {
                self.session.handle(clock::mono(), event, &mut actions);
            }
            for action in actions {
                events.extend(self.perform(action));
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Connect => return Some(self.connect()),
            Action::Send { ask, since, left } => self.send(ask, since, left),
            Action::Withdraw { ask } => {
                self.withdrawn += 1;
                let (number, id) = (self.withdrawn, ask.0.to_string());
                let request = Request::look("cancel").with("id", json!(id));
                if let (Some(connection), Ok(line)) = (&mut self.connection, request.line(0, None, None)) {
                    let line = String::from_utf8_lossy(&line).replacen("\"0\"", &format!("\"c{number}\""), 1);
                    connection.send(None, line.into_bytes());
                }
            }
            Action::End { ask, end } => {
                if let Some(asked) = self.asks.remove(&ask) {
                    asked.waiter.finish(Message::End(end, self.trouble.clone()));
                }
            }
        }
        None
    }

    fn connect(&mut self) -> Event {
        let connected = self.place.connect().and_then(|stream| {
            if let Some(Hook(hook)) = &self.hook {
                hook(stream.as_fd());
            }
            // No descriptor is left, or the like: later there may be.
            Connection::new(stream).map_err(|error| (Unreached::Busy, error.to_string()))
        });
        match connected {
            Ok(connection) => {
                self.connection = Some(connection);
                Event::Connected
            }
            Err((why, trouble)) => {
                self.trouble = trouble;
                Event::Unreached(why)
            }
        }
    }

    fn send(&mut self, ask: AskId, since: Option<u64>, left: Option<Duration>) {
        let (Some(connection), Some(asked)) = (&mut self.connection, self.asks.get(&ask)) else { return };
        // It was made once already, by whoever asks.
        if let Ok(line) = asked.request.line(ask.0, since, left) {
            connection.send(Some(ask), line);
        }
    }

    /// Reads and writes what there is.
    fn exchange(&mut self, reads: bool) {
        let goes_on = self.connection.as_mut().is_some_and(|connection| connection.turn(reads));
        self.digest(goes_on);
    }

    /// Takes in the lines that were read, as far as those who wait for them take them.
    fn digest(&mut self, mut goes_on: bool) {
        let Some(mut connection) = self.connection.take() else { return };
        // Whoever falls behind is waited for; what was read and the end of it are looked at then.
        while !self.asks.values().any(|asked| asked.waiter.is_behind()) {
            let Some(line) = connection.line() else { break };
            match serde_json::from_slice::<Reply>(line) {
                Ok(reply) => {
                    self.connection = Some(connection);
                    self.heard(reply);
                    match self.connection.take() {
                        Some(same) => connection = same,
                        None => return,
                    }
                }
                // Nothing that follows can be trusted to be a reply either.
                Err(_) => goes_on = false,
            }
        }
        if goes_on || self.asks.values().any(|asked| asked.waiter.is_behind()) {
            self.connection = Some(connection);
            return;
        }
        self.trouble = "the connection was closed".to_owned();
        for ask in connection.unsent() {
            self.tell(Event::Unsent { ask });
        }
        drop(connection);
        self.tell(Event::Broken);
    }

    fn heard(&mut self, reply: Reply) {
        let terminal = is_terminal(&reply);
        // One without an id is about the connection, and so about everything that was asked over it.
        let meant: Vec<AskId> = match reply.id.parse() {
            Ok(id) => vec![AskId(id)],
            Err(_) if reply.id.is_empty() && terminal => self.asks.keys().copied().collect(),
            Err(_) => Vec::new(),
        };
        for ask in meant {
            let Some(asked) = self.asks.get_mut(&ask) else { continue };
            let (next, engine) = match asked.request.upon {
                Upon::Resume => position(&reply),
                Upon::Repeat | Upon::Tell => (None, None),
            };
            let message = Message::Reply(reply.clone());
            match terminal {
                true => {
                    if let Some(asked) = self.asks.remove(&ask) {
                        asked.waiter.finish(message);
                    }
                }
                false => asked.waiter.tell(message),
            }
            self.tell(Event::Heard { ask, terminal, next, engine });
        }
    }
}

/// Where a follower goes on behind this reply, and which engine it follows.
fn position(reply: &Reply) -> (Option<u64>, Option<u64>) {
    let content = &reply.content;
    let next = content["next"].as_u64().or_else(|| content["seq"].as_u64().map(|seq| seq + 1));
    let engine = content["engine"].as_str().and_then(|engine| u64::from_str_radix(engine, 16).ok());
    (next, engine)
}

async fn ready(connection: Option<&Connection>, reads: bool) {
    match connection {
        Some(connection) => connection.ready(reads).await,
        None => std::future::pending().await,
    }
}

async fn catch_up(behind: Option<&mut Waiter>) {
    match behind {
        Some(waiter) => waiter.catch_up().await,
        None => std::future::pending().await,
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
