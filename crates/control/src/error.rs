//! Why a request came to nothing.

use std::fmt;
use std::path::Path;

use evercrew_core::session::End;
use evercrew_wire::control::Reply;

use crate::call::Called;

/// The outcome of a request.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request came to nothing, and what to do about it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    code: u8,
    message: String,
    hint: String,
    called: Option<Box<Called>>,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The engine says no, or that it did not come to be; [`Error::code`] says more.
    Refused,
    /// It reached a manager that ended before it answered: it was done, or not.
    Unknown,
    /// The request's own timeout passed.
    Late,
    /// The engine does not answer, or nobody takes the connection.
    Silent,
    /// No engine runs there.
    NotRunning,
    /// The engine is another user's.
    Forbidden,
    /// The engine that was followed has ended.
    Over,
    /// The reply is not what this version understands.
    Unreadable,
    /// The request is longer than the engine takes.
    Unsendable,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let code = match kind {
            ErrorKind::Refused | ErrorKind::Unknown | ErrorKind::Over | ErrorKind::Unreadable => 1,
            ErrorKind::Late => 124,
            ErrorKind::Silent | ErrorKind::NotRunning => 69,
            ErrorKind::Forbidden => 77,
            ErrorKind::Unsendable => 2,
        };
        Self { kind, code, message: message.into(), hint: String::new(), called: None }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// A failure that the engine tells.
    pub(crate) fn refused(reply: &Reply) -> Self {
        let mut error = Self::new(ErrorKind::Refused, reply.message.clone());
        error.code = reply.code.unwrap_or(1);
        error.hint(reply.hint.clone().unwrap_or_default())
    }

    /// A request that ended without a last reply; `trouble` is why there was no connection.
    pub(crate) fn ended(end: End, directory: &Path, trouble: &str) -> Self {
        let place = directory.display();
        let silent = "its supervisor's log says why";
        match end {
            End::Unknown => Self::new(ErrorKind::Unknown, "the outcome is unknown: the manager ended meanwhile")
                .hint("`evercrew status` shows how things stand"),
            End::Late => Self::new(ErrorKind::Late, format!("the engine in {place} does not answer")).hint(silent),
            End::Silent => Self::new(ErrorKind::Silent, format!("the engine in {place} does not answer")).hint(silent),
            End::Unreachable => {
                Self::new(ErrorKind::Silent, format!("the engine in {place} does not answer: {trouble}")).hint(silent)
            }
            End::Nobody => {
                Self::new(ErrorKind::NotRunning, format!("no engine runs in {place} (control.sock: {trouble})"))
                    .hint("start it with `evercrew up`")
            }
            End::Forbidden => {
                let socket = directory.join("control.sock");
                Self::new(ErrorKind::Forbidden, format!("not permitted to use {}", socket.display()))
                    .hint("run it as the engine's user or as root")
            }
            End::Over => Self::new(ErrorKind::Over, format!("the engine in {place} has ended")),
        }
    }

    /// The runtime, and with it the connection, is gone.
    pub(crate) fn abandoned() -> Self {
        Self::new(ErrorKind::Unknown, "the outcome is unknown: the runtime that asked was shut down")
    }

    pub(crate) fn unreadable(error: &serde_json::Error) -> Self {
        Self::new(ErrorKind::Unreadable, format!("the engine answers what this version does not understand: {error}"))
            .hint("use a client of the engine's version")
    }

    #[must_use]
    pub(crate) fn with_called(mut self, called: Called) -> Self {
        self.called = Some(Box::new(called));
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The exit code that the command line ends with.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it; may be empty.
    pub fn help(&self) -> &str {
        &self.hint
    }

    /// What each worker said, of a [`call`](crate::Client::call) that not all of them did.
    pub fn called(&self) -> Option<&Called> {
        self.called.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
