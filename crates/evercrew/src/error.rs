//! What can be wrong with a server before anything of it starts.

use std::{fmt, io};

use evercrew_worker::BoxError;

/// The outcome of building a server.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a server cannot be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// It has no service.
    Empty,
    /// Two services or two listeners have this name.
    Twice {
        /// `service` or `listener`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A service serves, and it is not said on which listener.
    NoListener {
        /// The service.
        service: String,
    },
    /// A service names a listener that there is not.
    UnknownListener {
        /// The service.
        service: String,
        /// The listener.
        listener: String,
    },
    /// A service cannot have what was asked for it.
    Unfit {
        /// The service.
        service: String,
        /// What, and why not.
        reason: &'static str,
    },
    /// What was built is no good configuration. The text names each key, what was found and what is expected.
    Configuration(String),
    /// A socket of an embedded server cannot be opened.
    Bind {
        /// The listener.
        listener: String,
        /// Why.
        source: io::Error,
    },
    /// A hook of an embedded server has failed.
    Hook {
        /// `before_run`, or `before_fork` with its service.
        hook: String,
        /// What it said.
        source: BoxError,
    },
    /// A thread of an embedded server cannot be started.
    Thread(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the server has no service: add one with `.service(…)`"),
            Self::Twice { what, name } => write!(f, "two {what}s are called `{name}`: give one of them another name"),
            Self::NoListener { service } => write!(
                f,
                "service `{service}` has no listener: add one with `.listen(\"{service}\", \"127.0.0.1:8080\")`, or name \
                 one with `.on([…])`"
            ),
            Self::UnknownListener { service, listener } => {
                write!(f, "service `{service}` listens on `{listener}`, which there is not: add it with `.listen(…)`")
            }
            Self::Unfit { service, reason } => write!(f, "service `{service}`: {reason}"),
            Self::Configuration(text) => write!(f, "the server cannot be started as it was built:\n{text}"),
            Self::Bind { listener, source } => write!(f, "cannot open the listener `{listener}`: {source}"),
            Self::Hook { hook, source } => write!(f, "{hook} has failed: {source}"),
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Thread(source) => Some(source),
            Self::Hook { source, .. } => Some(&**source),
            Self::Empty
            | Self::Twice { .. }
            | Self::NoListener { .. }
            | Self::UnknownListener { .. }
            | Self::Unfit { .. }
            | Self::Configuration(_) => None,
        }
    }
}
