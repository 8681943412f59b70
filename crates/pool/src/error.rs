//! The one error of this crate.

use std::fmt;
use std::io;

/// Why there is no pool.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The configuration asks for something that cannot be.
    Refused(String),
    /// A child could not be started.
    NotStarted {
        /// Which program.
        program: String,
        /// Why.
        reason: String,
    },
    /// A child ended, or was ended, before it was ready.
    NotReady {
        /// Which.
        child: String,
        /// How and why.
        reason: String,
        /// What it wrote last to its standard error.
        output: Vec<String>,
    },
    /// The kernel has no descriptors or threads for a pool.
    Io(&'static str, io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::NotStarted { program, reason } => write!(f, "`{program}` could not be started: {reason}"),
            Self::NotReady { child, reason, output } => {
                write!(f, "{child} did not get ready: {reason}")?;
                match output.last() {
                    Some(line) => write!(f, "; its last line: {line}"),
                    None => Ok(()),
                }
            }
            Self::Io(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::Refused(_) | Self::NotStarted { .. } | Self::NotReady { .. } => None,
        }
    }
}
