//! A request by its verb's name.

use std::time::Duration;

use evercrew_core::session::Terms;
pub use evercrew_core::session::Upon;
use evercrew_wire::control::{MAX_LINE, Request as Line};
use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind};

/// A request by the name of its verb, for what has no method: [`Client::request`](crate::Client::request) asks it.
///
/// ```
/// use evercrew_control::{Request, Upon};
/// use serde_json::json;
///
/// let request = Request::new("dump").with("last", json!(16)).upon(Upon::Repeat).at_once();
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) verb: String,
    pub(crate) args: Map<String, Value>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) upon: Upon,
    /// It is answered at once, so that silence has a meaning.
    pub(crate) prompt: bool,
    pub(crate) exact: bool,
}

impl Request {
    /// Of this verb, without arguments. It counts as one that changes something and takes its time.
    pub fn new(verb: impl Into<String>) -> Self {
        Self { verb: verb.into(), args: Map::new(), timeout: None, upon: Upon::Tell, prompt: false, exact: false }
    }

    /// One that changes nothing and is answered at once.
    pub(crate) fn look(verb: &str) -> Self {
        Self::new(verb).upon(Upon::Repeat).at_once()
    }

    /// With an argument.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.args.insert(name.to_owned(), value);
        self
    }

    /// With these arguments.
    #[must_use]
    pub fn with_all(mut self, args: Map<String, Value>) -> Self {
        self.args.extend(args);
        self
    }

    /// With `names`, where there are any.
    #[must_use]
    pub(crate) fn named<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.is_empty() { self } else { self.with("names", json!(names)) }
    }

    /// What a broken connection means for it.
    #[must_use]
    pub fn upon(mut self, upon: Upon) -> Self {
        self.upon = upon;
        self
    }

    /// The engine answers it at once: silence for the client's [`patience`](crate::Client::patience) is a failure.
    #[must_use]
    pub fn at_once(mut self) -> Self {
        self.prompt = true;
        self
    }

    /// How long the caller waits; the engine is told, and answers in time with how far it is.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The engine answers at the deadline itself, with everything that came by then (`call`).
    #[must_use]
    pub fn exact(mut self) -> Self {
        self.exact = true;
        self
    }

    pub(crate) fn terms(&self, patience: Duration) -> Terms {
        let usual = self.prompt.then_some(patience);
        Terms { upon: self.upon, timeout: self.timeout, usual, exact: self.exact, reach: patience }
    }

    /// As a line.
    ///
    /// # Errors
    /// When it is longer than the engine takes.
    pub(crate) fn line(&self, id: u64, since: Option<u64>, left: Option<Duration>) -> Result<Vec<u8>, Error> {
        let mut args = self.args.clone();
        if let Some(since) = since {
            args.insert("since".to_owned(), json!(since));
            // It was told already.
            args.remove("snapshot");
        }
        let deadline_ms = left.map(|left| left.as_millis().try_into().unwrap_or(u64::MAX));
        let line = Line { id: id.to_string(), verb: self.verb.clone(), args, deadline_ms };
        let mut line = serde_json::to_vec(&line)
            .map_err(|error| Error::new(ErrorKind::Unsendable, format!("`{}` cannot be asked: {error}", self.verb)))?;
        if line.len() > MAX_LINE {
            let text =
                format!("`{}` with {} bytes is longer than the engine takes ({MAX_LINE})", self.verb, line.len());
            return Err(Error::new(ErrorKind::Unsendable, text));
        }
        line.push(b'\n');
        Ok(line)
    }
}
