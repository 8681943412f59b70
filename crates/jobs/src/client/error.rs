//! Why a question has no answer.

use std::fmt;

use crate::address::Address;

/// Why a question has no answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is none.
    Address(String),
    /// Nobody answers there. What was asked has not happened.
    Unreachable(Address, String),
    /// The connection was lost, or nothing came in time: what was asked may have happened.
    Unknown(Address, String),
    /// What answers there is no server of jobs, or says what cannot be read.
    Foreign(Address, String),
    /// It refused: a word and a text.
    Refused(String, String),
    /// What is to be sent cannot be written as JSON, or is none of the protocol.
    Unsendable(String),
    /// There is no tokio runtime here.
    NoRuntime,
    /// The job was run at once, as tests do, and failed: its type and what it says.
    Failed(String, String),
}

impl ClientError {
    /// Whether what was asked may have happened all the same.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Unknown(..))
    }

    /// Whether the server refused a job because its like is there already.
    pub fn is_not_unique(&self) -> bool {
        matches!(self, Self::Refused(code, _) if code == "NOTUNIQUE")
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(why) => write!(f, "the address of the queue server: {why}"),
            Self::Unreachable(address, why) => write!(f, "the queue server at {address} does not answer: {why}"),
            Self::Unknown(address, why) => {
                write!(f, "the queue server at {address} did not say whether it did what was asked: {why}")
            }
            Self::Foreign(address, why) => write!(f, "what answers at {address} is no queue server: {why}"),
            Self::Refused(_, text) => write!(f, "the queue server refused: {text}"),
            Self::Unsendable(why) => write!(f, "this cannot be sent: {why}"),
            Self::NoRuntime => write!(f, "a client needs a tokio runtime; without one take the blocking client"),
            Self::Failed(kind, message) => write!(f, "the job failed: {kind}: {message}"),
        }
    }
}

impl std::error::Error for ClientError {}
