//! Why a load could not be started.

use std::fmt;

/// Why a load could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// An address that is neither `host:port` in numbers nor `unix:path`.
    Address(String),
    /// An address on another machine, without [`crate::Builder::any_address`].
    Remote(std::net::SocketAddr),
    /// Settings that make no load; the text says which and what to do.
    Settings(&'static str),
    /// A thread or runtime that could not be started.
    Start(std::io::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(text) => {
                write!(f, "the address {text:?} is none: write 127.0.0.1:8080, [::1]:8080 or unix:path")
            }
            Self::Remote(address) => {
                write!(f, "{address} is not on this machine: load goes to loopback unless any address is allowed")
            }
            Self::Settings(text) => f.write_str(text),
            Self::Start(error) => write!(f, "starting the load: {error}"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address(_) | Self::Remote(_) | Self::Settings(_) => None,
            Self::Start(error) => Some(error),
        }
    }
}
