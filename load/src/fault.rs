//! What can go wrong with a request, told apart as finely as a client can.

use std::fmt;

use serde::Serialize;

/// Why a request has no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// Nothing listens: connection refused, or no such unix socket.
    Refused,
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// Reset before a byte of the answer.
    Reset,
    /// Reset within the answer.
    ResetMidway,
    /// Closed in good order before a byte of the answer.
    Closed,
    /// Closed in good order within the answer.
    Short,
    /// A whole answer that is not the expected one, or bytes that are no HTTP/1.1.
    Wrong,
    /// No whole answer within the timeout.
    Timeout,
    /// This machine refused the client something (descriptors, ports): says nothing about the server.
    Local,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 9] = [
        Self::Refused,
        Self::ConnectTimeout,
        Self::Reset,
        Self::ResetMidway,
        Self::Closed,
        Self::Short,
        Self::Wrong,
        Self::Timeout,
        Self::Local,
    ];

    /// As it stands in reports: `reset_midway`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Reset => "reset",
            Self::ResetMidway => "reset_midway",
            Self::Closed => "closed",
            Self::Short => "short",
            Self::Wrong => "wrong",
            Self::Timeout => "timeout",
            Self::Local => "local",
        }
    }
}

/// What a request was sent on. A server that ends idle connections may close a reused one in the very moment in which
/// the request is sent; on a new one nothing excuses a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// Opened for this request.
    New,
    /// It has carried an answer before.
    Reused,
}

impl Connection {
    /// As it stands in reports: `new` or `reused`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Reused => "reused",
        }
    }
}

/// The class of a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Failure {
    /// What happened.
    pub fault: Fault,
    /// On which kind of connection.
    pub connection: Connection,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.fault.name(), self.connection.name())
    }
}

/// A fault and what was seen.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) fault: Fault,
    pub(crate) detail: String,
}

impl Trouble {
    pub(crate) fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into() }
    }
}
