//! Why a worker could not work.

use std::process::ExitCode;
use std::{fmt, io};

/// Why a worker process ends without having been asked to.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum WorkerError {
    /// The environment names no inherited listener.
    NoListener(&'static str),
    /// LISTEN_FDS counts a descriptor that is not there.
    MissingDescriptor(i32),
    /// An inherited descriptor is no listening socket.
    NotAListener(i32, io::Error),
    /// EVERCREW_HTTP cannot be used.
    Http(String),
    /// A system call that starting needs.
    Start(&'static str, io::Error),
    /// A listener that failed for another reason than a lack of resources.
    Accept(i32, io::Error),
}

impl WorkerError {
    /// 78 when it was started wrongly, 1 when something failed.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::NoListener(_) | Self::MissingDescriptor(_) | Self::NotAListener(..) | Self::Http(_) => {
                ExitCode::from(78)
            }
            Self::Start(..) | Self::Accept(..) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoListener(reason) => {
                write!(f, "no inherited listener: {reason}; start it as a service that has a `listen`")
            }
            Self::MissingDescriptor(number) => {
                write!(f, "descriptor {number} is not open, though LISTEN_FDS counts it")
            }
            Self::NotAListener(number, error) => write!(f, "descriptor {number} is no listening socket: {error}"),
            Self::Http(text) => write!(f, "EVERCREW_HTTP does not describe limits of HTTP: {text}"),
            Self::Start(what, error) => write!(f, "{what}: {error}"),
            Self::Accept(number, error) => write!(f, "accepting on descriptor {number}: {error}"),
        }
    }
}

impl std::error::Error for WorkerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoListener(_) | Self::MissingDescriptor(_) | Self::Http(_) => None,
            Self::NotAListener(_, error) | Self::Start(_, error) | Self::Accept(_, error) => Some(error),
        }
    }
}
