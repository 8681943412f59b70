//! Why a worker could not work.

use std::{fmt, io};

/// Why a worker process ends without having been asked to.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum WorkerError {
    /// The environment names no inherited listener.
    NoListener(&'static str),
    /// LISTEN_FDS counts a descriptor that is not there.
    MissingDescriptor(i32),
    /// EVERCREW_COMMAND_FD names a descriptor that is not there.
    NoPipe(i32),
    /// An inherited descriptor is no listening socket.
    NotAListener(String, io::Error),
    /// The program's own preparations have failed.
    Initialize(String),
    /// What it runs ended with an error.
    Run(String),
    /// EVERCREW_HTTP cannot be used.
    Http(String),
    /// A system call that starting needs.
    Start(&'static str, io::Error),
    /// A listener that failed for another reason than a lack of resources.
    Accept(String, io::Error),
}

impl WorkerError {
    /// 78 when it was started wrongly, 1 when something failed.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoListener(_)
            | Self::MissingDescriptor(_)
            | Self::NoPipe(_)
            | Self::NotAListener(..)
            | Self::Http(_) => 78,
            Self::Initialize(_) | Self::Run(_) | Self::Start(..) | Self::Accept(..) => 1,
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
            Self::NoPipe(number) => write!(f, "descriptor {number} is not open, though EVERCREW_COMMAND_FD names it"),
            Self::NotAListener(name, error) => write!(f, "{name} is no listening socket: {error}"),
            Self::Initialize(error) => write!(f, "initialize: {error}"),
            Self::Run(error) => f.write_str(error),
            Self::Http(text) => write!(f, "EVERCREW_HTTP does not describe limits of HTTP: {text}"),
            Self::Start(what, error) => write!(f, "{what}: {error}"),
            Self::Accept(name, error) => write!(f, "accepting on {name}: {error}"),
        }
    }
}

impl std::error::Error for WorkerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoListener(_)
            | Self::MissingDescriptor(_)
            | Self::NoPipe(_)
            | Self::Initialize(_)
            | Self::Run(_)
            | Self::Http(_) => None,
            Self::NotAListener(_, error) | Self::Start(_, error) | Self::Accept(_, error) => Some(error),
        }
    }
}
