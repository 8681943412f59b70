//! Why a queue server does not start, or ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::{fmt, io};

/// Why a queue server does not start, or ends without having been asked to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Others than this machine could come in without a password.
    Open(SocketAddr),
    /// Nothing can be listened on.
    Listen(String),
    /// A system call that it needs.
    System(&'static str, io::Error),
    /// The store.
    Store(evercrew_store::Error),
    /// The file of the password holds none.
    Password(PathBuf, io::Error),
    /// The directory of the store cannot be made.
    Directory(PathBuf, io::Error),
    /// The store holds a job, by its number, in a form that is not known.
    Unreadable(u64),
}

impl Error {
    /// The exit code of a process that ends for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Open(_) | Self::Password(..) => 78,
            Self::Listen(_) | Self::Directory(..) => 69,
            Self::System(..) => 1,
            Self::Store(_) | Self::Unreadable(_) => 69,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(address) => write!(
                f,
                "{address} can be reached from other machines and there is no password: set `password` in [queue] or \
                 FAKTORY_PASSWORD, listen on 127.0.0.1, or write `insecure = true`"
            ),
            Self::Listen(why) => f.write_str(why),
            Self::System(what, error) => write!(f, "{what}: {error}"),
            Self::Store(error) => error.fmt(f),
            Self::Password(path, error) => write!(f, "there is no password in {}: {error}", path.display()),
            Self::Directory(path, error) => {
                write!(f, "the directory of the store, {}, cannot be made: {error}", path.display())
            }
            Self::Unreadable(number) => {
                write!(f, "job {number} of the store has a form that this version does not know: use a later version")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(_) | Self::Listen(_) | Self::Unreadable(_) => None,
            Self::System(_, error) | Self::Password(_, error) | Self::Directory(_, error) => Some(error),
            Self::Store(error) => Some(error),
        }
    }
}
