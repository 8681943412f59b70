//! Jobs that run.

use std::collections::HashMap;
use std::sync::Arc;

use evercrew_core::work::{Outcome, RunId, Why};
use evercrew_wire::faktory::Delivery;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::context::{Context, States};
use super::driver::Message;
use super::handlers::Handlers;
use super::talk::Told;
use super::token::{Reason, Token};
use crate::client::Client;

/// Jobs that run, each in a task of its own. Dropping this lets them go.
#[derive(Debug)]
pub(crate) struct Runs {
    handlers: Handlers,
    states: Arc<States>,
    client: Client,
    tell: mpsc::UnboundedSender<Message>,
    tasks: JoinSet<()>,
    running: HashMap<RunId, (watch::Sender<Option<Reason>>, AbortHandle)>,
}

impl Runs {
    pub(crate) fn new(handlers: Handlers, client: Client, tell: mpsc::UnboundedSender<Message>) -> Self {
        let states = handlers.states();
        Self { handlers, states, client, tell, tasks: JoinSet::new(), running: HashMap::new() }
    }

    pub(crate) fn start(&mut self, id: RunId, job: Delivery) {
        let (teller, token) = Token::new();
        let tell = self.tell.clone();
        let context =
            Context::new(job, token, Arc::clone(&self.states), self.client.clone(), Some((id, self.tell.clone())));
        let lines = context.backtrace();
        let running = self.handlers.clone().run(context);
        let task = self.tasks.spawn(async move {
            let outcome = match running.await {
                Ok(()) => Outcome::Done,
                Err(failure) if failure.is_given_back => Outcome::GivenBack,
                Err(failure) => Outcome::Failed(Told::of(failure, lines)),
            };
            // A worker that is no more has no use for it.
            let _ = tell.send(Message::Finished(id, outcome));
        });
        self.running.insert(id, (teller, task));
    }

    pub(crate) fn ended(&mut self, id: RunId) {
        self.running.remove(&id);
        while self.tasks.try_join_next().is_some() {}
    }

    pub(crate) fn cancel(&self, id: RunId, why: Why) {
        if let Some((teller, _)) = self.running.get(&id) {
            teller.send_replace(Some(why.into()));
        }
    }

    pub(crate) fn abandon(&mut self, id: RunId) {
        if let Some((_, task)) = self.running.remove(&id) {
            task.abort();
        }
    }
}
