//! Where an engine is.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use evercrew_core::session::Unreached;
use evercrew_sys::listener;
use evercrew_sys::lock::{self, Holder};

/// An engine's directory.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    directory: PathBuf,
}

impl Place {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Connects. Never waits: a full queue is as good as nobody at the moment.
    ///
    /// # Errors
    /// Why not, and what that means.
    pub(crate) fn connect(&self) -> Result<UnixStream, (Unreached, String)> {
        let socket = self.directory.join("control.sock");
        let error = match listener::call(&socket) {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        let why = match (error.kind(), self.runs()) {
            (io::ErrorKind::PermissionDenied, _) | (_, Err(io::ErrorKind::PermissionDenied)) => Unreached::Forbidden,
            // Where the lock cannot be looked at, the socket alone tells.
            (_, Ok(true)) | (io::ErrorKind::WouldBlock, Err(_)) => Unreached::Busy,
            (_, Ok(false) | Err(_)) => Unreached::Nobody,
        };
        Err((why, error.to_string()))
    }

    /// Whether a supervisor holds the directory.
    fn runs(&self) -> Result<bool, io::ErrorKind> {
        let holder = lock::holder(&self.directory.join("lock")).map_err(|error| error.kind())?;
        Ok(matches!(holder, Holder::Somebody(_)))
    }
}
