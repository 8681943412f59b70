//! Handlers by type, with what stands around them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use evercrew_wire::faktory::Delivery;

use super::context::{Context, States};
use super::failure::Failure;
use super::handler::{Handler, Running};
use super::middleware::{Middleware, Next};
use super::panics::{self, Caught};
use super::token::Token;
use crate::client::{Client, ClientError};

/// Handlers by type of job, with middleware and shared state: what runs a job once it is here.
#[derive(Clone)]
pub struct Handlers(Arc<Stack>);

#[derive(Default)]
pub(crate) struct Stack {
    pub(crate) by_kind: HashMap<String, Arc<dyn Handler>>,
    pub(crate) fallback: Option<Arc<dyn Handler>>,
    pub(crate) middleware: Vec<Arc<dyn Middleware>>,
    pub(crate) states: States,
}

impl Handlers {
    pub(crate) fn new(stack: Stack) -> Self {
        panics::watch();
        Self(Arc::new(stack))
    }

    pub(crate) fn states(&self) -> Arc<States> {
        Arc::new(self.0.states.clone())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.by_kind.is_empty() && self.0.fallback.is_none()
    }

    /// Runs a job to its end, whatever its handler does.
    pub(crate) async fn run(self, context: Context) -> Result<(), Failure> {
        let handler = self.0.by_kind.get(context.kind()).or(self.0.fallback.as_ref());
        let handler: &dyn Handler = handler.map_or(&Nobody, |handler| &**handler);
        // Middleware may panic too.
        let running = panics::catch(|| Next { rest: &self.0.middleware, handler }.run(context))?;
        Caught(running).await
    }

    /// Runs a job that was pushed to a client without a server.
    pub(crate) async fn run_now(&self, client: Client, text: &str) -> Result<(), ClientError> {
        let job = Delivery::read(text).map_err(|error| ClientError::Unsendable(error.why))?;
        let (_teller, token) = Token::new();
        let context = Context::new(job, token, self.states(), client, None);
        self.clone().run(context).await.map_err(|failure| ClientError::Failed(failure.kind, failure.message))
    }
}

/// Whoever runs jobs that nobody runs.
struct Nobody;

impl Handler for Nobody {
    fn run(&self, context: Context) -> Running<'_> {
        let why = format!("no handler for jobs of the type {} is registered with this worker", context.kind());
        let failure = Failure { backtrace: None, ..Failure::new("NoHandler", why) };
        Box::pin(std::future::ready(Err(failure)))
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.by_kind.keys()).finish()
    }
}
